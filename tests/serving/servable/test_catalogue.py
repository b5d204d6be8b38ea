from __future__ import annotations

from pathlib import Path

import pytest

from serving.servable.catalogue import Catalogue, write_catalogue

ROWS = [
    ("007", 9.5, "hall"),
    ("7", None, None),
    ("x 1", 40.0, 'a "b", c'),
    ("007", 1.0, "a repeated id"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "items with a space?.sqlite"
    write_catalogue(path, {'a "price", in £': float, "room": str}, ROWS)
    return path


def test_columns_come_back_by_name_and_the_first_of_a_repeated_id_counts(path: Path) -> None:
    catalogue = Catalogue(path)

    found = catalogue.columns_of(["x 1", "007", "7", "unknown"])

    assert found == {
        "007": {'a "price", in £': 9.5, "room": "hall"},
        "7": {},
        "x 1": {'a "price", in £': 40.0, "room": 'a "b", c'},
    }
    assert catalogue.columns_of([]) == {}
    catalogue.close()


def test_catalogue_is_read_from_a_folder_that_cannot_be_written(path: Path) -> None:
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        catalogue = Catalogue(path)
        assert catalogue.columns_of(["7"]) == {"7": {}}
        catalogue.close()
        assert [file.name for file in path.parent.iterdir()] == [path.name]
    finally:
        path.parent.chmod(0o755)
