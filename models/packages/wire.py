"""Protocol buffers' wire format, for files of packages whose message classes are not at hand."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Value = int | memoryview


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """The number and the value of each field, in order.

    A varint is an integer; all else is its bytes, which may be a message, a text or packed numbers.

    Raises:
        ValueError: If a field has another wire type, or ends behind the message.
    """
    place = 0
    while place < len(message):
        key, place = varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = varint(message, place)
            yield number, value
            continue
        if kind == _BYTES:
            size, place = varint(message, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"The wire type of a field must be 0, 1, 2 or 5. Got {kind}.")
        if place + size > len(message):
            raise ValueError(f"A field must end within its message. Got {size} bytes at {place}.")
        yield number, message[place : place + size]
        place += size


def varint(message: memoryview, place: int) -> tuple[int, int]:
    """The variable-length integer at a place, and the place behind it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def field(number: int, value: float | bytes) -> bytes:
    """A field: an integer as a varint, which must not be negative, a float in 32 bits, bytes as they are."""
    if isinstance(value, bytes):
        return _varint(number << 3 | _BYTES) + _varint(len(value)) + value
    if isinstance(value, float):
        return _varint(number << 3 | _FIXED32) + struct.pack("<f", value)
    return _varint(number << 3 | _VARINT) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
