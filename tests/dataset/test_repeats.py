from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dataset import repeats
from dataset.contract import EventsTable, Kind, KindRule
from dataset.repeats import RepeatedEvents, text_hashes

TABLE = EventsTable(
    path=("t",), user="u", item="i", time="t", kind=KindRule(column=None, kinds={"e": Kind(label="e")})
)


def _events(size: int, num_times: int) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, high, size) for high in (num_times, 40, 30)]


def _counted(columns: list[np.ndarray[Any, Any]], batch: int) -> RepeatedEvents:
    repeated = RepeatedEvents(TABLE)
    for start in range(0, len(columns[0]), batch):
        times, *said = (column[start : start + batch] for column in columns)
        repeated.add("log.csv", np.arange(start, start + len(times)) + 1, times, *said)
    return repeated


@pytest.mark.parametrize("batch", [7, 1000, 5000])
def test_repeated_rows_are_those_that_a_dictionary_finds(batch: int) -> None:
    columns = _events(5000, 20)
    first: dict[tuple[int, ...], int] = {}
    expected = [
        (row, first[said])
        for row, said in enumerate(zip(*(column.tolist() for column in columns), strict=True), start=1)
        if first.setdefault(said, row) != row
    ]

    (finding,) = _counted(columns, batch).findings()

    assert finding.count == len(expected)
    assert [(example.row, example.value) for example in finding.examples] == [
        (row, f"as in row {earlier}") for row, earlier in expected[:3]
    ]


def test_log_without_repeats_has_no_finding() -> None:
    times = np.arange(1000)

    assert _counted([times, times % 7, times % 3], 64).findings() == ()
    assert RepeatedEvents(TABLE).findings() == ()


def test_long_log_is_counted_by_some_of_its_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = _events(40_000, 1000)
    said = Counter(zip(*(column.tolist() for column in columns), strict=True))
    expected = len(columns[0]) - len(said)
    monkeypatch.setattr(repeats, "_MAX_HELD", 10_000)

    repeated = _counted(columns, 3000)
    (finding,) = repeated.findings()

    assert sum(len(part.rows) for part in repeated._parts) <= 10_000
    assert finding.count == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize("rows", [1, 3, 1 << 15])
def test_texts_have_one_hash_if_and_only_if_they_are_equal(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "_HASHED_ROWS", rows)
    texts = ["", "a", "aa", "b", "ab", "ba", "", "a\0", "\0", "ü", "aa", "x" * 300, "x" * 301, ""]

    hashes = text_hashes(pa.array(["skipped", *texts]).slice(1)).tolist()

    assert [[a == b for b in texts] for a in texts] == [[a == b for b in hashes] for a in hashes]
    assert text_hashes(pa.array([], pa.string())).tolist() == []
