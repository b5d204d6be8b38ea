"""Warm-up of a version: the requests that it brings along are replayed before it is made available."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.methods.predict import predict
from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions.loaded_model import LoadedModel

FILE = Path("assets.extra", "tf_serving_warmup_requests")
_MAX_RECORDS = 1000


def warm_up(model: LoadedModel, *, num_iterations: int = 1) -> int:
    """Answers every recorded request of the model's warm-up file; no file is fine.

    Args:
        model: The model that answers.
        num_iterations: Times that each request is answered.

    Returns:
        The number of records.

    Raises:
        StatusError: If the file cannot be read or a request fails: such a version must not be served.
    """
    path = model.path / FILE
    if not path.exists():
        return 0
    started_s = time.perf_counter()
    count, status = 0, grpc.StatusCode.OK
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            count += 1
            if count > _MAX_RECORDS:
                raise invalid_argument(
                    f"Number of warmup records exceeds the maximum ({_MAX_RECORDS}) at {path}"
                )
            log = _parse(record, path)
            for _ in range(num_iterations):
                _replay(model, log)
    except tf.errors.DataLossError as error:
        status = grpc.StatusCode.DATA_LOSS
        message = f"{error.message}. Please verify your warmup data is in TFRecord format."
        raise StatusError(status, message) from error
    except StatusError as error:
        status = error.code
        raise
    finally:
        latency_us = 1e6 * (time.perf_counter() - started_s)
        model.metrics.model_warmup_latency.observe(latency_us, str(model.path), status.name)
        model.metrics.model_warmup_records_read.increment(str(model.path), status.name, by=count)
    return count


def _parse(record: bytes, path: Path) -> prediction_log_pb2.PredictionLog:
    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record: {error} from {path}") from error


def _replay(model: LoadedModel, log: prediction_log_pb2.PredictionLog) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        predict(model, log.predict_log.request)
    elif kind is not None:
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise StatusError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
