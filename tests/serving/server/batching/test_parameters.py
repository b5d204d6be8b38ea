from __future__ import annotations

import os
from pathlib import Path

import pytest

from serving.server.batching.parameters import BatchingParameters, read_batching_parameters
from serving.server.status_error import StatusError


def _read(tmp_path: Path, text: str) -> BatchingParameters:
    file = tmp_path / "batching.pbtxt"
    file.write_text(text)
    return read_batching_parameters(file)


def test_file_sets_the_fields(tmp_path: Path) -> None:
    parameters = _read(
        tmp_path,
        """
        max_batch_size { value: 8 }
        batch_timeout_micros { value: 0 }
        max_enqueued_batches { value: 3 }
        num_batch_threads { value: 2 }
        thread_pool_name { value: "mine" }
        allowed_batch_sizes: 2
        allowed_batch_sizes: 8
        pad_variable_length_inputs: true
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 4 }
        """,
    )

    assert parameters == BatchingParameters(
        max_batch_size=8,
        batch_timeout_micros=0,
        max_enqueued_batches=3,
        num_batch_threads=2,
        thread_pool_name="mine",
        allowed_batch_sizes=(2, 8),
        pad_variable_length_inputs=True,
        enable_large_batch_splitting=True,
        max_execution_batch_size=4,
    )
    assert parameters.batch_size_limit == 4


def test_defaults_are_those_of_the_real_server(tmp_path: Path) -> None:
    parameters = _read(tmp_path, "")

    assert (parameters.max_batch_size, parameters.batch_timeout_micros) == (1000, 0)
    assert (parameters.max_enqueued_batches, parameters.num_batch_threads) == (10, os.cpu_count())
    assert parameters.thread_pool_name == "batch_threads"
    assert not parameters.pad_variable_length_inputs
    assert not parameters.enable_large_batch_splitting
    assert parameters.batch_size_limit == 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "allowed_batch_sizes: 4",
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 1000",
        ),
        (
            "max_batch_size { value: 2 } allowed_batch_sizes: 4 allowed_batch_sizes: 2",
            "allowed_batch_sizes entries must be monotonically increasing",
        ),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("max_batch_size { value: 0 }", "input_batch_size_limit must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        (
            "enable_large_batch_splitting { value: true } max_enqueued_batches { value: 0 }",
            "max_enqueued_batches must be positive; was 0",
        ),
        (
            "max_batch_size { value: 2 } enable_large_batch_splitting { value: true } "
            "max_execution_batch_size { value: 3 }",
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal "
            "to max_execution_batch_size.",
        ),
    ],
)
def test_parameters_that_make_no_sense_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(StatusError) as error:
        _read(tmp_path, text)

    assert (error.value.code.name, error.value.message) == ("INVALID_ARGUMENT", message)


@pytest.mark.parametrize(("size", "rounded"), [(1, 2), (2, 2), (3, 8), (8, 8)])
def test_size_is_rounded_up_to_an_allowed_one(size: int, rounded: int) -> None:
    assert BatchingParameters(max_batch_size=8, allowed_batch_sizes=(2, 8)).rounded(size) == rounded


def test_every_size_is_allowed_by_default() -> None:
    assert BatchingParameters().rounded(7) == 7
