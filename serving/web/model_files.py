"""The files beside a model that help people: examples of questions, and the columns of its items."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from dataset.errors import DataError
from serving.pushed_model import newest_version_dir
from serving.servable.catalogue import Catalogue
from serving.servable.extra_assets import ExtraAssets
from serving.web.schemas import Examples


class ModelFiles:
    """The files of a model's versions. Threads may share it, and a missing file counts as empty.

    Args:
        model_dir: The directory of the versions; ``None`` if there is none on this machine.
    """

    def __init__(self, model_dir: Path | None) -> None:
        self._model_dir = model_dir
        self._lock = threading.Lock()
        self._version = -1
        self._catalogue: Catalogue | None = None

    def close(self) -> None:
        """Closes the catalogue if one is open."""
        if self._catalogue:
            self._catalogue.close()

    def examples(self) -> Examples:
        """The example questions of the newest version."""
        if self._model_dir is None:
            return Examples()
        try:
            path = ExtraAssets(newest_version_dir(self._model_dir)).examples_path
            return Examples.model_validate_json(Path(path).read_bytes())
        except (DataError, OSError, ValidationError):
            return Examples()

    def columns_of(self, item_ids: Sequence[str], version: int) -> Mapping[str, Mapping[str, float | str]]:
        """The columns of each item, as the version that answered knows them."""
        with self._lock:
            if version != self._version:
                self.close()
                self._catalogue, self._version = self._open(version), version
            return self._catalogue.columns_of(item_ids) if self._catalogue else {}

    def _open(self, version: int) -> Catalogue | None:
        if self._model_dir is None:
            return None
        try:
            return Catalogue(ExtraAssets(self._model_dir / str(version)).catalogue_path)
        except sqlite3.Error:
            return None
