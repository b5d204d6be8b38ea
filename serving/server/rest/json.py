"""JSON of the REST API: read from requests, and quoted in messages as TensorFlow Serving quotes it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np

from serving.server.status_error import StatusError, invalid_argument

INDENT = " " * 4
# Longer values would fill the message and hide what is wrong with them.
_MAX_QUOTED = 256
# NumPy's own number would round a double that it is compared with.
_MAX_FLOAT = float(np.finfo(np.float32).max)

# The words of Python's parser -> those of the real server's.
_SENTENCES = {
    "Expecting value": "Invalid value.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
    "Invalid control character at": "Invalid encoding in string.",
    "Extra data": "The document root must not be followed by other values.",
}
# At every backslash this matches a pair of surrogates, else a surrogate on its own, else any other escape.
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<alone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]')
# Numbers with these parts, once every digit is a 0, may be too large for 64 bits or for a double. To look for
# them is many times as fast as a regular expression.
_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_LARGE_NUMBERS = (b"0" * 19, b"e000", b"e+000")
_TYPE_NAMES = {
    type(None): "Null",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}


def parse(body: bytes) -> dict[str, Any]:
    """Reads the object that is a request's body; integers in it fit into 64 bits, strings into utf-8.

    Raises:
        StatusError: If it is no JSON, or no object.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse("Invalid encoding in string.", error.start)
    if _SURROGATE.search(text):
        for escape in _ESCAPE.finditer(text):
            if escape["alone"]:
                _refuse("The surrogate pair in string is invalid.", _num_bytes(text, escape.start()))
    hooks: dict[str, Any] = {}
    zeroed = body.translate(_ZEROS)
    if any(number in zeroed for number in _LARGE_NUMBERS):
        hooks = {"parse_int": _parse_int, "parse_float": _parse_float}
    try:
        document = json.loads(text, **hooks)
    except json.JSONDecodeError as error:
        _refuse(_sentence(error), _num_bytes(text, error.pos))
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: The document is nested too deeply") from error
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {quote(document)} Is not object")
    return document


def _parse_int(text: str) -> int | float:
    # The real server reads a number that does not fit into 64 bits as a floating-point number.
    if len(text) < 21 and -(2**63) <= int(text) < 2**64:
        return int(text)
    return _parse_float(text)


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise invalid_argument("JSON Parse error: Number too big to be stored in double.")
    return number


def _refuse(sentence: str, offset: int) -> NoReturn:
    raise invalid_argument(f"JSON Parse error: {sentence} at offset: {offset}")


def _num_bytes(text: str, length: int) -> int:
    return len(text[:length].encode(errors="surrogatepass"))


def _sentence(error: json.JSONDecodeError) -> str:
    if not error.doc.strip():
        return "The document is empty."
    if error.msg == "Expecting ',' delimiter":
        open_brackets = []
        for token in _BRACKET.findall(error.doc[: error.pos]):
            if token in ("[", "{"):
                open_brackets.append(token)
            elif token in ("]", "}"):
                open_brackets.pop()
        if open_brackets[-1] == "[":
            return "Missing a comma or ] after an array element."
        return "Missing a comma or } after an object member."
    return _SENTENCES.get(error.msg.removesuffix(": "), f"{error.msg}.")


def quote(value: Any) -> str:
    """A JSON value as it stands in a message: indented by four, at most its first 256 characters."""
    if isinstance(value, float):
        single = abs(value) <= _MAX_FLOAT
        return write_decimals(np.array([value], dtype=np.float32 if single else np.float64))[0]
    quoted = ""
    # It is written in pieces, because writing out a large body would take longer than answering it.
    for piece in json.JSONEncoder(indent=len(INDENT), ensure_ascii=False).iterencode(value):
        quoted += piece
        if len(quoted) > _MAX_QUOTED:
            return f"{quoted[:_MAX_QUOTED]}..."
    return quoted


def type_name(value: Any) -> str:
    """The real server's name for the type of a JSON value."""
    if isinstance(value, bool):
        return str(value)
    return _TYPE_NAMES[type(value)]


def write_string(text: bytes) -> str:
    """The JSON string of ``text``; bytes that are no utf-8 go out as they are, marked by surrogates."""
    return json.dumps(text.decode(errors="surrogateescape"), ensure_ascii=False)


def write_decimals(values: np.ndarray[Any, Any]) -> list[str]:
    """The JSON numbers of floats: six digits if they suffice to read the same number, else all.

    Whole numbers keep a point, so that a reader takes all values of a list for the same type.

    Args:
        values: float32 or float64 ``[num_values]``.

    Example:
        >>> write_decimals(np.array([3.0, 0.1, 1 / 3, 9e6, np.inf], dtype=np.float32))
        ['3.0', '0.1', '0.333333343', '9e+06', 'Infinity']
    """
    numbers = values.tolist()
    texts = [f"{number:g}" for number in numbers]
    digits = 9 if values.dtype == np.float32 else 17
    with np.errstate(over="ignore"):
        read_back = np.array(texts, dtype=np.float64).astype(values.dtype)
    for index in np.flatnonzero(read_back != values).tolist():
        texts[index] = f"{numbers[index]:.{digits}g}"
    return [_finish(text) for text in texts]


def _finish(text: str) -> str:
    if "." in text or "e" in text:
        return text
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return names.get(text) or f"{text}.0"


def write_array(texts: Iterable[str], *, depth: int | None = None) -> str:
    """A JSON array of values already written: one a line, or all in one line when ``depth`` is None.

    Args:
        texts: The values.
        depth: The number of arrays and objects around it.
    """
    if depth is None:
        return f"[{', '.join(texts)}]"
    return _enclose("[", texts, "]", depth)


def write_object(members: Iterable[tuple[str, str]], *, depth: int) -> str:
    """A JSON object of values already written, one a line; ``depth`` as in ``write_array``."""
    texts = (f"{json.dumps(key, ensure_ascii=False)}: {text}" for key, text in members)
    return _enclose("{", texts, "}", depth)


def _enclose(start: str, texts: Iterable[str], end: str, depth: int) -> str:
    lines = f",\n{INDENT * (depth + 1)}".join(texts)
    return f"{start}\n{INDENT * (depth + 1)}{lines}\n{INDENT * depth}{end}" if lines else start + end


def write_error(error: StatusError) -> str:
    """The body that reports an error."""
    message = json.dumps(error.message, ensure_ascii=False)
    return write_object([("error", message)], depth=0)
