"""The messages of TensorFlow Serving, declared without TensorFlow.

``tensorflow_serving.apis`` imports TensorFlow, which takes a client several seconds. So the messages that a
client needs are declared here, with the names and numbers of the public ``.proto`` files.
"""

from __future__ import annotations

from serving.protobuf import compile_messages

_ENUMS = {
    "tensorflow.DataType": {
        "DT_INVALID": 0,
        "DT_FLOAT": 1,
        "DT_DOUBLE": 2,
        "DT_INT32": 3,
        "DT_UINT8": 4,
        "DT_INT16": 5,
        "DT_INT8": 6,
        "DT_STRING": 7,
        "DT_COMPLEX64": 8,
        "DT_INT64": 9,
        "DT_BOOL": 10,
        "DT_QINT8": 11,
        "DT_QUINT8": 12,
        "DT_QINT32": 13,
        "DT_BFLOAT16": 14,
        "DT_QINT16": 15,
        "DT_QUINT16": 16,
        "DT_UINT16": 17,
        "DT_COMPLEX128": 18,
        "DT_HALF": 19,
        "DT_RESOURCE": 20,
        "DT_VARIANT": 21,
        "DT_UINT32": 22,
        "DT_UINT64": 23,
    },
    "tensorflow.serving.ModelVersionStatus.State": {
        "UNKNOWN": 0,
        "START": 10,
        "LOADING": 20,
        "AVAILABLE": 30,
        "UNLOADING": 40,
        "END": 50,
    },
}
_MESSAGES = {
    "tensorflow.TensorShapeProto.Dim": ["1 int64 size", "2 string name"],
    "tensorflow.TensorShapeProto": ["2 repeated tensorflow.TensorShapeProto.Dim dim", "3 bool unknown_rank"],
    "tensorflow.TensorProto": [
        "1 tensorflow.DataType dtype",
        "2 tensorflow.TensorShapeProto tensor_shape",
        "3 int32 version_number",
        "4 bytes tensor_content",
        "5 repeated float float_val",
        "6 repeated double double_val",
        "7 repeated int32 int_val",
        "8 repeated bytes string_val",
        "9 repeated float scomplex_val",
        "10 repeated int64 int64_val",
        "11 repeated bool bool_val",
        "12 repeated double dcomplex_val",
        "13 repeated int32 half_val",
        "16 repeated uint32 uint32_val",
        "17 repeated uint64 uint64_val",
    ],
    "tensorflow.TensorInfo": [
        "1 oneof:encoding string name",
        "2 tensorflow.DataType dtype",
        "3 tensorflow.TensorShapeProto tensor_shape",
    ],
    "tensorflow.SignatureDef": [
        "1 map tensorflow.TensorInfo inputs",
        "2 map tensorflow.TensorInfo outputs",
        "3 string method_name",
        "4 map tensorflow.TensorProto defaults",
    ],
    "tensorflow.serving.StatusProto": ["1 int32 error_code", "2 string error_message"],
    "tensorflow.serving.ModelSpec": [
        "1 string name",
        "2 oneof:version_choice google.protobuf.Int64Value version",
        "3 string signature_name",
        "4 oneof:version_choice string version_label",
    ],
    "tensorflow.serving.PredictRequest": [
        "1 tensorflow.serving.ModelSpec model_spec",
        "2 map tensorflow.TensorProto inputs",
        "3 repeated string output_filter",
    ],
    "tensorflow.serving.PredictResponse": [
        "1 map tensorflow.TensorProto outputs",
        "2 tensorflow.serving.ModelSpec model_spec",
    ],
    "tensorflow.serving.GetModelStatusRequest": ["1 tensorflow.serving.ModelSpec model_spec"],
    "tensorflow.serving.ModelVersionStatus": [
        "1 int64 version",
        "2 tensorflow.serving.ModelVersionStatus.State state",
        "3 tensorflow.serving.StatusProto status",
    ],
    "tensorflow.serving.GetModelStatusResponse": [
        "1 repeated tensorflow.serving.ModelVersionStatus model_version_status",
    ],
    "tensorflow.serving.GetModelMetadataRequest": [
        "1 tensorflow.serving.ModelSpec model_spec",
        "2 repeated string metadata_field",
    ],
    "tensorflow.serving.GetModelMetadataResponse": [
        "1 tensorflow.serving.ModelSpec model_spec",
        "2 map google.protobuf.Any metadata",
    ],
    "tensorflow.serving.SignatureDefMap": ["1 map tensorflow.SignatureDef signature_def"],
    # Clients only ever send an empty list, so the fields of its entries are left out.
    "tensorflow.serving.ModelConfigList": [],
    "tensorflow.serving.ModelServerConfig": [
        "1 oneof:config tensorflow.serving.ModelConfigList model_config_list",
    ],
    "tensorflow.serving.ReloadConfigRequest": ["1 tensorflow.serving.ModelServerConfig config"],
    "tensorflow.serving.ReloadConfigResponse": ["1 tensorflow.serving.StatusProto status"],
}

_CLASSES = compile_messages(_MESSAGES, enums=_ENUMS)

TensorShapeProto = _CLASSES["tensorflow.TensorShapeProto"]
TensorProto = _CLASSES["tensorflow.TensorProto"]
ModelSpec = _CLASSES["tensorflow.serving.ModelSpec"]
PredictRequest = _CLASSES["tensorflow.serving.PredictRequest"]
PredictResponse = _CLASSES["tensorflow.serving.PredictResponse"]
GetModelStatusRequest = _CLASSES["tensorflow.serving.GetModelStatusRequest"]
GetModelStatusResponse = _CLASSES["tensorflow.serving.GetModelStatusResponse"]
GetModelMetadataRequest = _CLASSES["tensorflow.serving.GetModelMetadataRequest"]
GetModelMetadataResponse = _CLASSES["tensorflow.serving.GetModelMetadataResponse"]
SignatureDefMap = _CLASSES["tensorflow.serving.SignatureDefMap"]
ReloadConfigRequest = _CLASSES["tensorflow.serving.ReloadConfigRequest"]
ReloadConfigResponse = _CLASSES["tensorflow.serving.ReloadConfigResponse"]

DATA_TYPES: dict[int, str] = {number: name for name, number in _ENUMS["tensorflow.DataType"].items()}
STATES: dict[int, str] = {
    number: name for name, number in _ENUMS["tensorflow.serving.ModelVersionStatus.State"].items()
}
