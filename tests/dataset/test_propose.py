from __future__ import annotations

import dataclasses
import json
import random
import shutil
from pathlib import Path

import pytest

from dataset.contract import Kind, Range
from dataset.errors import DataError
from dataset.manifest import load_manifest
from dataset.propose import propose_manifest, write_manifest
from tests.tiny_dataset import EVENTS, ITEMS, USERS, Write

SAMPLES = Path(__file__).parents[2] / "samples"
WORDS = ["red", "blue", "old", "dark", "iron", "long", "lost", "king", "road", "house", "river", "moon"]


@pytest.mark.parametrize("sample", ["online_retail", "shopping_queries"])
def test_proposal_for_a_sample_means_what_its_own_manifest_means(sample: str, tmp_path: Path) -> None:
    folder = tmp_path / sample
    shutil.copytree(SAMPLES / sample, folder, ignore=shutil.ignore_patterns("dataset.toml"))

    proposed = load_manifest(write_manifest(str(folder)))

    assert dataclasses.replace(proposed, folder="") == dataclasses.replace(
        load_manifest(SAMPLES / sample), folder=""
    )


def test_ids_of_users_and_items_that_overlap_are_told_apart_by_name(tmp_path: Path) -> None:
    rng = random.Random(0)
    movies = [
        f'{i},"{" ".join(rng.sample(WORDS, 3))} {i}",{rng.choice(["War|Drama", "Comedy"])}\n'
        for i in range(300)
    ]
    ratings = [
        f"{rng.randrange(100)},{rng.randrange(300)},{rng.choice([1, 2.5, 5])},{964982703 + i}\n"
        for i in range(900)
    ]
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n" + "".join(movies))
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(ratings))

    manifest = load_manifest(write_manifest(str(tmp_path)))

    assert (manifest.items.id, manifest.items.text) == ("movieId", ("title", "genres"))
    assert manifest.events is not None
    assert manifest.events.columns == ["userId", "movieId", "timestamp", "rating"]
    assert manifest.events.kind.kinds == {"rating": Kind(label="rating")}


def test_kinds_availability_and_session_are_found(tmp_path: Path) -> None:
    rng = random.Random(0)
    items = [
        {"sku": f"S{i:04}", "name": " ".join(rng.sample(WORDS, 3)), "price": i / 7, "in_stock": i % 5 > 0}
        for i in range(100)
    ]
    events = [
        f"v{rng.randrange(30)}\t{rng.choice(['view', 'addtocart', 'purchase'])}\tS{rng.randrange(100):04}\t"
        f"2024-01-{rng.randrange(1, 29):02}T10:00:00Z\ts{i // 3}\n"
        for i in range(900)
    ]
    (tmp_path / "catalog.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    (tmp_path / "log.tsv").write_text("visitor\tevent\tsku\tat\tsession_id\n" + "".join(events))

    manifest = load_manifest(write_manifest(str(tmp_path)))

    assert manifest.items.availability == "in_stock"
    assert manifest.items.numeric == {"price": Range(min=0.0)}
    assert manifest.events is not None
    assert manifest.events.session == "session_id"
    weights = {name: kind.weight for name, kind in manifest.events.kind.kinds.items()}
    assert weights == {"view": 1.0, "addtocart": 2.0, "purchase": 3.0}


@pytest.mark.parametrize(
    ("lowest", "range_"), [("0", Range(min=0.0)), ("9.5", Range(min=0.0)), ("-9.5", Range())]
)
def test_price_that_never_was_negative_is_proposed_with_a_range(
    dataset: Write, lowest: str, range_: Range
) -> None:
    header, *rows = ITEMS.replace("9.5", lowest).splitlines()
    weighed = [f"{header},weight", *(f"{row},{n}" for n, row in enumerate(rows))]
    folder = dataset(items__csv="\n".join(weighed) + "\n")
    (folder / "dataset.toml").unlink()

    numeric = load_manifest(write_manifest(str(folder))).items.numeric

    assert numeric == {"price": range_, "weight": Range()}


def test_files_with_the_same_columns_are_one_table(dataset: Write) -> None:
    folder = dataset(events__csv=EVENTS, events2__csv=EVENTS)
    (folder / "dataset.toml").unlink()

    assert 'path = ["events.csv", "events2.csv"]' in propose_manifest(str(folder))


def test_existing_manifest_is_not_overwritten(dataset: Write) -> None:
    folder = dataset()
    before = (folder / "dataset.toml").read_bytes()

    with pytest.raises(DataError, match="must not be overwritten"):
        write_manifest(str(folder))

    assert (folder / "dataset.toml").read_bytes() == before


def test_folder_without_items_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text(USERS)

    with pytest.raises(DataError, match=r"must have a table of items.+Got users\.csv"):
        write_manifest(str(tmp_path))

    assert [path.name for path in tmp_path.iterdir()] == ["users.csv"]


def test_items_alone_are_nothing_to_learn_from(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(ITEMS)

    with pytest.raises(DataError, match="must have events"):
        propose_manifest(str(tmp_path))
