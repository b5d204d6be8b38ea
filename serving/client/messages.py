"""TensorFlow Serving's messages without TensorFlow.

``tensorflow_serving.apis`` imports TensorFlow, which takes a client several seconds. The messages a client
needs are declared here instead, with the names and numbers of the public ``.proto`` files, in a descriptor
pool of their own: the default pool stays free for the generated modules, so both live in one process.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}
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
    # Only an empty list is ever sent, so what a model's entry holds is left out.
    "tensorflow.serving.ModelConfigList": [],
    "tensorflow.serving.ModelServerConfig": [
        "1 oneof:config tensorflow.serving.ModelConfigList model_config_list",
    ],
    "tensorflow.serving.ReloadConfigRequest": ["1 tensorflow.serving.ModelServerConfig config"],
    "tensorflow.serving.ReloadConfigResponse": ["1 tensorflow.serving.StatusProto status"],
}


def _add_field(message: descriptor_pb2.DescriptorProto, declaration: str, full_name: str) -> None:
    """Adds ``"NUMBER [repeated|map|oneof:NAME] TYPE NAME"`` to ``message``."""
    number, *rule, kind, name = declaration.split()
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_ENUM if kind in _ENUMS else _Field.TYPE_MESSAGE
        field.type_name = f".{kind}"
    if rule == ["repeated"]:
        field.label = _Field.LABEL_REPEATED
    elif rule == ["map"]:
        # protoc's name for it: signature_def becomes SignatureDefEntry.
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "1 string key", full_name)
        _add_field(entry, f"2 {kind} value", full_name)
        field.label = _Field.LABEL_REPEATED
        field.type_name = f".{full_name}.{entry.name}"
    elif rule:
        oneof = rule[0].removeprefix("oneof:")
        if oneof not in [declared.name for declared in message.oneof_decl]:
            message.oneof_decl.add(name=oneof)
        field.oneof_index = [declared.name for declared in message.oneof_decl].index(oneof)


def _build_pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    well_known = [any_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR]
    for descriptor in well_known:
        pool.AddSerializedFile(descriptor.serialized_pb)
    files = {
        package: descriptor_pb2.FileDescriptorProto(
            name=f"tandem/{package}.proto", package=package, syntax="proto3", dependency=dependencies
        )
        for package, dependencies in (
            ("tensorflow", []),
            ("tensorflow.serving", [d.name for d in well_known] + ["tandem/tensorflow.proto"]),
        )
    }
    messages: dict[str, descriptor_pb2.DescriptorProto] = {}
    for full_name in sorted(_MESSAGES, key=lambda name: name.count(".")):
        parent, name = full_name.rsplit(".", 1)
        siblings = messages[parent].nested_type if parent in messages else files[parent].message_type
        messages[full_name] = siblings.add(name=name)
        for declaration in _MESSAGES[full_name]:
            _add_field(messages[full_name], declaration, full_name)
    for full_name, values in _ENUMS.items():
        parent, name = full_name.rsplit(".", 1)
        enums = messages[parent].enum_type if parent in messages else files[parent].enum_type
        enum = enums.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)
    for file in files.values():
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _build_pool()


def _message_class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


TensorShapeProto = _message_class("tensorflow.TensorShapeProto")
TensorProto = _message_class("tensorflow.TensorProto")
ModelSpec = _message_class("tensorflow.serving.ModelSpec")
PredictRequest = _message_class("tensorflow.serving.PredictRequest")
PredictResponse = _message_class("tensorflow.serving.PredictResponse")
GetModelStatusRequest = _message_class("tensorflow.serving.GetModelStatusRequest")
GetModelStatusResponse = _message_class("tensorflow.serving.GetModelStatusResponse")
GetModelMetadataRequest = _message_class("tensorflow.serving.GetModelMetadataRequest")
GetModelMetadataResponse = _message_class("tensorflow.serving.GetModelMetadataResponse")
SignatureDefMap = _message_class("tensorflow.serving.SignatureDefMap")
ReloadConfigRequest = _message_class("tensorflow.serving.ReloadConfigRequest")
ReloadConfigResponse = _message_class("tensorflow.serving.ReloadConfigResponse")

DATA_TYPES: dict[int, str] = {number: name for name, number in _ENUMS["tensorflow.DataType"].items()}
STATES: dict[int, str] = {
    number: name for name, number in _ENUMS["tensorflow.serving.ModelVersionStatus.State"].items()
}
