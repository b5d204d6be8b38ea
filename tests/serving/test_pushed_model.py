from __future__ import annotations

import os
from pathlib import Path

import pytest

from dataset.errors import DataError
from serving.pushed_model import model_dir, newest_version_dir


def _push(workdir: Path, version: int, *, at_s: int = 100) -> Path:
    """Pushes an empty version at that time and gives the directory of the versions."""
    path = workdir / "serving" / "tandem" / str(version)
    path.mkdir(parents=True)
    (path / "saved_model.pb").touch()
    os.utime(path, (at_s, at_s))
    return path.parent


def test_named_workdir_is_used(tmp_path: Path) -> None:
    pushed = _push(tmp_path, 1)

    assert model_dir(tmp_path) == pushed


def test_without_a_name_the_run_that_pushed_last_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _push(Path("runs/first"), 9, at_s=100)
    latest = _push(Path("runs/second"), 2, at_s=300)
    _push(Path("runs/third"), 1, at_s=200)
    Path("runs/unfinished/serving/tandem").mkdir(parents=True)

    assert model_dir(None) == latest


def test_newest_version_is_the_highest_complete_number(tmp_path: Path) -> None:
    pushed = _push(tmp_path, 9)
    _push(tmp_path, 10)
    (pushed / "11").mkdir()

    assert newest_version_dir(pushed) == pushed / "10"


def test_run_without_a_pushed_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DataError, match=r"There must be a finished run under .*runs\. Got none"):
        model_dir(None)
    with pytest.raises(
        DataError, match=r"There must be a pushed model in .*elsewhere/serving/tandem\. Got none"
    ):
        model_dir(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="There must be a version of the model"):
        newest_version_dir(tmp_path)
