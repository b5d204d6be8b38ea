from __future__ import annotations

from pathlib import Path

import pytest

from serving.servable.catalogue import write_catalogue
from serving.servable.extra_assets import ExtraAssets
from serving.web.model_files import ModelFiles
from serving.web.schemas import Examples


def _write(folder: Path, version: int, price: float) -> ExtraAssets:
    extra = ExtraAssets(folder / str(version))
    Path(extra.folder).mkdir(parents=True)
    (folder / str(version) / "saved_model.pb").touch()
    write_catalogue(extra.catalogue_path, {"Price": float}, [("fork", price)])
    return extra


def test_columns_are_of_the_version_that_answered(tmp_path: Path) -> None:
    _write(tmp_path, 1, 10.0)
    files = ModelFiles(tmp_path)
    assert files.columns_of(["fork", "new"], 1) == {"fork": {"Price": 10.0}}

    _write(tmp_path, 2, 12.0)

    assert files.columns_of(["fork"], 2) == {"fork": {"Price": 12.0}}
    assert files.columns_of(["fork"], 1) == {"fork": {"Price": 10.0}}
    assert files.columns_of(["fork"], 3) == {}
    files.close()


@pytest.mark.parametrize("content", ["{", "[]", '{"queries": [7]}'])
def test_examples_that_are_none_are_empty(tmp_path: Path, content: str) -> None:
    Path(_write(tmp_path, 1, 1.0).examples_path).write_text(content)

    assert ModelFiles(tmp_path).examples() == Examples()


def test_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    for folder in (None, tmp_path, tmp_path / "nowhere"):
        files = ModelFiles(folder)
        assert files.examples() == Examples()
        assert files.columns_of(["fork"], 1) == {}
