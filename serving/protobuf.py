"""Protobuf messages declared in Python, for ``.proto`` files whose generated modules are missing or slow.

A field is declared as in a ``.proto`` file, its number first: ``"2 repeated string tags"``. Instead of
``repeated`` it may say ``map``, for a map from strings, or ``oneof:NAME``, for a member of that oneof.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
_WELL_KNOWN = (any_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR)

Enums = Mapping[str, Mapping[str, int]]


def compile_messages(
    messages: Mapping[str, Sequence[str]], *, enums: Enums | None = None, syntax: str = "proto3"
) -> dict[str, Any]:
    """Makes a class of each message.

    The classes live in a descriptor pool of their own. The default pool stays free for generated modules, so
    that both work in one process.

    Args:
        messages: The fields of each message by its full name. A message may be nested in another one, and may
            use ``google.protobuf.Any`` and its wrappers of scalars. A nested package may use the one around
            it.
        enums: The numbers of each enum's values by its full name.
        syntax: ``proto2`` or ``proto3``. Only ``proto2`` tells a number that is 0 from a missing one.

    Returns:
        The classes by the full names of the messages.

    Example:
        >>> classes = compile_messages({"shop.Item": ["1 string id", "2 repeated int64 prices"]})
        >>> classes["shop.Item"](id="apron", prices=[5]).prices
        [5]
    """
    enums = enums or {}
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    declared: dict[str, descriptor_pb2.DescriptorProto] = {}

    def file_of(package: str) -> descriptor_pb2.FileDescriptorProto:
        if package not in files:
            used = [*(file.name for file in _WELL_KNOWN), *(file.name for file in files.values())]
            files[package] = descriptor_pb2.FileDescriptorProto(
                name=f"tandem/{package}.proto", package=package, syntax=syntax, dependency=used
            )
        return files[package]

    # Outer messages and packages come before those nested in them.
    for full_name in sorted(messages, key=lambda name: name.count(".")):
        parent, _, name = full_name.rpartition(".")
        siblings = declared[parent].nested_type if parent in declared else file_of(parent).message_type
        declared[full_name] = siblings.add(name=name)
        for declaration in messages[full_name]:
            _add_field(declared[full_name], declaration, full_name, enums)
    for full_name, values in enums.items():
        parent, _, name = full_name.rpartition(".")
        enum = (declared[parent] if parent in declared else file_of(parent)).enum_type.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)
    pool = _build_pool(files.values())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in messages}


def _add_field(
    message: descriptor_pb2.DescriptorProto, declaration: str, full_name: str, enums: Enums
) -> None:
    number, *rule, kind, name = declaration.split()
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_ENUM if kind in enums else _Field.TYPE_MESSAGE
        field.type_name = f".{kind}"
    if rule == ["repeated"]:
        field.label = _Field.LABEL_REPEATED
    elif rule == ["map"]:
        # The entry has protoc's name: signature_def becomes SignatureDefEntry.
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, "1 string key", full_name, enums)
        _add_field(entry, f"2 {kind} value", full_name, enums)
        field.label = _Field.LABEL_REPEATED
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{full_name}.{entry.name}"
    elif rule:
        oneof = rule[0].removeprefix("oneof:")
        names = [declared.name for declared in message.oneof_decl]
        if oneof not in names:
            message.oneof_decl.add(name=oneof)
            names.append(oneof)
        field.oneof_index = names.index(oneof)


def _build_pool(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for known in _WELL_KNOWN:
        pool.AddSerializedFile(known.serialized_pb)
    for file in files:
        pool.AddSerializedFile(file.SerializeToString())
    return pool
