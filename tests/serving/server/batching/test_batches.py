from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving.server.batching.batches import merge, num_rows, split
from serving.server.status_error import StatusError


def _texts(rows: list[list[bytes]]) -> np.ndarray[Any, Any]:
    return np.array(rows, np.object_).reshape(len(rows), -1)


def _refusal(call: Any) -> tuple[str, str]:
    with pytest.raises(StatusError) as error:
        call()
    return error.value.code.name, error.value.message


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "Batching Run() must have at least one input tensor"),
        ({"a": np.float32(1).reshape(())}, "Batching Run() input tensors must have at least one dimension"),
        (
            {"a": np.zeros(2), "b": np.zeros((3, 1))},
            "Batching Run() input tensors must have equal 0th-dimension size",
        ),
    ],
)
def test_request_without_one_number_of_rows_is_refused(inputs: Any, message: str) -> None:
    assert _refusal(lambda: num_rows(inputs)) == ("INVALID_ARGUMENT", message)


def test_rows_follow_each_other_in_the_order_of_the_requests() -> None:
    requests = [{"x": np.array([1, 2])}, {"x": np.array([3])}]

    merged = merge(requests, widen=False, num_padding_rows=0)

    assert merged["x"].tolist() == [1, 2, 3]
    assert [answer["x"].tolist() for answer in split(merged, [2, 1], num_padding_rows=0)] == [[1, 2], [3]]


def test_padding_repeats_the_first_row_of_the_last_request() -> None:
    requests = [{"x": np.array([[1], [2]])}, {"x": np.array([[3], [4]])}]

    merged = merge(requests, widen=False, num_padding_rows=2)

    assert merged["x"].tolist() == [[1], [2], [3], [4], [3], [3]]
    answers = split(merged, [2, 2], num_padding_rows=2)
    assert [answer["x"].tolist() for answer in answers] == [[[1], [2]], [[3], [4]]]


def test_request_without_rows_pads_with_a_row_of_another() -> None:
    requests = [{"x": np.array([1])}, {"x": np.array([], np.int64)}]

    assert merge(requests, widen=False, num_padding_rows=1)["x"].tolist() == [1, 1]


def test_different_widths_are_refused_without_widening() -> None:
    requests = [{"x": np.zeros((1, 2))}, {"x": np.zeros((1, 3))}]

    assert _refusal(lambda: merge(requests, widen=False, num_padding_rows=0)) == (
        "FAILED_PRECONDITION",
        "Tensors with name 'x' from different tasks have different shapes and padding is turned off. "
        "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
        "dimensions starting with the first dim.",
    )


def test_narrower_tensors_are_widened_at_the_end_with_their_own_first_element() -> None:
    requests = [
        {"x": _texts([[b"", b"a"]])},
        {"x": _texts([[b"p", b"q", b"r", b"s"]])},
        {"x": _texts([[b"z"]])},
    ]

    merged = merge(requests, widen=True, num_padding_rows=0)

    assert merged["x"].tolist() == [
        [b"", b"a", b"", b""],
        [b"p", b"q", b"r", b"s"],
        [b"z", b"z", b"z", b"z"],
    ]


def test_every_dimension_but_the_first_is_widened() -> None:
    requests = [{"x": np.full((2, 1, 3), 5)}, {"x": np.full((1, 2, 1), 7)}]

    merged = merge(requests, widen=True, num_padding_rows=0)

    assert merged["x"].tolist() == [[[5, 5, 5], [5, 5, 5]]] * 2 + [[[7, 7, 7], [7, 7, 7]]]


def test_empty_tensor_cannot_be_widened() -> None:
    requests = [{"x": np.zeros((1, 0))}, {"x": np.zeros((1, 2))}]

    assert _refusal(lambda: merge(requests, widen=True, num_padding_rows=0)) == (
        "INVALID_ARGUMENT",
        "Got empty tensor in batch of non-empty tensors.",
    )


def test_request_without_rows_can_be_widened() -> None:
    requests = [{"x": np.zeros((0, 1))}, {"x": np.zeros((1, 2))}]

    assert merge(requests, widen=True, num_padding_rows=0)["x"].shape == (1, 2)


def test_different_ranks_are_refused_even_with_widening() -> None:
    requests: list[dict[str, Any]] = [{"x": np.zeros((1, 2))}, {"x": np.zeros((1, 2, 1))}]

    assert _refusal(lambda: merge(requests, widen=True, num_padding_rows=0))[0] == "FAILED_PRECONDITION"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (np.float32(1).reshape(()), "Batched output tensor has 0 dimensions"),
        (
            np.zeros(6),
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the "
            "input tensors",
        ),
    ],
)
def test_output_that_is_not_batch_major_is_refused(output: Any, message: str) -> None:
    assert _refusal(lambda: split({"y": output}, [2, 1], num_padding_rows=1)) == (
        "FAILED_PRECONDITION",
        message,
    )
