from __future__ import annotations

import dataclasses
import json
import random
import shutil
import zipfile
from pathlib import Path

import pandas as pd
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
        | {"Available from": f"2024-01-{1 + i % 28:02}" if i % 3 else None, "availableUntil": "sold out"}
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
    assert (manifest.items.available_from, manifest.items.available_until) == ("Available from", None)
    assert manifest.items.numeric == {"price": Range(min=0.0)}
    assert manifest.events is not None
    assert manifest.events.session == "session_id"
    weights = {name: kind.weight for name, kind in manifest.events.kind.kinds.items()}
    assert weights == {"view": 1.0, "addtocart": 2.0, "purchase": 3.0}


@pytest.mark.parametrize(
    ("title", "is_marked"), [("Red &amp; blue", True), ("<p>Red</p>", True), ("A&B", False)]
)
def test_html_in_a_text_is_proposed_to_be_taken_off(dataset: Write, title: str, is_marked: bool) -> None:
    folder = dataset(items__csv=ITEMS.replace("Old chair", title))
    (folder / "dataset.toml").unlink()

    manifest = load_manifest(write_manifest(str(folder)))

    assert manifest.items.text == ("title",)
    assert manifest.items.strip_markup is is_marked


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("product_impression", "dislike", "click"), [-1.0, 0.0, 1.0]),
        (("impression", "impression_top"), [1.0, 1.0]),
    ],
)
def test_impressions_and_dislikes_are_proposed_as_such_beside_something_better(
    dataset: Write, names: tuple[str, ...], expected: list[float]
) -> None:
    header, *rows = EVENTS.splitlines()
    log = [f"{header},action", *(f"{row},{names[n % len(names)]}" for n, row in enumerate(rows * 9))]
    folder = dataset(events__csv="\n".join(log) + "\n")
    (folder / "dataset.toml").unlink()

    events = load_manifest(write_manifest(str(folder))).events

    assert events is not None
    assert sorted(kind.weight for kind in events.kind.kinds.values()) == expected


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


def _shop(folder: Path, items: str, events: str = "", **files: str) -> Path:
    times = [f"2023-01-{day:02} 10:00:00" for day in range(1, 29)]
    log = [f"u{n % 9},{n % 40:03},{time}\n" for n, time in enumerate(times * 9)]
    (folder / "items.csv").write_text(items)
    (folder / "events.csv").write_text(events or "user,sku,at\n" + "".join(log))
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return folder


def _events(times: list[str], column: str = "at") -> str:
    return f"user,sku,{column}\n" + "".join(
        f"u{n % 9},{n % 40:03},{time}\n" for n, time in enumerate(times * 9)
    )


TITLES = "sku,title\n" + "".join(f"{n:03},{WORDS[n % 12]} {WORDS[n // 12]} {n}\n" for n in range(40))


def test_title_tells_items_apart_and_names_that_come_back_are_categories(tmp_path: Path) -> None:
    header = "sku,product_code,colour_value_name,garment_name,prod_name,department_name,detail_desc,rank_no\n"
    rows = [
        f"{n:03},0{1000 + n // 3},{'Dark' if n % 3 else 'Light'},{WORDS[n % 5]} top,"
        f"Lamp {WORDS[n % 12]} ({n // 2}),"
        f'{WORDS[n % 4]},"A {WORDS[n % 12]} lamp, of {n} parts for the {WORDS[n % 7]}.",{n}\n'
        for n in range(40)
    ]

    items = load_manifest(write_manifest(str(_shop(tmp_path, header + "".join(rows))))).items

    assert items.text[0] == "prod_name"
    assert items.text[-1] == "detail_desc"
    assert len(items.text) <= 5
    assert items.categorical == ("colour_value_name", "garment_name", "department_name")
    assert items.codes == ("product_code",)
    assert list(items.numeric) == ["rank_no"]
    assert '"prod_name", ' in (tmp_path / "dataset.toml").read_text()
    assert "the first column weighs most: 40 different in 40 rows" in (tmp_path / "dataset.toml").read_text()


def test_lists_are_text_and_links_are_nothing(tmp_path: Path) -> None:
    items = [
        {
            "sku": f"{n:03}",
            "title": f"lamp of {n} parts",
            "tags": [WORDS[n % 3], "x"],
            "image": f"https://x/{n % 9}",
        }
        for n in range(40)
    ]
    folder = _shop(tmp_path, TITLES, items__jsonl="".join(json.dumps(item) + "\n" for item in items))
    (folder / "items.csv").unlink()

    proposed = load_manifest(write_manifest(str(folder))).items

    assert (proposed.text, proposed.categorical) == (("title", "tags"), ())


@pytest.mark.parametrize(
    ("column", "times"),
    [
        ("event_time", ["2019-10-01 00:00:08 UTC", "2019-10-02 00:00:08 UTC"]),
        ("timestamp", ["1433221332117", "1433224214164"]),
        ("t_dat", ["20230115", "20230116"]),
        ("whatever", ["20230115", "20230116"]),
        ("ts", ["1433221332", "1433221333"]),
        ("at", ["2019-10-01"] * 30 + ["unknown"]),
    ],
)
def test_time_of_every_spelling_is_seen(tmp_path: Path, column: str, times: list[str]) -> None:
    manifest = load_manifest(write_manifest(str(_shop(tmp_path, TITLES, _events(times, column)))))

    assert manifest.events is not None
    assert manifest.events.time == column


@pytest.mark.parametrize(
    ("column", "times", "why"),
    [
        (
            "ordered_at",
            ["01.02.2023", "02.02.2023"],
            'column "ordered_at" of events.csv .+ "01.02.2023" is not ISO',
        ),
        (
            "date",
            ["44927.5", "44928.5"],
            'column "date" of events.csv .+ "44927.5" is no number of seconds from',
        ),
    ],
)
def test_column_that_is_called_like_a_time_and_is_none_is_named(
    tmp_path: Path, column: str, times: list[str], why: str
) -> None:
    with pytest.raises(DataError, match=f"must have events .+{why}.+write 2023-01-15"):
        propose_manifest(str(_shop(tmp_path, TITLES, _events(times, column))))


def test_numbers_with_zeros_in_front_are_names_and_no_times(tmp_path: Path) -> None:
    items = TITLES.replace("\n0", "\n01087750").replace("\n1", "\n11087750")
    events = _events(["2023-01-01", "2023-01-02"]).replace(",0", ",01087750")

    manifest = load_manifest(write_manifest(str(_shop(tmp_path, items, events))))

    assert manifest.items.id == "sku"


def test_columns_whose_names_are_taken_are_left_out_with_a_comment(tmp_path: Path) -> None:
    header, *rows = TITLES.splitlines()
    more = "available_from,tokens,price/scaled,available_until"
    items = "\n".join(
        [
            f"{header},{more}",
            *(f"{row},01.02.2024,{'ab'[n % 2]}cd,{n},2030-01-0{1 + n % 9}" for n, row in enumerate(rows)),
        ]
    )
    folder = _shop(tmp_path, items)

    text = write_manifest(str(folder)).read_text()

    for name in ("available_from", "tokens", "price/scaled"):
        assert f'# "{name}" is left out: the pipeline uses this name itself; rename the column.\n' in text
    assert '# "available_until"' not in text
    manifest = load_manifest(folder)
    assert manifest.items.available_until == "available_until"
    assert not {"tokens", "available_from"} & {*manifest.items.text, *manifest.items.categorical}


def test_folder_of_parts_is_one_table(tmp_path: Path) -> None:
    folder = _shop(tmp_path, TITLES)
    log = (folder / "events.csv").read_text()
    (folder / "events.csv").unlink()
    parts = folder / "events.csv"
    parts.mkdir()
    header, *rows = log.splitlines(keepends=True)
    for number in range(3):
        (parts / f"part-0000{number}-c000.csv").write_text(header + "".join(rows[number::3]))
    (parts / "_SUCCESS").touch()
    (folder / "notes").mkdir()
    (folder / "notes" / "readme.csv").write_text("a,b\n1,2\n")

    manifest = load_manifest(write_manifest(str(folder)))

    assert manifest.events is not None
    assert manifest.events.path == ("events.csv",)


def test_workbook_and_archive_are_proposed_with_the_sheet_that_is_read(tmp_path: Path) -> None:
    folder = _shop(tmp_path, TITLES)
    with zipfile.ZipFile(folder / "events.zip", "w") as archive:
        archive.write(folder / "events.csv", "events.csv")
    with pd.ExcelWriter(folder / "items.xlsx") as book:
        pd.read_csv(folder / "items.csv", dtype=str).to_excel(book, sheet_name="Shop", index=False)
        pd.DataFrame({"note": ["old"]}).to_excel(book, sheet_name="Notes", index=False)
    for name in ("events.csv", "items.csv"):
        (folder / name).unlink()

    text = propose_manifest(str(tmp_path))

    assert 'path = "items.xlsx"   # sheet "Shop", the first of 2\n' in text
    assert 'path = "events.zip"\n' in text


def test_workbook_that_is_left_out_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(_events(["2023-01-01"]))
    (tmp_path / "items.ods").write_bytes(b"PK\x03\x04")

    with pytest.raises(DataError, match=r"items\.ods was left out: save each sheet as CSV UTF-8"):
        propose_manifest(str(tmp_path))
