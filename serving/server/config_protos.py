"""The messages of the server's configuration files, read as text protos.

``ModelServerConfig`` comes with ``tensorflow-serving-api``. The other three do not, so they are declared here
with the field names and numbers of TensorFlow Serving, and its files are read with their typos found.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message

from serving.server.status_error import StatusError, invalid_argument

AnyMessage = TypeVar("AnyMessage", bound=Message)

_PACKAGE = "tensorflow.serving"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {"bool": _Field.TYPE_BOOL, "int64": _Field.TYPE_INT64, "string": _Field.TYPE_STRING}

# Message -> its fields in the order of their numbers, which start at 1: type and name.
_MESSAGES: dict[str, list[tuple[str, str]]] = {
    "BatchingParameters": [
        ("google.protobuf.Int64Value", "max_batch_size"),
        ("google.protobuf.Int64Value", "batch_timeout_micros"),
        ("google.protobuf.Int64Value", "max_enqueued_batches"),
        ("google.protobuf.Int64Value", "num_batch_threads"),
        ("google.protobuf.StringValue", "thread_pool_name"),
        ("repeated int64", "allowed_batch_sizes"),
        ("bool", "pad_variable_length_inputs"),
        ("google.protobuf.BoolValue", "enable_large_batch_splitting"),
        ("google.protobuf.Int64Value", "max_execution_batch_size"),
    ],
    "PrometheusConfig": [("bool", "enable"), ("string", "path")],
    "MonitoringConfig": [(f"{_PACKAGE}.PrometheusConfig", "prometheus_config")],
    "SSLConfig": [
        ("string", "server_key"),
        ("string", "server_cert"),
        ("string", "custom_ca"),
        ("bool", "client_verify"),
    ],
}


def _declare() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="tandem/server_config.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        for number, (type_name, field_name) in enumerate(fields, start=1):
            repeated = type_name.startswith("repeated ")
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            field = message.field.add(name=field_name, number=number, label=label)
            scalar = _SCALARS.get(type_name.removeprefix("repeated "))
            if scalar is None:
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{type_name}"
            else:
                field.type = scalar
    # A pool of their own: a later tensorflow-serving-api may register messages of the same names.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return pool


_POOL = _declare()


def _message_class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


BatchingParameters = _message_class("BatchingParameters")
MonitoringConfig = _message_class("MonitoringConfig")
SSLConfig = _message_class("SSLConfig")


def parse_text(path: Path, message_class: type[AnyMessage]) -> AnyMessage:
    """Reads a text proto; what is wrong in it goes to standard error, where the real server writes it.

    Raises:
        StatusError: When the file cannot be read or is no text form of the message.
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
