from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from serving.compatibility.stock_ops.record import read_wheels
from serving.compatibility.stock_ops.table import stock_ops

Registered = tuple[int, dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def installed() -> Registered:
    return read_wheels(Path(tf.__file__).parent.parent)


def test_graph_def_version_is_tensorflows(installed: Registered) -> None:
    assert installed[0] == tf.version.GRAPH_DEF_VERSION


def test_ops_are_told_apart_by_their_library(installed: Registered) -> None:
    _, core, text = installed

    assert "TopKV2" in core
    assert "TFText>RoundRobinTrim" in text
    assert "FastBertNormalize" in text
    assert not core.keys() & text.keys()


def test_what_a_server_does_not_link_is_left_out(installed: Registered) -> None:
    _, core, text = installed

    assert not {"PyFunc", "XlaDot", "TPUReplicate"} & (core.keys() | text.keys())


def test_kernels_that_differ_in_one_attr_alone_are_one(installed: Registered) -> None:
    for name, op in installed[1].items():
        for one, other in itertools.combinations(op["kernels"], 2):
            assert one.keys() != other.keys() or sum(one[key] != other[key] for key in one) > 1, name
    [cast] = installed[1]["StringToNumber"]["kernels"]
    assert cast["out_type"] == ["double", "float", "int32", "int64", "uint32", "uint64"]


def test_table_of_2_20_holds_what_the_installed_tensorflow_still_has(installed: Registered) -> None:
    """TensorFlow takes nothing away from an op, so what we recorded of 2.20 must be in the later one too."""
    table, names = stock_ops(), 0
    for name, op in {**installed[1], **installed[2]}.items():
        stock_op = table.find(name, "2.20")
        if stock_op is not None:
            names += 1
            assert stock_op.attrs.keys() <= op["attrs"].keys()
            assert list(stock_op.inputs) == op["inputs"]
    assert names > 1300
