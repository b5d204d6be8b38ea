"""The tiny catalogue and models of it, made once."""

from __future__ import annotations

import pytest

from models.item_table import ItemTable
from models.trained import TrainedModel
from models.two_tower import TwoTower
from tests import tiny


@pytest.fixture(scope="session")
def items() -> ItemTable:
    return tiny.make_items()


@pytest.fixture(scope="session")
def trained(items: ItemTable) -> TrainedModel:
    """Not to be changed."""
    return tiny.make_trained(items)


@pytest.fixture(scope="session")
def two_tower(trained: TrainedModel) -> TwoTower:
    """Not to be changed."""
    return trained.two_tower
