"""The reader of a SavedModel's nodes, which works without TensorFlow, as its import takes several seconds.

Only the fields that decide whether a server can load the graph are declared here, with the numbers of
TensorFlow's ``.proto`` files. The parser skips all other fields, such as the weights of constants.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from dataset.errors import DataError
from serving.protobuf import compile_messages

SAVED_MODEL_FILE = "saved_model.pb"

# In the file, a map is a repeated message of key and value, and an enum is an int32.
_MESSAGES = {
    "tensorflow.SavedModel": ["2 repeated tensorflow.MetaGraphDef meta_graphs"],
    "tensorflow.MetaGraphDef": ["1 tensorflow.MetaInfoDef meta_info_def", "2 tensorflow.GraphDef graph_def"],
    "tensorflow.MetaInfoDef": ["4 repeated string tags"],
    "tensorflow.GraphDef": [
        "1 repeated tensorflow.NodeDef node",
        "2 tensorflow.FunctionDefLibrary library",
        "4 tensorflow.VersionDef versions",
    ],
    "tensorflow.VersionDef": [
        "1 int32 producer",
        "2 int32 min_consumer",
        "3 repeated int32 bad_consumers",
    ],
    "tensorflow.FunctionDefLibrary": ["1 repeated tensorflow.FunctionDef function"],
    "tensorflow.FunctionDef": ["1 tensorflow.OpDef signature", "3 repeated tensorflow.NodeDef node_def"],
    "tensorflow.OpDef": ["1 string name"],
    "tensorflow.NodeDef": [
        "1 string name",
        "2 string op",
        "3 repeated string input",
        "5 repeated tensorflow.AttrEntry attr",
    ],
    "tensorflow.AttrEntry": ["1 string key", "2 tensorflow.AttrValue value"],
    "tensorflow.AttrValue": [
        "1 tensorflow.ListValue list",
        "2 bytes s",
        "3 int64 i",
        "6 int32 type",
        "9 string placeholder",
    ],
    "tensorflow.ListValue": ["2 repeated bytes s", "6 repeated int32 type"],
}
# Only the syntax of version 2 tells a number that is 0 from a missing one.
_SAVED_MODEL = compile_messages(_MESSAGES, syntax="proto2")["tensorflow.SavedModel"]


def read_saved_model(folder: Path) -> Any:
    """Reads a SavedModel's graphs.

    Args:
        folder: The directory of one version.

    Returns:
        TensorFlow's ``SavedModel``, with the fields declared above only.

    Raises:
        DataError: If there is no SavedModel, or if it cannot be read.
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
