from __future__ import annotations

import csv
import dataclasses
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.interaction_builder.executor import interaction_schema
from dataset import features
from dataset.errors import DataError
from dataset.findings import Findings
from dataset.manifest import Manifest, load_manifest
from tests.components.in_memory import Row, build_interactions, records, rows

MANIFEST = """\
name = "shop"
[items]
path = "items.csv"
id = "sku"
text = ["title"]
[users]
path = "users.csv"
id = "user"
categorical = ["country"]
numeric = ["age"]
[events]
path = "events*.csv"
user = "user"
item = "sku"
time = "at"
kind = { column = "what", kinds = { view = 0.25, buy = 1.0 } }
value = "paid"
query = "asked"
[judgments]
path = "qrels.csv"
query_id = "id"
query = "text"
item = "sku"
grade = "grade"
[split]
events = { validation = "1970-01-01T00:10:01", test = "1970-01-01T00:13:21" }
judgments = { validation = 0.3, test = 0.3 }
[limits]
orphan_events = 0.2
orphan_judgments = 0.2
"""
STARTS = (601, 801)
# Their order by bytes is neither that of the file nor that of numbers or letters.
IDS = ["é", "9", "10", "a", "Z", "A", "ab", "007"]
ROW_OF = {item: row for row, item in enumerate(sorted(IDS, key=str.encode))}

Log = list[dict[str, Any]]


def _log() -> Log:
    rng = random.Random(3)
    log = [
        {
            "user": f"u{rng.randrange(6)}",
            "sku": rng.choice([*IDS, *IDS, *IDS, "gone"]),
            "at": rng.randrange(0, 1000, 20),
            "what": rng.choice(["view", "buy"]),
            "paid": rng.choice(["", "1.5", "2"]),
            "asked": rng.choice(["", "", "lamp", "red lamp"]),
        }
        for _ in range(200)
    ]
    # The last event is not chance, so that shares of time mean certain dates.
    return [*log, log[0] | {"at": 0}, log[0] | {"at": 1000}]


def _judgments() -> list[dict[str, Any]]:
    judged = [
        {"id": f"q{number}", "text": f"Lamp {number % 25}", "sku": sku, "grade": grade}
        for number in range(30)
        for sku, grade in (("é", 1), ("10", 0.1), ("ab", 0))
    ]
    # The same text but for its case.
    judged += [{"id": "q50", "text": "lamp 3", "sku": "Z", "grade": 1}]
    # Said again, and once with another grade.
    judged += [{"id": "q1", "text": "Lamp 1", "sku": sku, "grade": 1} for sku in ("é", "é", "10")]
    return [*judged, {"id": "q0", "text": "Lamp 0", "sku": "gone", "grade": 1}]


def _write_csv(path: Path, table: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def _dataset(folder: Path, *logs: Log, manifest: str = MANIFEST) -> Manifest:
    folder.mkdir(exist_ok=True)
    folder.joinpath("dataset.toml").write_text(manifest)
    _write_csv(folder / "items.csv", [{"sku": item, "title": f"Item {item}"} for item in IDS])
    users = [{"user": f"u{n}", "country": "Norway" if n % 2 else "", "age": n or ""} for n in (0, 1, 2, 3, 9)]
    _write_csv(folder / "users.csv", users)
    for number, log in enumerate(logs):
        _write_csv(folder / f"events{number}.csv", log)
    _write_csv(folder / "qrels.csv", _judgments())
    return load_manifest(folder)


def _built(folder: Path, *logs: Log, manifest: str = MANIFEST) -> Path:
    return build_interactions(_dataset(folder, *logs, manifest=manifest), folder / "out")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _built(tmp_path_factory.mktemp("shop") / "data", _log())


def _known(log: Log) -> Log:
    return [event for event in log if event["sku"] in ROW_OF]


@pytest.mark.parametrize(
    ("split", "begin", "end"),
    [("train", 0, 601), ("validation", 601, 801), ("test", 801, 1001)],
)
def test_every_event_is_a_target_in_the_split_of_its_time(
    built: Path, split: str, begin: int, end: int
) -> None:
    expected = {
        (e["user"].encode(), e["at"], e["asked"].encode(), ROW_OF[e["sku"]], e["what"].encode())
        for e in _known(_log())
        if begin <= e["at"] < end
    }

    found = [
        (row["user_id"][0], row["time"][0], row["query"][0], target, kind)
        for row in rows(built / "examples", split)
        for target, kind in zip(row["target_rows"], row["kind"], strict=True)
    ]

    assert len(found) == len(set(found))
    assert set(found) == expected


def test_targets_carry_the_weight_of_their_kind(built: Path) -> None:
    weights = {b"view": 0.25, b"buy": 1.0}
    for row in rows(built / "examples", features.TRAIN):
        assert row["target_weights"] == [weights[kind] for kind in row["kind"]]


@pytest.mark.parametrize("split", features.EVENT_SPLITS)
def test_histories_hold_what_came_strictly_before(built: Path, split: str) -> None:
    moments: dict[bytes, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for event in _known(_log()):
        moments[event["user"].encode()][ROW_OF[event["sku"]]].add(event["at"])

    found = rows(built / "examples", split)

    assert found
    for row in found:
        now = row["time"][0]
        past = {item: {t for t in times if t < now} for item, times in moments[row["user_id"][0]].items()}
        past = {item: times for item, times in past.items() if times}
        history = dict(zip(row["history_rows"], row["history_counts"], strict=True))
        assert history == {item: len(times) for item, times in past.items()}
        latest = [max(past[item]) for item in row["history_rows"]]
        assert latest == sorted(latest, reverse=True)


def test_windows_hold_an_example_a_user(built: Path) -> None:
    for split, start in ((features.USERS_AT_VALIDATION, 601), (features.USERS_AT_TEST, 801)):
        found = rows(built / "examples", split)
        assert {row["time"][0] for row in found} == {start}
        assert sorted(row["user_id"][0] for row in found) == [b"u%d" % n for n in range(6)]


def test_user_without_events_gets_an_example_at_the_end_only(built: Path) -> None:
    lonely = {split: _of_user(built, split, b"u9") for split in features.EVENT_SPLITS}

    (example,) = lonely.pop(features.USERS_AT_END)
    assert (example["history_rows"], example["target_rows"]) == ([], [])
    assert not any(lonely.values())


def test_what_is_known_of_users_is_joined(built: Path) -> None:
    def profile(user: bytes) -> tuple[Any, Any]:
        (row,) = _of_user(built, features.USERS_AT_END, user)
        return row.get("user/country"), row.get("user/age")

    assert profile(b"u1") == ([b"Norway"], [1.0])
    assert profile(b"u0") == ([b""], None)
    assert profile(b"u9") == ([b"Norway"], [9.0])
    # Not in the table of users.
    assert profile(b"u5") == (None, None)


def _of_user(built: Path, split: str, user: bytes) -> list[Row]:
    return [row for row in rows(built / "examples", split) if row["user_id"] == [user]]


def test_summary_counts_orphans_and_the_items_of_training(built: Path) -> None:
    summary = json.loads((built / "summary" / "summary.json").read_text())
    findings = Findings.from_json(summary["findings"])
    by_rule = {finding.rule: finding for finding in findings.findings}

    log = _log()
    assert summary["starts"] == list(STARTS)
    assert findings.rows == {"events": len(log), "judgments": len(_judgments())}
    assert by_rule["orphan_events"].count == len(log) - len(_known(log))
    assert by_rule["orphan_judgments"].count == 1
    counts = [sum(ROW_OF[e["sku"]] == row and e["at"] < 601 for e in _known(log)) for row in range(len(IDS))]
    np.testing.assert_array_equal(np.load(built / "summary" / "item_counts.npy"), counts)


def test_judgments_are_grouped_by_query(built: Path) -> None:
    found = [row for split in features.JUDGMENT_SPLITS for row in rows(built / "examples", split)]

    assert sorted(row["query_id"][0] for row in found) == sorted({j["id"].encode() for j in _judgments()})
    (example,) = [row for row in found if row["query_id"] == [b"q0"]]
    graded = dict(zip(example["target_rows"], example["target_weights"], strict=True))
    assert graded == {ROW_OF["é"]: 1.0, ROW_OF["10"]: pytest.approx(0.1), ROW_OF["ab"]: 0.0}


def test_repeated_judgment_counts_once_by_its_highest_grade(built: Path) -> None:
    found = [row for split in features.JUDGMENT_SPLITS for row in rows(built / "examples", split)]

    (example,) = [row for row in found if row["query_id"] == [b"q1"]]
    assert example["target_rows"] == sorted(ROW_OF[item] for item in ("é", "10", "ab"))
    graded = dict(zip(example["target_rows"], example["target_weights"], strict=True))
    assert graded == {ROW_OF["é"]: 1.0, ROW_OF["10"]: 1.0, ROW_OF["ab"]: 0.0}


def test_no_query_is_in_two_splits(built: Path) -> None:
    texts = {
        split: {row["query"][0].decode().casefold() for row in rows(built / "examples", split)}
        for split in features.JUDGMENT_SPLITS
    }

    assert all(texts.values())
    assert sum(map(len, texts.values())) == len(set.union(*texts.values())) == 25


def test_schema_knows_every_feature(built: Path) -> None:
    schema = text_format.Parse((built / "schema" / "schema.pbtxt").read_text(), schema_pb2.Schema())
    kinds = {feature.name: feature.type for feature in schema.feature}
    types = {bytes: schema_pb2.BYTES, int: schema_pb2.INT, float: schema_pb2.FLOAT}
    for split in (*features.EVENT_SPLITS, *features.JUDGMENT_SPLITS):
        for row in rows(built / "examples", split):
            assert {
                name: types[type(values[0])] for name, values in row.items() if values
            }.items() <= kinds.items()


def _changed_from(log: Log, start: int) -> Log:
    """The same past with another future: other items, kinds, queries and values, in another order."""
    past = [event for event in log if event["at"] < start]
    future = [
        event | {"sku": IDS[len(IDS) - 1 - IDS.index(event["sku"])], "what": "buy", "asked": "x", "paid": "9"}
        for event in _known(log)
        if event["at"] >= start
    ]
    return [*future[::-1], *past]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "unchanged"),
    [
        (601, [features.TRAIN, *features.JUDGMENT_SPLITS]),
        (
            801,
            [
                features.TRAIN,
                features.VALIDATION,
                features.USERS_AT_VALIDATION,
                *features.JUDGMENT_SPLITS,
            ],
        ),
    ],
)
def test_future_changes_no_byte_of_the_past(
    built: Path, tmp_path: Path, start: int, unchanged: list[str]
) -> None:
    other = _built(tmp_path / "data", _changed_from(_log(), start))

    for split in unchanged:
        assert records(other / "examples", split) == records(built / "examples", split), split
    # The future did change, or the above says nothing.
    assert records(other / "examples", features.TEST) != records(built / "examples", features.TEST)
    window = features.USERS_AT_VALIDATION if start == 601 else features.USERS_AT_TEST
    histories = [
        {row["user_id"][0]: row["history_rows"] for row in rows(folder / "examples", window)}
        for folder in (built, other)
    ]
    assert histories[0] == histories[1]
    counts = [np.load(folder / "summary" / "item_counts.npy").tolist() for folder in (built, other)]
    assert counts[0] == counts[1]


@pytest.mark.slow
def test_result_depends_on_neither_order_nor_files_nor_how_a_split_is_written(
    built: Path, tmp_path: Path
) -> None:
    log = _log()
    random.Random(1).shuffle(log)
    # Shares of the 1000 s that the log covers, which mean the same starts.
    shares = MANIFEST.replace('"1970-01-01T00:10:01"', "0.2").replace('"1970-01-01T00:13:21"', "0.2")

    other = _built(tmp_path / "data", log[:90], log[90:], manifest=shares)

    assert json.loads((other / "summary" / "summary.json").read_text())["starts"] == list(STARTS)
    for split in (*features.EVENT_SPLITS, *features.JUDGMENT_SPLITS):
        assert records(other / "examples", split) == records(built / "examples", split), split


@pytest.mark.slow
def test_too_many_orphans_stop_the_run_but_are_written_down(tmp_path: Path) -> None:
    strict = MANIFEST.replace("orphan_events = 0.2", "orphan_events = 0.01")

    with pytest.raises(DataError, match=r"limits\.orphan_events allows 0\.01"):
        _built(tmp_path / "data", _log(), manifest=strict)

    assert (tmp_path / "data" / "out" / "summary" / "summary.json").exists()


@pytest.mark.slow
def test_dataset_of_judgments_alone_has_their_splits_alone(tmp_path: Path) -> None:
    whole = _dataset(tmp_path / "data", _log())
    judged = dataclasses.replace(whole, events=None, users=None)

    folder = build_interactions(judged, tmp_path / "out")

    assert sorted(path.name for path in (folder / "examples").iterdir()) == [
        f"Split-{split}" for split in sorted(features.JUDGMENT_SPLITS)
    ]
    assert all(records(folder / "examples", split) for split in features.JUDGMENT_SPLITS)


def test_schema_without_users_has_no_column_of_theirs(tmp_path: Path) -> None:
    anonymous = dataclasses.replace(_dataset(tmp_path, _log()), users=None)

    names = [feature.name for feature in interaction_schema(anonymous).feature]

    assert features.USER_ID in names
    assert not [name for name in names if "/" in name]


@pytest.mark.slow
def test_impressions_and_dislikes_are_neither_targets_nor_history_nor_counted(tmp_path: Path) -> None:
    log = _log()
    others: Log = [
        {"user": user, "sku": "é", "at": at, "what": what, "paid": "", "asked": "lamp"}
        for user in ("u0", "only-shown", "only-bad")
        for what, at in (("shown", 7), ("bad", 9), ("shown", 605), ("bad", 805))
        if what in ("shown", "bad") and not (user.startswith("only") and what not in user)
    ]
    kinds = "kinds = { view = 0.25, buy = 1.0"
    manifest = MANIFEST.replace(kinds, f"{kinds}, shown = 0.0, bad = -1.0")

    plain = _built(tmp_path / "plain", log)
    mixed = _built(tmp_path / "mixed", log, others, manifest=manifest)

    for split in features.EVENT_SPLITS:
        of_all = {row["user_id"][0] for row in rows(mixed / "examples", split)}
        assert b"only-shown" not in of_all
        # Who only dislikes something is known, so that the servable can heed it.
        assert (b"only-bad" in of_all) == (split == features.USERS_AT_END)
        assert [row for row in rows(mixed / "examples", split) if row["user_id"] != [b"only-bad"]] == rows(
            plain / "examples", split
        )
    counts = [np.load(folder / "summary" / "item_counts.npy").tolist() for folder in (plain, mixed)]
    assert counts[0] == counts[1]
