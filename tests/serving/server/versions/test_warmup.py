from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.metrics import Metrics
from serving.server.status_error import StatusError
from serving.server.versions.loaded_model import LoadedModel
from serving.server.versions.warmup import FILE, warm_up


@pytest.fixture(scope="module")
def model(model_path: Path) -> Iterator[LoadedModel]:
    model = LoadedModel(model_path)
    yield model
    model.retire()


def _write(path: Path, records: list[bytes]) -> None:
    (path / FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(path / FILE)) as writer:
        for record in records:
            writer.write(record)


def _record(signature: str, text: str = "") -> bytes:
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = "whatever the writer called it"
    request.model_spec.signature_name = signature
    request.inputs["item_id"].CopyFrom(tf.make_tensor_proto(["apron"]))
    request.inputs["text"].CopyFrom(tf.make_tensor_proto([text]))
    serialised: bytes = log.SerializeToString()
    return serialised


def test_every_record_is_replayed(model: LoadedModel) -> None:
    assert warm_up(model) == 1


def test_every_record_is_replayed_as_often_as_asked_for(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, [_record("embed_item")] * 2)
    monkeypatch.setattr(model, "path", tmp_path)
    monkeypatch.setattr(model, "metrics", Metrics())

    assert warm_up(model, num_iterations=3) == 2

    (line,) = [line for line in model.metrics.render().splitlines() if ":runtime_latency_count{" in line]
    assert 'API="Predict"' in line
    assert line.endswith(" 6")


def test_no_file_is_fine(model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "path", tmp_path)

    assert warm_up(model) == 0


@pytest.mark.parametrize(
    ("records", "code", "message"),
    [
        ([_record("nothing")], "FAILED_PRECONDITION", 'Serving signature key "nothing" not found.'),
        ([b"\xff\xff"], "INVALID_ARGUMENT", "Failed to parse warmup record: "),
        (
            [_record("embed_item")] * 1001,
            "INVALID_ARGUMENT",
            "Number of warmup records exceeds the maximum (1000)",
        ),
        (
            [prediction_log_pb2.PredictionLog(session_run_log={}).SerializeToString()],
            "UNIMPLEMENTED",
            "Unsupported log_type for warmup: 5",
        ),
        (
            [prediction_log_pb2.PredictionLog(classify_log={}).SerializeToString()],
            "UNIMPLEMENTED",
            "Unsupported log_type for warmup: 2",
        ),
    ],
    ids=["request fails", "not a log", "too many", "session", "examples"],
)
def test_error_fails_the_load(
    model: LoadedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    records: list[bytes],
    code: str,
    message: str,
) -> None:
    _write(tmp_path, records)
    monkeypatch.setattr(model, "path", tmp_path)

    with pytest.raises(StatusError) as error:
        warm_up(model)

    assert error.value.code.name == code
    assert error.value.message.startswith(message)


def test_file_that_is_no_tfrecord_fails_the_load(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, [])
    (tmp_path / FILE).write_bytes(b"something else altogether")
    monkeypatch.setattr(model, "path", tmp_path)

    with pytest.raises(StatusError, match="verify your warmup data is in TFRecord format") as error:
        warm_up(model)

    assert error.value.code.name == "DATA_LOSS"


def test_empty_record_is_skipped(model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, [prediction_log_pb2.PredictionLog().SerializeToString()])
    monkeypatch.setattr(model, "path", tmp_path)

    assert warm_up(model) == 1
