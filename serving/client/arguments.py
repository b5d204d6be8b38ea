"""Arguments of a caller, checked and turned into the tensors of the servable's signatures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from dataset.labels import as_label

# The servable scores no more candidates than this in a row. A candidate takes 10 KB while it is scored, and
# every row of a batch is as wide as the widest.
MAX_CANDIDATES = 1000

FILTER_FORMS = '"column=value", "column!=value" or a range such as "price<=20"'

_BOOST = re.compile(rb"[^=]+=.*:(?=[^:eE]*[1-9])(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.DOTALL)
# What a number is compared with is a number, unless a categorical column is called so: "is<18=yes".
_NUMBER = r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
# As JSON Schema spells it too: no flags, and nothing that only Python knows.
FILTER_PATTERN = rf"(?!!=)[^=<>]+(=[\s\S]*|[<>]=?{_NUMBER}|[<>]=?[^=][\s\S]*=[\s\S]*)"
_FILTER = re.compile(FILTER_PATTERN)

Rows = Sequence[Sequence[str]]
Tensors = dict[str, np.ndarray[Any, Any]]


def batch_size(**arguments: Sequence[Any] | None) -> int:
    """The number of rows that all given arguments agree on.

    Raises:
        ValueError: If none is given, if one is not a list of rows, or if they disagree.
    """
    given = {name: rows for name, rows in arguments.items() if rows is not None}
    if not given:
        raise ValueError(f"At least one of {', '.join(arguments)} must be given. Got none.")
    for name, rows in given.items():
        if isinstance(rows, str | bytes):
            raise ValueError(f"{name} must be a list with one entry per row. Got the text {rows!r}.")
    sizes = {name: len(rows) for name, rows in given.items()}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise ValueError(f"All arguments must have the same number of rows. Got {found}.")
    return next(iter(sizes.values()))


def text_tensor(name: str, texts: Sequence[str] | None, batch: int) -> np.ndarray[Any, Any]:
    """One text per row, string ``[batch]``; the texts are empty if none are given."""
    array = np.full(batch, b"", np.object_)
    for row, text in enumerate([] if texts is None else texts):
        array[row] = _encoded(name, text)
    return array


def id_tensor(name: str, ids: Sequence[str] | None, batch: int) -> np.ndarray[Any, Any]:
    """One id per row, as the model has it, string ``[batch]``; "" if none are given."""
    return _as_labels(text_tensor(name, ids, batch))


def ids_tensor(name: str, lists: Rows | None, batch: int) -> np.ndarray[Any, Any]:
    """One list of ids per row, as the model has them, in the form of `list_tensor`."""
    return _as_labels(list_tensor(name, lists, batch))


def list_tensor(name: str, lists: Rows | None, batch: int) -> np.ndarray[Any, Any]:
    """One list of texts per row, string ``[batch, 1 + longest]``: an empty text, the list, then empty texts.

    A server that batches the requests of several callers pads each request to the widest one. It pads with
    the request's own first element, and it refuses a request of width 0. The empty text in front makes both
    harmless.
    """
    rows = [[]] * batch if lists is None else lists
    for row in rows:
        if isinstance(row, str | bytes):
            raise ValueError(f"{name} must have one list of texts per row. Got the text {row!r} as a row.")
    array = np.full((batch, 1 + max(map(len, rows), default=0)), b"", np.object_)
    for number, row in enumerate(rows):
        array[number, 1 : 1 + len(row)] = [_encoded(name, text) for text in row]
    return array


def candidates_tensor(candidates: Rows, batch: int) -> np.ndarray[Any, Any]:
    """The caller's own items, string ``[batch, 1 + longest]``.

    Raises:
        ValueError: If a row has more than `MAX_CANDIDATES`.
    """
    tensor = ids_tensor("candidates", candidates, batch)
    if tensor.shape[1] > 1 + MAX_CANDIDATES:
        raise ValueError(
            f"candidates must have at most {MAX_CANDIDATES:,} items a row. Got {tensor.shape[1] - 1:,}."
        )
    return tensor


def k_tensor(batch: int, k: int) -> np.ndarray[Any, Any]:
    """The most results of a row, int32 ``[batch]``."""
    if not (isinstance(k, int) and 1 <= k <= np.iinfo(np.int32).max):
        raise ValueError(f"k must be a whole number of at least 1. Got {k!r}.")
    return np.full(batch, k, np.int32)


def result_tensors(batch: int, k: int, exclude: Rows | None, filters: Rows | None) -> Tensors:
    """The tensors that limit the answer: ``k`` int32 ``[batch]``, the others string ``[batch, n]``."""
    tensors = {
        "k": k_tensor(batch, k),
        "exclude": ids_tensor("exclude", exclude, batch),
        "filters": list_tensor("filters", filters, batch),
    }
    for text in tensors["filters"].flat:
        if text and not is_filter(text.decode()):
            raise ValueError(f"A filter must be {FILTER_FORMS}. Got {text.decode()!r}.")
    return tensors


def is_filter(text: str) -> bool:
    """Whether a text has one of the forms of a filter; which columns there are only the servable knows."""
    return _FILTER.fullmatch(text) is not None


def wish_tensors(batch: int, diversity: float, boost: Rows | None, pin: Rows | None) -> Tensors:
    """The tensors that rearrange the answer.

    Returns:
        ``diversity`` float32 ``[batch]``; ``boost`` and ``pin`` string ``[batch, n]``.

    Raises:
        ValueError: If the diversity is not between 0 and 1, or if a boost is not ``"column=value:factor"``.
    """
    if not (isinstance(diversity, int | float) and 0 <= diversity <= 1):
        raise ValueError(f"diversity must be from 0 to 1. Got {diversity!r}.")
    tensors = {
        "diversity": np.full(batch, diversity, np.float32),
        "boost": list_tensor("boost", boost, batch),
        "pin": ids_tensor("pin", pin, batch),
    }
    for text in tensors["boost"].flat:
        if text and not _BOOST.fullmatch(text):
            raise ValueError(
                f'A boost must be "column=value:factor" with a factor above 0. Got {text.decode()!r}.'
            )
    return tensors


def _as_labels(texts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    flat = texts.reshape(-1)
    flat[:] = [as_label(text.decode()).encode() for text in flat]
    return texts


def _encoded(name: str, value: str) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{name} must hold texts. Got {value!r}.")
    return value.encode()
