"""A catalogue that changes under a trained model, on a copy of a finished run."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.forgotten import forget
from serving.client import Client
from serving.client.context import Time
from serving.process import ServerProcess
from serving.servable.extra_assets import ExtraAssets
from tests.e2e.conftest import Run

pytestmark = pytest.mark.slow

NEW, NEW_TITLE = "NEW-1", "VINTAGE GARDEN TEA CHRISTMAS"
FIRST_DAY = "2011-08-24"
ENDS = "2024-02-29"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refreshed:
    """A refreshed copy of a run.

    Attributes:
        run: The copy.
        gone: The item that was taken out of the catalogue.
        ended: The item that is available until `ENDS` since.
        old_keys: Of the texts encoded before.
        forgotten: The user whom `tandem forget` was told.
    """

    run: Run
    gone: str
    ended: str
    old_keys: set[bytes]
    forgotten: str


def _copy(run: Run, folder: Path) -> Run:
    """A run that may be changed; what lies in the first one's artifacts is read there."""
    for name in ("dataset", "workdir"):
        shutil.copytree(getattr(run, name), folder / name, symlinks=True)
    return dataclasses.replace(run, dataset=folder / "dataset", workdir=folder / "workdir", output="")


def _text_keys(run: Run) -> set[bytes]:
    shards = (run.workdir / "cache" / "text").rglob("*.npz")
    return {key for shard in shards for key in np.load(shard)["keys"].tolist()}


@pytest.fixture(scope="module")
def refreshed(retail: Run, tmp_path_factory: pytest.TempPathFactory) -> Refreshed:
    """One item more, one less, one with an end, a user who is to be forgotten, and `tandem refresh`."""
    run = _copy(retail, tmp_path_factory.mktemp("refreshed"))
    path = run.dataset / "items.csv"
    with path.open(newline="") as file:
        header, gone, *rows = csv.reader(file)
    new = dict.fromkeys(header, "") | {"StockCode": NEW, "Description": NEW_TITLE, "Price": "2.5"}
    ended, *others = [*rows, list(new.values())]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[*header, "Ends"], [*ended, ENDS], *([*row, ""] for row in others)])
    manifest = run.dataset / "dataset.toml"
    manifest.write_text(manifest.read_text().replace("[items]\n", '[items]\navailable_until = "Ends"\n'))
    keys, user = _text_keys(run), _examples(run)["users"][0]["user_id"]
    forget(run.workdir, [user])
    return Refreshed(
        run=run.finish(command="refresh"), gone=gone[0], ended=ended[0], old_keys=keys, forgotten=user
    )


def _examples(run: Run) -> dict[str, Any]:
    return ExtraAssets(run.model_dir / run.versions[-1]).read_examples()


@pytest.fixture(scope="module")
def client(refreshed: Refreshed) -> Iterator[Client]:
    with ServerProcess(refreshed.run.model_dir) as server, Client(server.address, timeout_s=60) as client:
        yield client


def test_new_item_is_found_right_after_refresh_in_the_new_version(
    retail: Run, refreshed: Refreshed, client: Client
) -> None:
    (results,) = client.search([NEW_TITLE.lower()], k=10)

    assert NEW in [result.item_id for result in results]
    assert refreshed.run.versions[:-1] == retail.versions


def test_item_that_is_gone_is_not_found(refreshed: Refreshed, client: Client) -> None:
    everything = client.search(["red heart"], k=1000)[0]

    assert NEW in [result.item_id for result in everything]
    assert refreshed.gone not in [result.item_id for result in everything]


def test_item_that_has_ended_is_found_in_its_time_alone(refreshed: Refreshed, client: Client) -> None:
    ends = datetime.datetime.fromisoformat(ENDS)
    moments: list[Time] = [0, ends - datetime.timedelta(seconds=1), ends]

    found = [client.search([refreshed.ended], k=1, now=moment)[0][0].item_id for moment in moments]

    assert [item_id == refreshed.ended for item_id in found] == [False, True, False]


def test_forgotten_user_is_somebody_new(retail: Run, refreshed: Refreshed, client: Client) -> None:
    known = _examples(refreshed.run)["users"][0]["user_id"]
    forgotten, nobody, other = client.recommend(user_ids=[refreshed.forgotten, "nobody", known], k=5)

    assert [result.item_id for result in forgotten] == [result.item_id for result in nobody]
    assert [result.item_id for result in other] != [result.item_id for result in nobody]
    assert refreshed.forgotten not in json.dumps(_examples(refreshed.run))


def test_refresh_trains_nothing(refreshed: Refreshed) -> None:
    nodes = re.findall(r"\[ *\d+/\d+\] (\S+) +[^…\n]+\n", refreshed.run.output)

    assert "IndexBuilder" in nodes
    assert not {"Trainer", "InteractionBuilder", "RetrievalEvaluator"} & set(nodes)
    assert len(list((refreshed.run.workdir / "artifacts").glob("Trainer/model/*"))) == 1


def test_only_new_texts_are_encoded(refreshed: Refreshed) -> None:
    keys = _text_keys(refreshed.run)

    assert refreshed.old_keys < keys
    assert len(keys) == len(refreshed.old_keys) + 1


def test_refresh_without_a_model_is_one_sentence(retail: Run, tmp_path: Path) -> None:
    dataset = shutil.copytree(retail.dataset, tmp_path / "dataset")
    run = dataclasses.replace(retail, dataset=dataset, workdir=tmp_path / "none")

    process = run.start(command="refresh")
    process.communicate(timeout=60)

    assert process.returncode == 2
    assert run.errors.splitlines()[-1].startswith("tandem: There must be a pushed model in ")
    assert not run.workdir.exists()


def _in_days(dataset: Path) -> list[str]:
    """The log as it would have come: all of the past on the first day, then a file a day."""
    path = dataset / "transactions.csv.gz"
    header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)
    position = next(csv.reader([header])).index("InvoiceDate")
    days: dict[str, list[str]] = {}
    for row in rows:
        day = max(next(csv.reader([row]))[position][:10], FIRST_DAY)
        days.setdefault(day, []).append(row)
    path.unlink()
    (dataset / "days").mkdir()
    for day, of_day in days.items():
        (dataset / "days" / f"{day}.csv.gz").write_bytes(gzip.compress((header + "".join(of_day)).encode()))
    manifest = dataset / "dataset.toml"
    text = manifest.read_text()
    assert '"transactions.csv.gz"' in text
    manifest.write_text(text.replace('"transactions.csv.gz"', '"days/{YYYY}-{MM}-{DD}.csv.gz"'))
    return sorted(days)


@pytest.fixture(scope="module")
def next_span(retail: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same log once more, now in spans, so that what is known from the first run can be compared."""
    run = _copy(retail, tmp_path_factory.mktemp("next_span"))
    _in_days(run.dataset)
    return run.finish(settings=("train.warm_start=true",), codes=(0, 3))


def _report(run: Run) -> dict[str, Any]:
    return json.loads((run.workdir / "report.json").read_text())


def _validation(run: Run) -> list[list[float]]:
    """Epoch and nDCG@10 of the validation users, while the model is selected."""
    return next(
        [[step, value] for step, value in zip(curve["steps"], curve["values"], strict=True)]
        for curve in _report(run)["curves"]
        if (curve["phase"], curve["metric"]) == ("events (select)", "val_ndcg@10")
    )


def test_spans_up_to_the_latest_are_read(retail: Run, next_span: Run) -> None:
    days = sorted(path.name[:10] for path in (next_span.dataset / "days").iterdir())

    assert len(days) > 2
    assert f"{len(days)} spans, {days[0]} to {days[-1]}" in next_span.output
    assert _report(next_span)["summary"] == _report(retail)["summary"]


def test_model_begins_where_the_blessed_one_was_selected(retail: Run, next_span: Run) -> None:
    cold, warm = _validation(retail), _validation(next_span)

    best = max(value for _, value in cold)
    assert warm[0] == pytest.approx([0, best], abs=1e-5)
    assert best > 0


def test_model_of_a_new_span_is_pushed_only_if_it_is_better(retail: Run, next_span: Run) -> None:
    (reason,) = [text for text in _report(next_span)["gate"]["reasons"] if "on the new span" in text]

    difference = re.search(r"better: ([+-]\d\.\d+), paired over the same \d+ users", reason)
    assert difference is not None
    is_pushed = len(next_span.versions) > len(retail.versions)
    assert is_pushed == ("not better" not in reason) == (float(difference[1]) > 0)
    assert ("Not blessed: " in next_span.output) != is_pushed


def test_newest_window_is_compared_with_training_in_the_report(retail: Run) -> None:
    skew = {one["column"]: one for one in _report(retail)["skew"]}

    assert {"user_id", "user/Country", "target_rows", "history_rows", "history_counts"} <= set(skew)
    assert "Skew: newest window against training" in (retail.workdir / "report.html").read_text()
    named = [name for name, one in skew.items() if one["distance"] > one["limit"]]
    assert all(name in retail.output.partition("Skew, newest window against training: ")[2] for name in named)
