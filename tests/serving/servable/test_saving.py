"""A saved servable's branches and functions: called where they are needed, with their ops fused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.config_pb2 import ConfigProto
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from benchmarks.serving.inside import Session
from serving.servable.warmup_requests import example_inputs
from tests import tiny

# Each costs a microsecond or two, whatever it computes. There is room for some more.
MOST_OPS = {"search": 1700, "rank": 1700, "recommend": 1400, "facets": 950, "suggest": 330}


def nodes_of(saved: Path) -> list[NodeDef]:
    graph = SavedModel.FromString((saved / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    return [*graph.node, *(node for function in graph.library.function for node in function.node_def)]


def test_branches_are_called_and_not_spread(saved: Path) -> None:
    branches = [node for node in nodes_of(saved) if node.op in ("If", "StatelessIf")]

    assert len(branches) > 10
    assert not any(node.attr["_lower_using_switch_merge"].b for node in branches)


def test_functions_fuse_their_ops_and_no_more(saved: Path) -> None:
    calls = [node for node in nodes_of(saved) if node.op in ("PartitionedCall", "StatefulPartitionedCall")]
    optimised = [ConfigProto.FromString(node.attr["config_proto"].s).graph_options for node in calls]

    assert len(calls) > 10
    assert all(list(options.rewrite_options.optimizers) == ["remap"] for options in optimised)


def test_requests_run_no_more_ops_than_they_may(saved: Path) -> None:
    items = [{"item_id": item_id.decode()} for item_id in tiny.IDS[:5]]
    examples: dict[str, list[Any]] = {
        "queries": ["red teapot"],
        "users": [{"user_id": "ann", "history": items}],
        "items": items,
    }
    session = Session(saved)

    run = {
        name: session.num_ops(name, {given: value.numpy() for given, value in inputs.items()})
        for name, inputs in example_inputs(examples, 1).items()
        if name in MOST_OPS
    }

    assert {name for name, num_ops in run.items() if num_ops > MOST_OPS[name]} == set(), run
