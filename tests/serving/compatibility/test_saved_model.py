from __future__ import annotations

from pathlib import Path

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from dataset.errors import DataError
from serving.compatibility.saved_model import read_saved_model


def test_it_reads_what_tensorflow_reads(model_path: Path) -> None:
    content = (model_path / "saved_model.pb").read_bytes()
    [expected] = saved_model_pb2.SavedModel.FromString(content).meta_graphs

    [read] = read_saved_model(model_path).meta_graphs

    assert list(read.meta_info_def.tags) == list(expected.meta_info_def.tags)
    assert read.graph_def.versions.producer == expected.graph_def.versions.producer > 0
    assert [node.name for node in read.graph_def.node] == [node.name for node in expected.graph_def.node]
    functions = {function.signature.name: function for function in read.graph_def.library.function}
    assert functions
    for function in expected.graph_def.library.function:
        nodes = functions[function.signature.name].node_def
        for node, expected_node in zip(nodes, function.node_def, strict=True):
            assert (node.op, list(node.input)) == (expected_node.op, list(expected_node.input))
            attrs = {entry.key: entry.value for entry in node.attr}
            assert attrs.keys() == set(expected_node.attr)
            for name, value in expected_node.attr.items():
                assert attrs[name].type == value.type
                assert list(attrs[name].list.type) == list(value.list.type)
                assert (attrs[name].i, attrs[name].s) == (value.i, value.s)


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x12\xff"], ids=["empty", "text", "cut off"])
def test_file_that_is_no_saved_model_is_a_mistake(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)

    with pytest.raises(DataError, match=f"must be a SavedModel with a graph. Got {len(content)} bytes"):
        read_saved_model(tmp_path)


def test_file_that_was_cut_off_is_a_mistake(model_path: Path, tmp_path: Path) -> None:
    content = (model_path / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(content[: len(content) // 2])

    with pytest.raises(DataError, match="must be a SavedModel"):
        read_saved_model(tmp_path)


def test_missing_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_saved_model(tmp_path)
