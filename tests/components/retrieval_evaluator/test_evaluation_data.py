from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.retrieval_evaluator.evaluation_data import EvaluationData, load_evaluation_data
from dataset import features
from dataset.findings import Findings
from dataset.manifest import Manifest, load_manifest
from models.interaction_summary import Summary
from tests.components.in_memory import write_records, write_tables

MANIFEST = """\
name = "shop"
[items]
path = "items.csv"
id = "sku"
text = ["title", "brand"]
[users]
path = "users.csv"
id = "user"
categorical = ["country"]
[events]
path = "events.csv"
user = "user"
item = "sku"
time = "at"
[judgments]
path = "qrels.csv"
query = "text"
item = "sku"
grade = "grade"
"""
TABLES = {
    "items.csv": "sku,title,brand\né,Lamp,Lumo\n9,Chair,\n10,Table,Wood\n",
    "users.csv": "user,country\nb,Norway\nz,Peru\n",
    "events.csv": "user,sku,at\nb,9,5\na,é,10\nb,gone,12\nb,10,20\na,10,30\n",
    "qrels.csv": "text,sku,grade\nlamp,é,1\nlamp,9,0.1\n",
}


def _judged(query: str, rows: list[int], gains: list[float]) -> bytes:
    feature = {
        features.QUERY: tf.train.Feature(bytes_list=tf.train.BytesList(value=[query.encode()])),
        features.TARGET_ROWS: tf.train.Feature(int64_list=tf.train.Int64List(value=rows)),
        features.TARGET_WEIGHTS: tf.train.Feature(float_list=tf.train.FloatList(value=gains)),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, dict[str, str]]:
    folder = tmp_path_factory.mktemp("shop")
    for name, content in {"dataset.toml": MANIFEST, **TABLES}.items():
        folder.joinpath(name).write_text(content)
    manifest = load_manifest(folder)
    uris = {table: examples.uri for table, examples in write_tables(manifest, folder / "out").items()}
    judged = [_judged("lamp", [2, 1], [1.0, 0.5]), _judged("chair", [], []), _judged("a lamp", [0], [1.0])]
    write_records(folder / "interactions", judged, features.JUDGED_TEST)
    for split in (features.JUDGED_TRAIN, features.JUDGED_VALIDATION):
        write_records(folder / "interactions", [_judged(f"{split} lamp", [2], [1.0])], split)
    (folder / "summary").mkdir()
    summary = Summary(findings=Findings(), starts=(10, 20), item_counts=np.zeros(0, np.int64))
    summary.save(str(folder / "summary"))
    uris |= {"interactions": str(folder / "interactions"), "summary": str(folder / "summary")}
    return manifest, uris


@pytest.fixture(scope="module")
def data(shop: tuple[Manifest, dict[str, str]]) -> EvaluationData:
    return load(*shop)


def load(manifest: Manifest, uris: dict[str, str], *, learns_from_judgments: bool = True) -> EvaluationData:
    return load_evaluation_data(
        manifest,
        uris=uris,
        text_vectors=np.eye(3, dtype=np.float32),
        learns_from_judgments=learns_from_judgments,
    )


def test_items_are_in_row_order(data: EvaluationData) -> None:
    assert data.items.ids == ("10", "9", "é")
    assert data.items.titles == ("Table", "Chair", "Lamp")
    assert data.items.columns == {"title": ["Table", "Chair", "Lamp"], "brand": ["Wood", "", "Lumo"]}
    assert data.items.language == "english"


def test_rows_keep_the_shape_of_ids_and_say_which_are_unknown(data: EvaluationData) -> None:
    ids = np.array([["é".encode(), b""], [b"10", b"gone"]], object)

    assert data.items.rows(ids).tolist() == [[2, -1], [0, -1]]


def test_log_is_cut_where_the_test_window_begins(data: EvaluationData) -> None:
    log = data.log
    assert log is not None
    assert log.test_start == 20
    assert log.user_ids == ("a", "b")

    def events(part: str) -> list[tuple[str, str, int]]:
        found = getattr(log, part)
        rows = zip(found.user_rows, found.item_rows, found.times, strict=True)
        return sorted((log.user_ids[user], data.items.ids[item], int(time)) for user, item, time in rows)

    assert events("past") == [("a", "é", 10), ("b", "9", 5)]
    assert events("future") == [("a", "10", 30), ("b", "10", 20)]


def test_groups_are_of_the_users_of_the_log(data: EvaluationData) -> None:
    assert data.log is not None
    assert data.log.groups == {"country": ["", "Norway"]}


def test_judged_queries_are_ordered_by_text(data: EvaluationData) -> None:
    assert data.judged is not None
    assert data.judged.queries == ("a lamp", "chair", "lamp")
    assert data.judged.gains.toarray().tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.5, 1.0]]


def test_search_that_learnt_nothing_from_judgments_is_measured_on_all_of_them(
    shop: tuple[Manifest, dict[str, str]],
) -> None:
    judged = load(*shop, learns_from_judgments=False).judged

    assert judged is not None
    assert judged.queries == ("a lamp", "chair", "judged_train lamp", "judged_validation lamp", "lamp")
    assert judged.gains.sum(axis=1).ravel().tolist() == [[1.0, 0.0, 1.0, 1.0, 1.5]]


def test_only_what_was_chosen_and_is_not_disliked_is_relevant(tmp_path: Path) -> None:
    """Each user buys one article of the window and is shown nine others; one user gives theirs back."""
    kinds = 'kind = { column = "what", kinds = { buy = 1.0, shown = 0.0, back = -1.0 } }\n'
    ids = [f"{n:02}" for n in range(20)]
    events = [(f"u{u}", ids[u], 5, "buy") for u in range(4)]
    events += [(f"u{u}", ids[10 + u], 25, "buy") for u in range(4)]
    events += [(f"u{u}", ids[11 + u + n], 25, "shown") for u in range(4) for n in range(6)]
    events += [("u3", ids[13], 26, "back"), ("u0", ids[9], 4, "back"), ("nobody", ids[9], 4, "back")]
    tables = {
        "dataset.toml": MANIFEST.replace('time = "at"\n', f'time = "at"\n{kinds}').replace(', "brand"', ""),
        "items.csv": "sku,title\n" + "".join(f"{sku},Thing {sku}\n" for sku in ids),
        "users.csv": TABLES["users.csv"],
        "qrels.csv": TABLES["qrels.csv"],
        "events.csv": "user,sku,at,what\n" + "".join(",".join(map(str, event)) + "\n" for event in events),
    }
    for name, content in tables.items():
        tmp_path.joinpath(name).write_text(content)
    manifest = dataclasses.replace(load_manifest(tmp_path), judgments=None)
    uris = {table: examples.uri for table, examples in write_tables(manifest, tmp_path / "out").items()}
    summary = Summary(findings=Findings(), starts=(10, 20), item_counts=np.zeros(0, np.int64))
    (tmp_path / "summary").mkdir()
    summary.save(str(tmp_path / "summary"))
    log = load(manifest, uris | {"interactions": "", "summary": str(tmp_path / "summary")}).log

    assert log is not None
    assert log.user_ids == ("u0", "u1", "u2", "u3")
    assert log.past.binary().nonzero()[1].tolist() == [0, 1, 2, 3]
    assert [row.indices.tolist() for row in log.future.binary()] == [[10], [11], [12], []]
    assert [row.indices.tolist() for row in log.disliked] == [[9], [], [], [13]]


def test_histories_of_sessions_are_all_but_their_last_moment(
    shop: tuple[Manifest, dict[str, str]], data: EvaluationData
) -> None:
    manifest, uris = shop
    assert manifest.events is not None
    sessions = dataclasses.replace(manifest.events, session=manifest.events.user)

    log = load(dataclasses.replace(manifest, events=sessions), uris).log

    assert data.log is not None
    assert log is not None
    # The last moments of both users are in the window, and nothing before them is.
    assert log.histories.times.tolist() == data.log.histories.times.tolist() == [5, 10]
    early = Summary(findings=Findings(), starts=(1, 6), item_counts=np.zeros(0, np.int64))
    folder = Path(uris["summary"]).with_name("early")
    folder.mkdir()
    early.save(str(folder))
    by_user, by_session = (
        load(dataclasses.replace(manifest, events=events), uris | {"summary": str(folder)}).log
        for events in (manifest.events, sessions)
    )
    assert by_user is not None
    assert by_session is not None
    assert (by_user.histories.times.tolist(), by_user.future.times.tolist()) == ([5], [10, 20, 30])
    assert (by_session.histories.times.tolist(), by_session.future.times.tolist()) == ([5, 10], [20, 30])
    assert by_user.past.times.tolist() == by_session.past.times.tolist() == [5]
