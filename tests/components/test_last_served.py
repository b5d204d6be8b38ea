from __future__ import annotations

from pathlib import Path

from tfx.types import standard_artifacts

from components.last_served import PushedModel
from tests.components.in_memory import artifact, context


def _resolve(folder: Path) -> Path:
    outputs = {"model": [artifact(standard_artifacts.Model, folder / "model")]}
    executor = PushedModel.EXECUTOR_SPEC.executor_class(context(folder))
    executor.Do({}, outputs, {"destination": str(folder / "serving")})
    return folder / "model" / "Format-Serving"


def test_newest_version_stands_in_for_the_last_blessed_model(tmp_path: Path) -> None:
    for version in ("9", "10", ".partial-11"):
        model = tmp_path / "serving" / "tandem" / version
        model.mkdir(parents=True)
        (model / "saved_model.pb").write_text(version)

    assert (_resolve(tmp_path) / "saved_model.pb").read_text() == "10"


def test_where_nothing_was_pushed_there_is_no_model(tmp_path: Path) -> None:
    assert not _resolve(tmp_path).exists()
