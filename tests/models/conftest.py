"""The tiny catalogue and models of it, made once."""

from __future__ import annotations

import pytest

from models.item_table import ItemTable
from models.trained import TrainedModel
from models.two_tower import TwoTower
from tests import tiny


@pytest.fixture(scope="session")
def items() -> ItemTable:
    """Not to be changed."""
    return tiny.shared_model()[0]


@pytest.fixture(scope="session")
def trained() -> TrainedModel:
    """Not to be changed."""
    return tiny.shared_model()[1]


@pytest.fixture(scope="session")
def two_tower(trained: TrainedModel) -> TwoTower:
    """Not to be changed."""
    return trained.two_tower
