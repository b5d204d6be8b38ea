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
from tests.serving.servable.asking import ALL, Answer, Ask, as_tensor


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
    """Calls a signature with what a client always sends; lists are padded with "" or 0."""

    def ask(signature: str, **given: Any) -> Answer:
        batch = len(next(iter(given.values())))
        nothing: list[list[str]] = [[] for _ in range(batch)]
        inputs: dict[str, Any] = {}
        if signature not in ("suggest", "embed_item"):
            inputs |= {"now": [0] * batch}
        if signature in ("search", "recommend", "rank", "embed_query"):
            inputs |= {"user_id": [""] * batch, "history": nothing, "history_times": None}
        if signature in ("search", "recommend", "similar", "complement", "facets"):
            inputs |= {"exclude": nothing, "filters": nothing, "k": [ALL] * batch}
        if signature in ("search", "recommend"):
            inputs |= {"exclude_seen": [False] * batch}
            inputs |= {"diversity": [0.0] * batch, "boost": nothing, "pin": nothing}
        if signature == "facets":
            inputs |= {"spell": [True] * batch}
        if signature == "search":
            inputs |= {"spell": [True] * batch, "offset": [0] * batch, "sort": [""] * batch}
        inputs |= given
        if "history_times" in inputs and inputs["history_times"] is None:
            inputs["history_times"] = [[0] * len(row) for row in inputs["history"]]
        tensors = {name: as_tensor(name, value) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in signatures[signature](**tensors).items()}

    return ask
