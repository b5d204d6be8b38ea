"""The place of a pushed model: ``WORKDIR/serving/tandem/VERSION``."""

from __future__ import annotations

from pathlib import Path

from dataset.errors import DataError

MODEL_NAME = "tandem"
RUNS = Path("runs")


def model_dir(workdir: Path | None) -> Path:
    """The directory of the versions that the run in ``workdir`` pushed.

    Args:
        workdir: A run's folder; ``None`` means the run under ``runs`` that pushed last.

    Raises:
        DataError: If no model was pushed there.
    """
    if workdir is None:
        workdirs = [path for path in RUNS.glob("*") if _newest_version(_model_dir(path))]
        if not workdirs:
            raise DataError(
                f"There must be a finished run under {RUNS.resolve()}. Got none; train a model with "
                "`tandem run DATASET`, or name its folder with --workdir."
            )
        return max((_model_dir(path) for path in workdirs), key=_pushed_at)
    if not _newest_version(_model_dir(workdir)):
        raise DataError(
            f"There must be a pushed model in {_model_dir(workdir)}. Got none; "
            "train one with `tandem run DATASET`."
        )
    return _model_dir(workdir)


def newest_version_dir(path: Path) -> Path:
    """The directory of the newest complete version under ``path``.

    Raises:
        DataError: If there is no version.
    """
    version = _newest_version(path)
    if version is None:
        raise DataError(f"There must be a version of the model under {path}. Got none.")
    return version


def _model_dir(workdir: Path) -> Path:
    return workdir / "serving" / MODEL_NAME


def _newest_version(path: Path) -> Path | None:
    versions = [child.parent for child in path.glob("*/saved_model.pb") if child.parent.name.isdecimal()]
    return max(versions, key=lambda version: int(version.name), default=None)


def _pushed_at(path: Path) -> float:
    return newest_version_dir(path).stat().st_mtime
