"""The splits into training, validation and test: events by time, judgments by query."""

from __future__ import annotations

import datetime
import hashlib
import math
from typing import Any

import numpy as np
import pyarrow as pa

from dataset.contract import EventSplit, JudgmentSplit

SPLITS = ("train", "validation", "test")
_DAY_S = 86_400


def event_starts(split: EventSplit, first_time: int, last_time: int) -> tuple[int, int]:
    """When validation and test begin, in epoch seconds; an event at the start itself is after it.

    Args:
        split: Times, shares or days.
        first_time: Epoch seconds of the log's first event; used for shares only.
        last_time: Epoch seconds of its last event; used for shares and days.
    """
    if split.validation_days is not None and split.test_days is not None:
        test_start = last_time + 1 - round(split.test_days * _DAY_S)
        return test_start - round(split.validation_days * _DAY_S), test_start
    if isinstance(split.validation, str) and isinstance(split.test, str):
        validation, test = (
            datetime.datetime.fromisoformat(s).timestamp() for s in (split.validation, split.test)
        )
        return math.ceil(validation), math.ceil(test)
    seconds, end = last_time - first_time, last_time + 1
    test_start = end - max(round(float(split.test) * seconds), 1)
    return test_start - max(round(float(split.validation) * seconds), 1), test_start


def event_splits(times: np.ndarray[Any, Any], starts: tuple[int, int]) -> np.ndarray[Any, Any]:
    """The split of each event, as int64 `[n]` positions in `SPLITS`, of int64 `[n]` epoch seconds."""
    return np.searchsorted(np.asarray(starts, np.int64), times, side="right")


def judgment_splits(judgments: pa.RecordBatch, split: JudgmentSplit) -> pa.StringArray:
    """The split of each normalised judgment: its own column's if it has one, else by a hash of its query.

    The text and not the id is hashed, so that one query under two ids is never on both sides.

    Returns:
        string `[n]`, of `SPLITS`.
    """
    if "split" in judgments.schema.names:
        return judgments.column("split")
    queries = judgments.column("query").dictionary_encode()
    names = pa.array([_query_split(query, split) for query in queries.dictionary.to_pylist()], pa.string())
    return names.take(queries.indices)


def _query_split(query: str, split: JudgmentSplit) -> str:
    digest = hashlib.sha256(query.strip().casefold().encode()).digest()
    position = int.from_bytes(digest[:8]) / 2**64
    if position < split.test:
        return "test"
    return "validation" if position < split.test + split.validation else "train"
