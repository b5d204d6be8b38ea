from __future__ import annotations

import re
from pathlib import Path

import pytest

from dataset.contract import MISSING_IDS, EventSplit, Kind, Range
from dataset.errors import DataError
from dataset.manifest import Manifest, load_manifest
from tests.tiny_dataset import MANIFEST, Write

SAMPLES = Path(__file__).parents[2] / "samples"
FULL = """
name = "full"
[items]
path = ["a.csv", "b/*.csv.gz"]
format = "csv"
id = "id"
text = ["title", "body"]
numeric = { price = {}, stars = { min = 1, max = 5 } }
categorical = ["brand"]
separator = { brand = " | " }
codes = ["ean"]
availability = "in_stock"
available_from = "starts"
available_until = "ends"
language = "german"
[events]
path = "gs://bucket/events-*.parquet"
user = "u"
item = "i"
time = "t"
kind = { column = "event_type", kinds = { view = 1.0, buy = { weight = 3, label = "purchase" } } }
value = "v"
query = "q"
session = "s"
[judgments]
path = "qrels.tsv"
query_id = "qid"
query = "query"
item = "i"
grade = { column = "label", gains = { E = 1, I = 0 } }
split = "split"
[split]
events = { validation = 0.2, test = 0.1 }
judgments = { validation = 0.1, test = 0.2 }
[limits]
orphan_events = 0.5
"""


@pytest.mark.parametrize("sample", ["online_retail", "shopping_queries"])
def test_sample_is_read_from_its_folder_or_its_file(sample: str) -> None:
    assert load_manifest(SAMPLES / sample) == load_manifest(SAMPLES / sample / "dataset.toml")


def test_every_key_is_read(dataset: Write) -> None:
    manifest = load_manifest(dataset(FULL))

    assert manifest.items.path == ("a.csv", "b/*.csv.gz")
    assert manifest.items.numeric == {"price": Range(), "stars": Range(min=1, max=5)}
    assert manifest.items.availability == "in_stock"
    assert (manifest.items.available_from, manifest.items.available_until) == ("starts", "ends")
    assert manifest.items.columns[-3:] == ["in_stock", "starts", "ends"]
    assert manifest.items.separator == {"brand": " | "}
    assert manifest.items.codes == ("ean",)
    assert manifest.items.language == "german"
    assert manifest.events is not None
    assert manifest.judgments is not None
    assert manifest.events.kind.kinds == {"view": Kind(label="view"), "buy": Kind(weight=3, label="purchase")}
    assert manifest.events.columns == ["u", "i", "t", "event_type", "v", "q", "s"]
    assert manifest.judgments.grade.gains == {"E": 1.0, "I": 0.0}
    assert manifest.split.events == EventSplit(validation=0.2, test=0.1)
    assert manifest.limits.orphan_events == 0.5


SPANS = MANIFEST.replace('"events.csv"', '"days/{YYYY}-{MM}-{DD}.csv"\nspans = 90').replace(
    '{ validation = "2024-01-03", test = "2024-01-04" }', "{ validation_days = 7, test_days = 3.5 }"
)


def test_window_of_spans_and_days_of_splits_are_read(dataset: Write) -> None:
    manifest = load_manifest(dataset(SPANS))

    assert manifest.events is not None
    assert manifest.events.spans == 90
    assert manifest.split.events == EventSplit(validation_days=7, test_days=3.5)


@pytest.mark.parametrize("text", [MANIFEST, FULL, SPANS])
def test_json_round_trip_is_the_identity(dataset: Write, text: str) -> None:
    manifest = load_manifest(dataset(text))

    assert Manifest.from_json(manifest.to_json()) == manifest


def test_range_is_what_the_manifest_says_and_not_what_a_name_suggests(dataset: Write) -> None:
    named = MANIFEST.replace("numeric = { price = { min = 0 } }", 'numeric = ["price"]')

    assert load_manifest(dataset()).items.numeric == {"price": Range(min=0.0)}
    assert load_manifest(dataset(named)).items.numeric == {"price": Range()}


def test_dates_may_be_toml_dates(dataset: Write) -> None:
    bare = load_manifest(dataset(MANIFEST.replace('"2024-01-03"', "2024-01-03")))

    assert bare == load_manifest(dataset())


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("text =", "txt =", 'unknown key "items.txt"; did you mean "text"?'),
        ("[users]", "[user]", 'unknown key "user"; did you mean "users"?'),
        ("[split]", "[limits]\norphan_event = 1\n[split]", 'did you mean "orphan_events"?'),
        (
            'kind = "purchase"',
            "kind = { colum = 1 }",
            'unknown key "events.kind.colum"; did you mean "column"?',
        ),
        ("test =", "tests =", 'unknown key "split.events.tests"; did you mean "test"?'),
        ('id = "sku"', "", "items.id must be a string. Got nothing."),
        ('["title"]', "[]", "items.text must name at least one. Got []."),
        ('["title"]', "3", "items.text must be a string or a list of strings. Got 3."),
        ("price = {", "title = {", 'must not name "title", which is text or categorical already'),
        ("numeric", 'codes = "price"\nnumeric', 'must not name "price", which is numeric'),
        (
            "numeric",
            'language = "klingon"\nnumeric',
            "items.language must be one of arabic, armenian",
        ),
        (
            "numeric",
            'separator = { tags = "|" }\nnumeric',
            "items.separator.tags must be a column of items.categorical. Got '|'.",
        ),
        (
            "numeric",
            'categorical = ["tags"]\nseparator = { tags = "" }\nnumeric',
            "items.separator.tags must be a string. Got ''.",
        ),
        ('"2024-01-04"', '"2024-01-01"', "must be later than split.events.validation"),
        ('"2024-01-04"', '"soon"', "must be an ISO 8601 date or a share of the time. Got 'soon'."),
        ('"2024-01-04"', "0.1", "split.events.validation must be a number"),
        ('name = "tiny"', 'name = "a/b"', "as it names a folder"),
        ('name = "tiny"', "name", "must be TOML in UTF-8"),
        ('"items.csv"', '["items/{SPAN}.csv", "more.csv"]', "must have spans of one kind in every path"),
        ('kind = "purchase"', "spans = 3", "events.spans must be at least 1, of a path that has {SPAN}"),
        ("validation =", "validation_days = 7, validation =", "split.events.test_days must be a number"),
        (
            'test = "2024-01-04"',
            "validation_days = 7, test_days = 7",
            "split.events.validation must be left out beside",
        ),
        (
            "[split]",
            '[judgments]\npath="q"\nqueries="r"\nquery="q"\nitem="i"\ngrade="g"\n[split]',
            "query_id must",
        ),
    ],
)
def test_mistake_is_named_with_file_and_key(dataset: Write, old: str, new: str, sentence: str) -> None:
    with pytest.raises(DataError) as error:
        load_manifest(dataset(MANIFEST.replace(old, new)))

    assert "dataset.toml" in str(error.value)
    assert sentence in str(error.value)


def test_manifest_without_events_or_judgments_is_refused(dataset: Write) -> None:
    with pytest.raises(DataError, match=r"must have \[events\] or \[judgments\]"):
        load_manifest(dataset(MANIFEST[: MANIFEST.index("[users]")]))


def test_missing_manifest_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tandem init"):
        load_manifest(tmp_path)


def test_byte_order_mark_is_no_part_of_the_manifest(dataset: Write) -> None:
    folder = dataset()
    file = folder / "dataset.toml"
    plain = load_manifest(folder)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    assert load_manifest(folder) == plain


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        (
            'text = ["name"]\ncategorical = ["title"]',
            'must not name a column "title", which the pipeline uses',
        ),
        ('text = ["name", "title"]\ncategorical = ["title"]', 'must not name a column "title"'),
        ('text = ["title"]\ncategorical = ["tokens"]', 'must not name a column "tokens"'),
        (
            'text = ["title"]\nnumeric = ["price"]\ncategorical = ["price/scaled"]',
            'must not name a column "price/scaled", which is made of "price"',
        ),
        (
            'text = ["title"]\ncategorical = ["brand", "brand/index"]',
            'must not name a column "brand/index", which is made of "brand"',
        ),
        (
            'text = ["title"]\ncategorical = ["user/a", "user_a"]',
            'must not name both "user/a" and "user_a"',
        ),
    ],
)
def test_category_must_not_take_the_place_of_a_transformed_feature(
    dataset: Write, items: str, sentence: str
) -> None:
    manifest = MANIFEST.replace('text = ["title"]\nnumeric = { price = { min = 0 } }', items)

    with pytest.raises(DataError, match=re.escape(sentence)):
        load_manifest(dataset(manifest))


@pytest.mark.parametrize(
    "items",
    [
        'text = ["title"]\ncategorical = ["title"]',
        'text = ["name"]\nnumeric = ["title", "tokens"]\ncategorical = []',
    ],
)
def test_columns_that_take_no_place_may_have_such_names(dataset: Write, items: str) -> None:
    manifest = MANIFEST.replace('text = ["title"]\nnumeric = { price = { min = 0 } }', items)

    assert load_manifest(dataset(manifest)).items.text


def test_names_of_values_are_read_as_the_files_values_are(dataset: Write) -> None:
    kind = 'kind = { column = "event_type", kinds = { "4.0" = 1.0, "5.0" = { weight = 3 }, " buy " = 2 } }'
    start, _, rest = FULL.partition("kind = {")
    changed = start + kind + "\n" + rest.partition("\n")[2]
    changed = changed.replace("{ E = 1, I = 0 }", '{ "3.0" = 1, I = 0 }')

    manifest = load_manifest(dataset(changed))

    assert manifest.events is not None
    assert manifest.judgments is not None
    assert manifest.events.kind.kinds == {
        "4": Kind(label="4"),
        "5": Kind(label="5", weight=3),
        "buy": Kind(label="buy", weight=2),
    }
    assert manifest.judgments.grade.gains == {"3": 1.0, "I": 0.0}
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_two_names_of_one_value_are_refused(dataset: Write) -> None:
    kind = 'kind = { column = "k", kinds = { 4 = 1.0, "4.0" = 2.0 } }'

    with pytest.raises(DataError, match=r'events\.kind\.kinds\.4\.0 must not repeat "4"\. Got 2\.0\.'):
        load_manifest(dataset(MANIFEST.replace('kind = "purchase"', kind)))


def test_words_for_a_missing_id_are_read_and_kept(dataset: Write) -> None:
    manifest = load_manifest(
        dataset(MANIFEST.replace('user = "user"', 'user = "user"\nmissing_ids = ["-1.0", "-1", "x"]'))
    )

    assert manifest.events is not None
    assert manifest.events.missing_ids == ("-1", "x")
    assert manifest.items.missing_ids == MISSING_IDS
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_markup_stays_unless_the_manifest_says_so(dataset: Write) -> None:
    stripped = load_manifest(
        dataset(MANIFEST.replace('text = ["title"]', 'text = ["title"]\nstrip_markup = true'))
    )

    assert stripped.items.strip_markup
    assert Manifest.from_json(stripped.to_json()) == stripped
    assert not load_manifest(dataset()).items.strip_markup
    with pytest.raises(DataError, match=r"items\.strip_markup must be true or false. Got 'yes'"):
        load_manifest(dataset(MANIFEST.replace('text = ["title"]', 'text = ["title"]\nstrip_markup = "yes"')))


def test_kinds_may_weigh_nothing_or_less(dataset: Write) -> None:
    kinds = 'kind = { column = "sku", kinds = { buy = 1, shown = 0, dislike = -1 } }'
    manifest = load_manifest(dataset(MANIFEST.replace('kind = "purchase"', kinds)))

    assert manifest.events is not None
    assert [kind.weight for kind in manifest.events.kind.kinds.values()] == [1, 0, -1]
    assert manifest.events.kind.has_negative


def test_one_kind_at_least_must_be_positive(dataset: Write) -> None:
    kinds = 'kind = { column = "sku", kinds = { shown = 0, dislike = -1 } }'

    with pytest.raises(DataError, match=r"kinds must give one kind at least a weight above 0"):
        load_manifest(dataset(MANIFEST.replace('kind = "purchase"', kinds)))
