"""A branch of a servable is a function of its own, not spread into the graph around it."""

from __future__ import annotations

from pathlib import Path

from tensorflow.core.protobuf.saved_model_pb2 import SavedModel


def test_branches_are_called_and_not_spread(saved: Path) -> None:
    graph = SavedModel.FromString((saved / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    branches = [node for node in nodes if node.op in ("If", "StatelessIf")]

    assert len(branches) > 10
    assert not any(node.attr["_lower_using_switch_merge"].b for node in branches)
