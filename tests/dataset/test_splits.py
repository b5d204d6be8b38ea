from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa

from dataset.contract import EventSplit, JudgmentSplit
from dataset.splits import event_splits, event_starts, judgment_splits

NEW_YEAR = int(datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC).timestamp())


def test_event_at_the_start_belongs_to_the_later_split() -> None:
    split = EventSplit(validation="2024-01-01T00:00:00+00:00", test="2024-01-02T00:00:00+00:00")

    starts = event_starts(split, 0, 0)

    times = np.array([NEW_YEAR - 1, NEW_YEAR, NEW_YEAR + 86399, NEW_YEAR + 86400])
    assert event_splits(times, starts).tolist() == [0, 1, 1, 2]


def test_start_between_two_seconds_is_the_later_one() -> None:
    split = EventSplit(validation="2024-01-01T00:00:00.5+00:00", test="2024-01-02T00:00:00+00:00")

    assert event_starts(split, 0, 0)[0] == NEW_YEAR + 1


def test_shares_divide_the_time_and_not_the_events() -> None:
    starts = event_starts(EventSplit(validation=0.2, test=0.1), 1000, 2000)

    assert starts == (1701, 1901)


def test_shares_of_a_short_log_still_leave_every_split_a_second() -> None:
    starts = event_starts(EventSplit(validation=0.1, test=0.1), 5, 7)

    assert event_splits(np.array([5, 6, 7]), starts).tolist() == [0, 1, 2]


def test_query_is_in_one_split_whatever_its_spelling() -> None:
    queries = pa.array(["Red lamp", "red lamp ", "RED LAMP"])

    splits = judgment_splits(pa.record_batch([queries], ["query"]), JudgmentSplit()).to_pylist()

    assert len(set(splits)) == 1


def test_splits_have_about_their_share_of_the_queries() -> None:
    queries = pa.array([f"query {i}" for i in range(4000)])

    splits = judgment_splits(
        pa.record_batch([queries], ["query"]), JudgmentSplit(validation=0.2, test=0.1)
    ).to_pylist()

    assert abs(splits.count("validation") / 4000 - 0.2) < 0.03
    assert abs(splits.count("test") / 4000 - 0.1) < 0.03


def test_given_split_wins() -> None:
    batch = pa.record_batch([pa.array(["a"]), pa.array(["test"])], ["query", "split"])

    assert judgment_splits(batch, JudgmentSplit()).to_pylist() == ["test"]


def test_days_are_counted_back_from_the_last_event() -> None:
    starts = event_starts(EventSplit(validation_days=2, test_days=1), 0, NEW_YEAR)

    assert starts == (NEW_YEAR + 1 - 3 * 86400, NEW_YEAR + 1 - 86400)
    assert event_splits(np.array([NEW_YEAR - 86400, NEW_YEAR - 86399, NEW_YEAR]), starts).tolist() == [
        1,
        2,
        2,
    ]
