"""Messages of the server's configuration files, which are text protos.

``ModelServerConfig`` comes with ``tensorflow-serving-api``. The other three do not, so they are declared here
with the field names and numbers of TensorFlow Serving, and its files are read with their typos found.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

import grpc
from google.protobuf import text_format
from google.protobuf.message import Message

from serving.protobuf import compile_messages
from serving.server.status_error import StatusError, invalid_argument

AnyMessage = TypeVar("AnyMessage", bound=Message)

_CLASSES = compile_messages(
    {
        "tensorflow.serving.BatchingParameters": [
            "1 google.protobuf.Int64Value max_batch_size",
            "2 google.protobuf.Int64Value batch_timeout_micros",
            "3 google.protobuf.Int64Value max_enqueued_batches",
            "4 google.protobuf.Int64Value num_batch_threads",
            "5 google.protobuf.StringValue thread_pool_name",
            "6 repeated int64 allowed_batch_sizes",
            "7 bool pad_variable_length_inputs",
            "8 google.protobuf.BoolValue enable_large_batch_splitting",
            "9 google.protobuf.Int64Value max_execution_batch_size",
        ],
        "tensorflow.serving.PrometheusConfig": ["1 bool enable", "2 string path"],
        "tensorflow.serving.MonitoringConfig": ["1 tensorflow.serving.PrometheusConfig prometheus_config"],
        "tensorflow.serving.SSLConfig": [
            "1 string server_key",
            "2 string server_cert",
            "3 string custom_ca",
            "4 bool client_verify",
        ],
    }
)
BatchingParameters = _CLASSES["tensorflow.serving.BatchingParameters"]
MonitoringConfig = _CLASSES["tensorflow.serving.MonitoringConfig"]
SSLConfig = _CLASSES["tensorflow.serving.SSLConfig"]


def parse_text(path: Path, message_class: type[AnyMessage]) -> AnyMessage:
    """Reads a text proto; what is wrong in it goes to standard error, where the real server writes it.

    Raises:
        StatusError: If the file cannot be read or is no text form of the message.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise StatusError(grpc.StatusCode.NOT_FOUND, f"{path}; No such file or directory") from error
    except OSError as error:
        raise StatusError(grpc.StatusCode.UNKNOWN, f"{path}; {error.strerror}") from error
    message = message_class()
    try:
        text_format.Parse(text.decode(), message)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        full_name = message_class.DESCRIPTOR.full_name
        print(f"Error parsing text-format {full_name}: {error}", file=sys.stderr, flush=True)
        raise invalid_argument(f"Invalid protobuf file: '{path}'") from error
    return message
