from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dataset.errors import DataError
from dataset.manifest import load_manifest
from pipeline.forgotten import FORGOTTEN_FILE, forget, read_forgotten, unknown_users, what_holds_them
from pipeline.local import locations_in
from tests.tiny_dataset import write_dataset

ANN = hashlib.sha256(b"ann").hexdigest()


def test_users_are_kept_as_digests_and_once(tmp_path: Path) -> None:
    assert forget(tmp_path, ["ann", "bob"]) == 2
    assert forget(tmp_path, ["ann", "Zoë"]) == 3

    digests = read_forgotten(tmp_path)
    assert digests == sorted(hashlib.sha256(user.encode()).hexdigest() for user in ("ann", "bob", "Zoë"))
    assert "ann" not in (tmp_path / FORGOTTEN_FILE).read_text().replace(ANN, "")


def test_nobody_is_forgotten_where_nobody_asked(tmp_path: Path) -> None:
    assert read_forgotten(tmp_path) == []


def test_a_pipeline_is_told_whom_its_folder_forgets(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    manifest = load_manifest(write_dataset(shop))
    forget(tmp_path, ["ann"])

    assert locations_in(tmp_path, manifest).forgotten == (ANN,)


def test_what_still_holds_a_person_is_named(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    manifest = load_manifest(write_dataset(shop))

    said = what_holds_them(manifest, tmp_path)

    assert str(tmp_path / "shop" / "events.csv") in said[0]
    assert any("The model" in line for line in said)


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', "[", "null"])
def test_a_damaged_list_is_one_sentence_and_stays(tmp_path: Path, content: str) -> None:
    (tmp_path / FORGOTTEN_FILE).write_text(content)

    with pytest.raises(DataError, match="It is damaged"):
        forget(tmp_path, ["ann"])

    assert (tmp_path / FORGOTTEN_FILE).read_text() == content


def test_users_whom_no_table_has_are_told(tmp_path: Path) -> None:
    manifest = load_manifest(write_dataset(tmp_path))

    assert unknown_users(manifest, ["u1", "u9", "u2", "U1"]) == ["u9", "U1"]


@pytest.mark.parametrize(
    ("folder", "users", "words"), [("none", ["ann"], "tandem run"), (".", [" "], "must not be empty")]
)
def test_a_mistake_is_one_sentence_and_changes_nothing(
    tmp_path: Path, folder: str, users: list[str], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        forget(tmp_path / folder, users)

    assert read_forgotten(tmp_path) == []
