"""What is asked of a servable, and what it answered as ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests import tiny

Answer = dict[str, np.ndarray]


Ask = Callable[..., Answer]


ALL = len(tiny.IDS)


_TYPES = {
    "k": tf.int32,
    "offset": tf.int32,
    "now": tf.int64,
    "history_times": tf.int64,
    "exclude_seen": tf.bool,
    "spell": tf.bool,
}
_TYPES |= {"diversity": tf.float32}


def as_tensor(name: str, values: Any) -> tf.Tensor:
    """The input of a signature, of the type that its name asks for."""
    dtype = _TYPES.get(name, tf.string)
    if isinstance(values[0], list):
        width = max(len(row) for row in values)
        padding = "" if dtype == tf.string else 0
        padded = [row + [padding] * (width - len(row)) for row in values]
        return tf.constant(padded, dtype, (len(values), width))
    return tf.constant(values, dtype)


def asker_of(signatures: Any) -> Ask:
    """Calls a signature with what a client always sends; lists are padded with "" or 0."""

    def ask(signature: str, **given: Any) -> Answer:
        batch = len(next(iter(given.values())))
        nothing: list[list[str]] = [[] for _ in range(batch)]
        inputs: dict[str, Any] = {}
        if signature not in ("suggest", "embed_item"):
            inputs |= {"now": [0] * batch}
        if signature in ("search", "recommend", "rank", "embed_query"):
            inputs |= {"user_id": [""] * batch, "history": nothing, "history_times": None}
        if signature in ("search", "recommend", "similar", "complement", "facets"):
            inputs |= {"exclude": nothing, "filters": nothing, "k": [ALL] * batch}
        if signature in ("search", "recommend"):
            inputs |= {"exclude_seen": [False] * batch}
            inputs |= {"diversity": [0.0] * batch, "boost": nothing, "pin": nothing}
        if signature == "facets":
            inputs |= {"spell": [True] * batch}
        if signature == "search":
            inputs |= {"spell": [True] * batch, "offset": [0] * batch, "sort": [""] * batch}
        inputs |= given
        if "history_times" in inputs and inputs["history_times"] is None:
            inputs["history_times"] = [[0] * len(row) for row in inputs["history"]]
        tensors = {name: as_tensor(name, value) for name, value in inputs.items()}
        return {name: value.numpy() for name, value in signatures[signature](**tensors).items()}

    return ask


def shown(answer: Answer, row: int = 0) -> list[str]:
    return [item_id.decode() for item_id in answer["item_ids"][row, : answer["num_results"][row]]]


def name(row: int) -> str:
    return tiny.IDS[row].decode()


LISTS: list[tuple[str, dict[str, Any]]] = [
    ("search", {"query": ["red teapot"]}),
    ("search", {"query": ["glass box"], "user_id": ["ann"]}),
    ("search", {"query": ["lamp"], "history": [[name(1), name(8)]]}),
    ("recommend", {"user_id": ["bob"]}),
    ("recommend", {"user_id": [""], "history": [[name(5)]]}),
    ("similar", {"item_id": [name(3)]}),
]


NOTHING_KNOWN: list[tuple[str, dict[str, Any]]] = [
    ("search", {"query": [""]}),
    ("search", {"query": ["  \t "]}),
    ("search", {"query": ["zzz unheard of"]}),
    ("search", {"query": ["lamp"], "user_id": ["nobody"]}),
    ("search", {"query": ["lamp"], "user_id": ["\x00"]}),
    ("search", {"query": ["lamp"], "history": [["no such item"]]}),
    ("search", {"query": ["lamp " * 600]}),
    ("recommend", {"user_id": [""]}),
    ("recommend", {"user_id": ["nobody"]}),
    ("recommend", {"user_id": ["cid"]}),
    ("recommend", {"user_id": ["ann"], "history": [["no such item", "another"]]}),
    ("recommend", {"user_id": [""], "history": [["", ""]]}),
    ("recommend", {"user_id": [""], "history": [[name(2)] * 1500]}),
]
