from __future__ import annotations

import pytest
from google.protobuf import any_pb2, descriptor_pool, wrappers_pb2

from serving.protobuf import compile_messages

_MESSAGES = {
    # A nested package may come first.
    "shop.orders.Order": [
        "1 shop.Item item",
        "4 oneof:buyer string name",
        "5 oneof:buyer google.protobuf.Int64Value number",
        "6 google.protobuf.Any note",
    ],
    "shop.Item": ["2 repeated shop.Item.Price prices", "7 map double share_of", "9 shop.Color color"],
    "shop.Item.Price": ["1 int64 cents"],
}
_ENUMS = {"shop.Color": {"NONE": 0, "RED": 3}}


def test_every_rule_of_a_field_reaches_the_wire() -> None:
    classes = compile_messages(_MESSAGES, enums=_ENUMS)
    item = classes["shop.Item"](prices=[{"cents": 5}, {}], share_of={"a": 0.5}, color="RED")
    order = classes["shop.orders.Order"](item=item, number={"value": 7}, note={"type_url": "x"})

    wire = order.SerializeToString()

    price = bytes([2 << 3 | 2, 2, 1 << 3, 5, 2 << 3 | 2, 0])
    share = bytes([7 << 3 | 2, 12, 1 << 3 | 2, 1]) + b"a" + bytes([2 << 3 | 1]) + bytes(6) + b"\xe0\x3f"
    color = bytes([9 << 3, 3])
    number = wrappers_pb2.Int64Value(value=7).SerializeToString()
    note = any_pb2.Any(type_url="x").SerializeToString()
    parts = {1: price + share + color, 5: number, 6: note}
    assert wire == b"".join(bytes([field << 3 | 2, len(part)]) + part for field, part in parts.items())
    assert classes["shop.orders.Order"].FromString(wire) == order


def test_member_of_a_oneof_takes_the_place_of_another() -> None:
    order = compile_messages(_MESSAGES, enums=_ENUMS)["shop.orders.Order"](name="a")

    order.number.value = 1

    assert order.WhichOneof("buyer") == "number"
    assert order.name == ""


def test_syntax_says_whether_a_zero_is_told_from_nothing() -> None:
    declaration = {"shop.Price": ["1 int64 cents"]}
    zero = b"\x08\x00"

    with_presence = compile_messages(declaration, syntax="proto2")["shop.Price"].FromString(zero)

    assert with_presence.HasField("cents")
    assert with_presence.SerializeToString() == zero
    assert compile_messages(declaration)["shop.Price"].FromString(zero).SerializeToString() == b""


def test_default_pool_stays_free() -> None:
    first, second = compile_messages(_MESSAGES, enums=_ENUMS), compile_messages(_MESSAGES, enums=_ENUMS)

    assert first["shop.Item"] is not second["shop.Item"]
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("shop.Item")
