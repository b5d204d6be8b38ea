"""Warm-up: replays the requests that a version brings along before it is made available."""

from __future__ import annotations

from pathlib import Path

import grpc
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.loaded_model import LoadedModel
from serving.server.predict import predict
from serving.server.status_error import StatusError, invalid_argument

FILE = Path("assets.extra", "tf_serving_warmup_requests")
_MAX_RECORDS = 1000


def warm_up(model: LoadedModel) -> int:
    """Answers every recorded request of the model's warm-up file; no file is fine.

    Returns:
        The number of records.

    Raises:
        StatusError: When the file cannot be read or a request fails: such a version must not be served.
    """
    path = model.path / FILE
    if not path.exists():
        return 0
    count = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            count += 1
            if count > _MAX_RECORDS:
                raise invalid_argument(
                    f"Number of warmup records exceeds the maximum ({_MAX_RECORDS}) at {path}"
                )
            _replay(model, record, path)
    except tf.errors.DataLossError as error:
        message = f"{error.message}. Please verify your warmup data is in TFRecord format."
        raise StatusError(grpc.StatusCode.DATA_LOSS, message) from error
    return count


def _replay(model: LoadedModel, record: bytes, path: Path) -> None:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid_argument(f"Failed to parse warmup record: {error} from {path}") from error
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        predict(model, log.predict_log.request)
    elif kind is not None:
        raise StatusError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind} at {path}")
