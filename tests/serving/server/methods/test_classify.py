"""Outputs that a signature which classifies or regresses must not have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow.core.protobuf import meta_graph_pb2

from serving.server.methods.classify import classification_result
from serving.server.methods.regress import regression_result
from serving.server.status_error import StatusError

_CLASSES = np.array([[b"a", b"b"]], np.object_)
_SCORES = np.array([[0.5, 1.5]], np.float32)


def _signature(*aliases: str) -> meta_graph_pb2.SignatureDef:
    text = "".join(f'outputs {{ key: "{alias}" value {{ name: "{alias}:0" }} }}' for alias in aliases)
    return text_format.Parse(text, meta_graph_pb2.SignatureDef())


@pytest.mark.parametrize(
    ("classes", "scores", "message"),
    [
        (_CLASSES[0], _SCORES, "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        (_CLASSES, _SCORES[None], "Expected Tensor shape: [batch_size num_classes] but got [1,1,2]"),
        (_SCORES, _SCORES, "Expected classes Tensor of DT_STRING. Got: DT_FLOAT"),
        (_CLASSES, _SCORES.astype(np.float64), "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
        (np.repeat(_CLASSES, 2, 0), _SCORES, "Expected classes output batch size of 1. Got: 2"),
        (_CLASSES, np.repeat(_SCORES, 2, 0), "Expected scores output batch size of 1. Got: 2"),
        (
            _CLASSES,
            _SCORES[:, :1],
            "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
        ),
    ],
)
def test_outputs_that_are_no_classification_are_refused(classes: Any, scores: Any, message: str) -> None:
    outputs = {"classes:0": classes, "scores:0": scores}

    with pytest.raises(StatusError) as error:
        classification_result(_signature("classes", "scores"), outputs, 1)

    assert (error.value.code.name, error.value.message) == ("INVALID_ARGUMENT", message)


def test_classes_alone_have_no_scores() -> None:
    result = classification_result(_signature("classes"), {"classes:0": _CLASSES}, 1)

    assert [(c.label, c.score) for c in result.classifications[0].classes] == [("a", 0), ("b", 0)]


def test_scores_alone_have_no_labels() -> None:
    result = classification_result(_signature("scores"), {"scores:0": _SCORES}, 1)

    assert [(c.label, c.score) for c in result.classifications[0].classes] == [("", 0.5), ("", 1.5)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.zeros((2, 2), np.float32),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
        ),
        (
            np.float32(0).reshape(()),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []",
        ),
        (np.zeros(3, np.float32), "Input batch size did not match output batch size: 2 vs. 3"),
        (np.zeros(2, np.int64), "Expected output Tensor of DT_FLOAT.  Got: DT_INT64"),
    ],
)
def test_output_that_is_no_regression_is_refused(values: Any, message: str) -> None:
    with pytest.raises(StatusError) as error:
        regression_result(_signature("outputs"), {"outputs:0": values}, 2)

    assert (error.value.code.name, error.value.message) == ("INVALID_ARGUMENT", message)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_column_is_as_good_as_a_row(shape: tuple[int, ...]) -> None:
    values = np.array([1.5, 2.5], np.float32).reshape(shape)

    result = regression_result(_signature("outputs"), {"outputs:0": values}, 2)

    assert [regression.value for regression in result.regressions] == [1.5, 2.5]
