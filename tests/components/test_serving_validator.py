from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from components.serving_validator import validate_servable
from serving.servable.extra_assets import ExtraAssets
from tests import tiny
from tests.serving import graphs


@pytest.fixture(scope="module")
def servable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module, signatures = tiny.shared_servable()
    folder = tmp_path_factory.mktemp("servable") / "model"
    tf.saved_model.save(module, str(folder), signatures=signatures)
    extra = ExtraAssets(folder)
    Path(extra.folder).mkdir()
    named = [
        {"item_id": item_id.decode(), "title": title}
        for item_id, title in zip(tiny.IDS, tiny.TITLES, strict=True)
    ]
    examples = {
        "queries": ["red teapot", "lamp"],
        "users": [{"user_id": "ann", "history": named[:3]}],
        "items": named,
    }
    extra.write_examples(examples)
    return folder


@pytest.mark.slow
def test_nothing_but_its_latency_speaks_against_a_good_servable(servable: Path) -> None:
    reasons, facts, costs = validate_servable(str(servable), 0.001, "2.16")

    assert len(reasons) == 1
    assert "must take at most 0.001 ms" in reasons[0]
    assert any("loads in stock TF Serving 2.16" in fact for fact in facts)
    assert any("ready after" in fact for fact in facts)
    assert any("ms at the median" in fact for fact in facts)
    assert set(costs) == {"search", "recommend"}
    for cost in costs.values():
        assert 0 < cost.latency_ms < 10_000
        assert 0 < cost.cpu_ms < 10_000


def test_servable_that_the_configured_server_cannot_load_is_refused(tmp_path: Path) -> None:
    folder = graphs.write(tmp_path, graphs.node("DecodeWebP", inputs=["contents"], dtype=tf.uint8))

    reasons, facts, costs = validate_servable(str(folder), 1000.0, "2.19")

    assert reasons == [
        "Stock TF Serving 2.19 cannot serve the op DecodeWebP: no such op that runs on a CPU; 2.20 can."
    ]
    assert facts == ["The model loads in stock TF Serving 2.20 and later (known up to 2.20)."]
    assert costs == {}
