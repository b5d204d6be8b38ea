from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dataset.errors import DataError
from dataset.json_lines import json_batches
from dataset.tables import read_batches
from dataset.values import as_text

IDS = [11000000000000000000 + 37 * n for n in range(40)]


def _written(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def _texts(path: str, column: str, batch_rows: int = 1000) -> list[str | None]:
    return [
        text for _, batch in json_batches(path, batch_rows) for text in as_text(batch[column]).to_pylist()
    ]


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
@pytest.mark.parametrize(
    "ids",
    [IDS, [-(10**30), 10**30, 7], [2**53 + 1, 2**53 + 3], [2**63, 1, "x"], [2**64 + 1, None, 2**64 + 3]],
)
def test_whole_numbers_keep_their_digits(tmp_path: Path, ids: list[Any], batch_rows: int) -> None:
    path = _written(tmp_path / "t.jsonl", [{"id": value, "n": 1.5} for value in ids])

    assert _texts(path, "id", batch_rows) == [None if value is None else str(value) for value in ids]


def test_whole_numbers_among_fractions_and_in_lists_keep_their_digits(tmp_path: Path) -> None:
    path = _written(
        tmp_path / "t.jsonl", [{"id": 2**53 + 1, "tags": [2**64 + 1]}, {"id": 1.5, "tags": [3, None]}]
    )

    assert _texts(path, "id") == ["9007199254740993", "1.5"]
    assert _texts(path, "tags") == ["18446744073709551617", "3"]


@pytest.mark.parametrize(
    "tags",
    [[None, [None, "red"]], [[None, None, "a"], ["b", "c"]], [[None, 7], [8]], [[], [None], [None, "a"]]],
)
def test_list_that_begins_with_null_keeps_its_values_and_its_neighbours(
    tmp_path: Path, tags: list[Any]
) -> None:
    path = _written(tmp_path / "t.jsonl", [{"tags": row} for row in tags])

    expected = [None if row is None else " ".join(str(tag) for tag in row if tag is not None) for row in tags]
    assert _texts(path, "tags") == expected


def test_large_numbers_that_are_no_whole_numbers_stay_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"n": 1e300}\n{"n": 2.5}\n{"n": NaN}\n')

    ((_, batch),) = json_batches(str(path), 10)

    assert batch["n"].type == pa.float64()
    assert batch["n"].to_pylist()[:2] == [1e300, 2.5]


def test_half_a_surrogate_pair_is_read_as_a_replacement_character(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        r'{"a": "cosy mug \ud83d", "b": ["\udcca", "x"]}'
        + "\n"
        + r'{"a": "\ud83d\ude00\\ud83d", "b": []}'
        + "\n"
    )

    assert _texts(str(path), "a") == ["cosy mug \ufffd", "😀\\ud83d"]
    assert _texts(str(path), "b") == ["\ufffd x", ""]


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 1000])
def test_lists_and_texts_in_one_column_do_not_depend_on_the_block(tmp_path: Path, batch_rows: int) -> None:
    values = ["lamp", ["red", "old"], None, ["red", None, 7, 2.0], [], "x", 5, [1.5, True]]
    path = _written(tmp_path / "t.jsonl", [{"tags": value} for value in values])

    texts = _texts(path, "tags", batch_rows)

    assert texts == ["lamp", "red old", None, "red 7 2", "", "x", "5", "1.5 true"]


@pytest.mark.parametrize("batch_rows", [1, 2, 1000])
def test_objects_stay_objects_beside_texts(tmp_path: Path, batch_rows: int) -> None:
    path = _written(tmp_path / "t.jsonl", [{"a": "x"}, {"a": {"b": 1}}, {"a": [["nested"], "x"]}])

    with pytest.raises(TypeError):
        _texts(path, "a", batch_rows)


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_array_of_objects_is_read_like_lines(tmp_path: Path, name: str, mark: str) -> None:
    rows = [{"id": 2**64 + n, "tags": ["a", None], "price": n / 2} for n in range(5)]
    (tmp_path / name).write_text(mark + "\n" + json.dumps(rows, indent=2), encoding="utf-8")

    batches = list(read_batches(str(tmp_path / name), columns=["price", "id"], batch_rows=2))

    assert [first for first, _ in batches] == [1, 3, 5]
    found = [row for _, batch in batches for row in batch.to_pylist()]
    assert found == [{"price": row["price"], "id": str(row["id"])} for row in rows]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"a": 1}, 2]', "row 2: a row must be one JSON object. Got 2."),
        ('[{"a": 1}, {"a"', "must be an array of JSON objects"),
        ("[]", ""),
        ('{"a": 1}\n{"a": "x", }\n', "row 2: a row must be one JSON object"),
    ],
)
def test_broken_json_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "t.json").write_text(content)

    if not sentence:
        assert list(read_batches(str(tmp_path / "t.json"), columns=["a"])) == []
        return
    with pytest.raises(DataError) as error:
        list(read_batches(str(tmp_path / "t.json"), columns=["a"]))
    assert sentence in str(error.value)


def test_byte_order_mark_before_the_first_line_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n')

    assert [b.to_pylist() for _, b in json_batches(str(tmp_path / "t.jsonl"), 9)] == [[{"a": 1}, {"a": 2}]]


@pytest.mark.parametrize("is_array", [False, True])
def test_nan_as_python_writes_it_is_no_value(tmp_path: Path, is_array: bool) -> None:
    rows = [{"brand": float("nan"), "price": float("nan")}, {"brand": "Acme", "price": 1.5}]
    lines = [json.dumps(row) for row in rows]
    path = tmp_path / "items.jsonl"
    path.write_text(f"[{','.join(lines)}]" if is_array else "\n".join(lines))

    ((_, batch),) = json_batches(str(path), 10)

    assert batch.column("brand").to_pylist() == [None, "Acme"]


@pytest.mark.parametrize(("is_array", "place"), [(False, "row 2: "), (True, "array of JSON objects")])
def test_key_that_an_object_has_twice_is_named(tmp_path: Path, is_array: bool, place: str) -> None:
    lines = ['{"id": 1, "title": "a"}', '{"id": 2, "title": "b", "title": "c"}']
    path = tmp_path / "items.jsonl"
    path.write_text(f"[{','.join(lines)}]" if is_array else "\n".join(lines))

    with pytest.raises(DataError, match=rf'{place}.*Got: "title" twice'):
        list(json_batches(str(path), 10))
