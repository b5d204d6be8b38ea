"""The nodes of a SavedModel, read from its file without TensorFlow, whose import takes several seconds.

Only the fields that say whether a server can load the graph are declared, with the numbers of TensorFlow's
``.proto`` files; the parser skips all others, the weights of constants among them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from dataset.errors import DataError

SAVED_MODEL_FILE = "saved_model.pb"

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _Field.TYPE_BYTES,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
}
# A map is, in the file, a repeated message of key and value; an enum is an int32.
_MESSAGES = {
    "SavedModel": ["2 repeated MetaGraphDef meta_graphs"],
    "MetaGraphDef": ["1 optional MetaInfoDef meta_info_def", "2 optional GraphDef graph_def"],
    "MetaInfoDef": ["4 repeated string tags"],
    "GraphDef": [
        "1 repeated NodeDef node",
        "2 optional FunctionDefLibrary library",
        "4 optional VersionDef versions",
    ],
    "VersionDef": [
        "1 optional int32 producer",
        "2 optional int32 min_consumer",
        "3 repeated int32 bad_consumers",
    ],
    "FunctionDefLibrary": ["1 repeated FunctionDef function"],
    "FunctionDef": ["1 optional OpDef signature", "3 repeated NodeDef node_def"],
    "OpDef": ["1 optional string name"],
    "NodeDef": [
        "1 optional string name",
        "2 optional string op",
        "3 repeated string input",
        "5 repeated AttrEntry attr",
    ],
    "AttrEntry": ["1 optional string key", "2 optional AttrValue value"],
    "AttrValue": [
        "1 optional ListValue list",
        "2 optional bytes s",
        "3 optional int64 i",
        "6 optional int32 type",
        "9 optional string placeholder",
    ],
    "ListValue": ["2 repeated bytes s", "6 repeated int32 type"],
}


def read_saved_model(folder: Path) -> Any:
    """Reads a SavedModel's graphs.

    Args:
        folder: The directory of one version.

    Returns:
        TensorFlow's ``SavedModel``, of which only the fields above can be asked for.

    Raises:
        DataError: There is none, or it cannot be read.
    """
    path = folder / SAVED_MODEL_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} must be a file that can be read. Got: {error.strerror}.") from None
    try:
        saved_model = _SAVED_MODEL.FromString(content)
    except DecodeError:
        saved_model = _SAVED_MODEL()
    if not saved_model.meta_graphs:
        raise DataError(
            f"{path} must be a SavedModel with a graph. Got {len(content)} bytes that hold none; "
            "the file may be cut off or of another kind."
        )
    return saved_model


def _saved_model_class() -> Any:
    # The syntax of version 2 tells a number that is 0 from one that is not there.
    file = descriptor_pb2.FileDescriptorProto(
        name="tandem/saved_model.proto", package="tandem", syntax="proto2"
    )
    for name, declarations in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for declaration in declarations:
            number, rule, kind, field_name = declaration.split()
            field = message.field.add(name=field_name, number=int(number))
            field.label = _Field.LABEL_REPEATED if rule == "repeated" else _Field.LABEL_OPTIONAL
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".tandem.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tandem.SavedModel"))


_SAVED_MODEL = _saved_model_class()
