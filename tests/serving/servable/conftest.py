"""The signatures in process and those of the SavedModel read back: every rule is held by both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from models.item_table import ItemTable
from models.trained import TrainedModel
from serving.servable.saving import save_servable
from tests import tiny
from tests.serving.servable.asking import Ask, asker_of


@pytest.fixture(scope="module")
def items() -> ItemTable:
    return tiny.shared_model()[0]


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return tiny.shared_model()[1]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("servable")
    servable, signatures = tiny.shared_servable()
    save_servable(servable, str(folder), signatures)
    return folder


@pytest.fixture(scope="module", params=["in process", "read back"])
def signatures(request: pytest.FixtureRequest, saved: Path) -> Any:
    if request.param == "in process":
        return tiny.shared_servable()[1]
    loaded = tf.saved_model.load(str(saved))
    # The signatures die with what was loaded.
    return dict(loaded.signatures.items()) | {"_keep": loaded}


@pytest.fixture(scope="module")
def ask(signatures: Any) -> Ask:
    return asker_of(signatures)
