"""The files that IndexBuilder writes beside a servable, and the raw columns that it reads for them."""

from __future__ import annotations

import collections
import itertools
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from dataset import features
from dataset.contract import ItemsTable
from dataset.frames import BYTES, FLOAT, INT, read_frame
from dataset.times import FIRST, LAST
from models.interactions import Contexts, InteractionSource
from models.item_table import ItemTable
from serving.servable.catalogue import Value, write_catalogue

_NUM_EXAMPLES = 20


def read_numbers(table: ItemsTable, pattern: str) -> dict[str, np.ndarray]:
    """The numeric columns as they came, in the order of `ItemTable`, NaN where there is no value."""
    frame = _by_row(pattern, dict.fromkeys(table.numeric, FLOAT))
    return {name: frame[name].to_numpy(np.float32, na_value=np.nan) for name in table.numeric}


def available_times(table: ItemsTable, pattern: str) -> np.ndarray | None:
    """From when and until when each item is available, int64 ``[2, num_items]``, in the order of `ItemTable`.

    ``None`` if the manifest names neither column.
    """
    ends = {
        features.AVAILABLE_FROM: (table.available_from, FIRST),
        features.AVAILABLE_UNTIL: (table.available_until, LAST),
    }
    named = [name for name, (column, _) in ends.items() if column is not None]
    if not named:
        return None
    frame = _by_row(pattern, dict.fromkeys(named, INT))
    return np.stack(
        [
            frame[name].to_numpy(np.int64) if name in named else np.full(len(frame), missing)
            for name, (_, missing) in ends.items()
        ]
    )


def _by_row(pattern: str, columns: dict[str, Any]) -> pd.DataFrame:
    """Columns of raw items, in the order of `ItemTable`."""
    frame = read_frame(pattern, {features.ITEM_ID: BYTES} | columns)
    return frame.drop_duplicates(features.ITEM_ID).sort_values(features.ITEM_ID)


def save_catalogue(table: ItemsTable, split: str, path: str) -> None:
    """Writes the numeric and categorical columns of raw items, named as in the manifest.

    Several values of a column are one text with commas between them.
    """
    columns = dict.fromkeys(table.numeric, float) | dict.fromkeys(table.categorical, str)
    kinds = {name: FLOAT if kind is float else BYTES for name, kind in columns.items()}
    frame = read_frame(os.path.join(split, "*"), {features.ITEM_ID: BYTES} | kinds, separator=", ")

    def rows() -> Iterator[tuple[Value, ...]]:
        for item_id, *values in zip(*(frame[name] for name in (features.ITEM_ID, *columns)), strict=True):
            yield item_id.decode(), *map(_shown, values)

    # SQLite writes to disks only, and the path may be on any filesystem TensorFlow opens.
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, "items")
        write_catalogue(local, columns, rows())
        tf.io.gfile.copy(local, path)


def _shown(value: Any) -> Value:
    """A value as a person wrote it: 2.55 instead of the nearest float32, None for an empty one."""
    if isinstance(value, bytes):
        return value.decode() or None
    return None if value is None or np.isnan(value) else float(str(np.float32(value)))


def make_examples(items: ItemTable, users: Contexts, source: InteractionSource) -> dict[str, list[Any]]:
    """Queries, users and items of the dataset itself, for the demo, the warm-up and the validator."""

    def named(row: int) -> dict[str, str]:
        return {"item_id": items.ids[row].decode(), "title": items.titles[row].decode()}

    histories = [(user.decode(), rows) for user, rows in zip(users.user_ids, users.histories, strict=True)]
    active = [(user, rows) for user, rows in histories if len(rows) >= 5] or histories
    step = max(1, len(active) // _NUM_EXAMPLES)
    shown_users = [
        {"user_id": user, "history": [named(row) for row in rows[:5]]}
        for user, rows in active[::step][:_NUM_EXAMPLES]
    ]
    queries = [query.decode() for query in source.load(features.JUDGED_TEST).queries[:_NUM_EXAMPLES] if query]
    titled = [row for row in range(len(items)) if items.titles[row]]
    step = max(1, len(titled) // _NUM_EXAMPLES)
    shown_items = [named(row) for row in titled[::step][:_NUM_EXAMPLES]]
    if not queries:
        queries = _common_phrases(items) or [item["title"] for item in shown_items] or ["anything"]
    return {"queries": queries, "users": shown_users, "items": shown_items}


def _common_phrases(items: ItemTable) -> list[str]:
    """Pairs of words that many titles share: without judgments, what people may well search for."""
    titles = [title.decode().lower().split() for title in items.titles]
    pairs = collections.Counter(
        f"{first} {second}"
        for words in titles
        for first, second in itertools.pairwise(words)
        if first.isalpha() and second.isalpha() and min(len(first), len(second)) > 2
    )
    return [pair for pair, _ in pairs.most_common(_NUM_EXAMPLES)]
