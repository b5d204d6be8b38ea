from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from components.serving_validator import validate_servable
from tests import tiny
from tests.serving import graphs


@pytest.fixture(scope="module")
def servable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module, signatures = tiny.shared_servable()
    folder = tmp_path_factory.mktemp("servable") / "model"
    tf.saved_model.save(module, str(folder), signatures=signatures)
    (folder / "assets.extra").mkdir()
    named = [
        {"item_id": item_id.decode(), "title": title}
        for item_id, title in zip(tiny.IDS, tiny.TITLES, strict=True)
    ]
    examples = {
        "queries": ["red teapot", "lamp"],
        "users": [{"user_id": "ann", "history": named[:3]}],
        "items": named,
    }
    (folder / "assets.extra" / "examples.json").write_text(json.dumps(examples))
    return folder


@pytest.mark.slow
def test_nothing_but_its_latency_speaks_against_a_good_servable(servable: Path) -> None:
    reasons, facts = validate_servable(str(servable), 0.001, "2.16")

    assert len(reasons) == 1
    assert "must take at most 0.001 ms" in reasons[0]
    assert any("loads in stock TF Serving 2.16" in fact for fact in facts)
    assert any("ready after" in fact for fact in facts)
    assert any("ms at the median" in fact for fact in facts)


@pytest.mark.slow
def test_servable_that_the_configured_server_cannot_load_is_refused(servable: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(servable, tmp_path / "model")
    _add_node(folder, graphs.node("DecodeWebP", inputs=["unused/contents"], dtype=tf.uint8))

    reasons, _ = validate_servable(str(folder), 1e9, "2.19")

    assert reasons == [
        "Stock TF Serving 2.19 cannot load the op DecodeWebP: no such op that runs on a CPU; 2.20 can."
    ]


def _add_node(folder: Path, node: node_def_pb2.NodeDef) -> None:
    """Adds a node that nothing asks for, and the constant it reads."""
    file = folder / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    contents = graphs.node("Const", dtype=tf.string)
    contents.name = "unused/contents"
    contents.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(b""))
    saved_model.meta_graphs[0].graph_def.node.extend([contents, node])
    file.write_bytes(saved_model.SerializeToString())
