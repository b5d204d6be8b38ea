from __future__ import annotations

from pathlib import Path

import pytest

from dataset.errors import DataError
from serving.web.keys import KeyFile, add_key, read_keys, remove_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "keys"


def test_file_has_the_hash_only_and_is_its_owners(path: Path) -> None:
    key = add_key(path, "shop")

    assert key not in path.read_text()
    assert key.removeprefix("tandem_") not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keys"]


def test_file_that_others_may_read_stays_so(path: Path) -> None:
    add_key(path, "shop")
    path.chmod(0o644)

    add_key(path, "desk")

    assert path.stat().st_mode & 0o777 == 0o644


def test_keys_are_told_apart_and_none_is_like_another(path: Path) -> None:
    keys = {name: add_key(path, name) for name in ("a", "b", "c")}
    file = KeyFile(path)

    assert {file.name_of(key): key for key in keys.values()} == keys
    assert len(set(keys.values())) == 3
    assert min(map(len, keys.values())) >= 50
    for wrong in (
        "",
        "tandem_",
        keys["a"][:-1],
        keys["a"] + "A",
        keys["a"].lower(),
        read_keys(path)[0].sha256,
    ):
        assert file.name_of(wrong) is None


def test_removed_key_is_gone_and_the_others_stay(path: Path) -> None:
    first, second = add_key(path, "first"), add_key(path, "second")

    remove_key(path, "first")

    file = KeyFile(path)
    assert (file.name_of(first), file.name_of(second)) == (None, "second")
    with pytest.raises(DataError, match=r"must be in .* Got 'first'"):
        remove_key(path, "first")


def test_file_that_breaks_or_vanishes_lets_nobody_in_until_it_is_mended(path: Path) -> None:
    key = add_key(path, "shop")
    good = path.read_text()
    file = KeyFile(path)

    path.write_text("{")
    assert file.name_of(key) is None
    path.unlink()
    assert file.name_of(key) is None
    path.write_text(good)
    assert file.name_of(key) == "shop"


@pytest.mark.parametrize("name", ["", "a b", "-a", "é", "a" * 65, "a\n"])
def test_name_that_is_none_is_refused(path: Path, name: str) -> None:
    with pytest.raises(DataError, match="A key's name must be"):
        add_key(path, name)
    assert not path.exists()


def test_name_is_taken_once(path: Path) -> None:
    add_key(path, "shop")

    with pytest.raises(DataError, match="must be new"):
        add_key(path, "shop")


@pytest.mark.parametrize(
    "line", ["{", "7", "[]", '{"name": "a"}', '{"name": "a", "created": "b", "sha256": "not a hash"}']
)
def test_file_of_something_else_is_named_with_its_line(path: Path, line: str) -> None:
    add_key(path, "shop")
    path.write_text(path.read_text() + line + "\n")

    with pytest.raises(DataError, match=r"Line 2 is not\."):
        KeyFile(path)


def test_missing_file_is_named_with_the_way_to_make_it(path: Path) -> None:
    with pytest.raises(DataError, match="tandem web keys add NAME --keys"):
        KeyFile(path)
