"""Record of a finished run of a variant: one JSON file, and the values of its queries and users beside it."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.retrieval_evaluator.unit_values import UnitValues
from dataset.files import is_remote
from dataset.manifest import SCHEMAS_FOLDER, TABLES, Manifest
from dataset.spans import files_read
from dataset.tables import expand_paths
from pipeline.config import Config

# What has no influence on the numbers.
_WHERE_IT_RUNS = ("beam", "kubeflow")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VariantRecord:
    """The numbers of one run.

    Attributes:
        configuration: The settings, nested.
        trained_parameters: The number of weights that the optimizers of the towers and of the ranker hold.
        training_min: Minutes that the Trainer took.
        servable_mb: Megabytes (10^6 bytes) of the servable's files.
        request_costs: By request, ``search`` or ``recommend``, its ``latency_ms`` and ``cpu_ms`` as
            `components.serving_validator.RequestCost` has them.
        is_blessed: Whether both gates let it pass.
        reasons: The gates' reasons, as sentences.
        values: What it reached for each query and user.
    """

    configuration: Mapping[str, Any]
    trained_parameters: int
    training_min: float
    servable_mb: float
    request_costs: Mapping[str, Mapping[str, float]]
    is_blessed: bool
    reasons: tuple[str, ...]
    values: UnitValues

    def save(self, path: Path) -> None:
        """Writes the JSON file `path`, which appears last and whole, and the file of the values."""
        path.parent.mkdir(parents=True, exist_ok=True)
        _values_path(path).write_bytes(self.values.to_bytes())
        # `asdict` would copy the arrays too.
        numbers = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del numbers["values"]
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(numbers, allow_nan=False, indent=1), encoding="utf-8")
        os.replace(fresh, path)

    @classmethod
    def load(cls, path: Path) -> VariantRecord | None:
        """Reads what `save` wrote; ``None`` if that was not done, or not by this version."""
        try:
            numbers = json.loads(path.read_text(encoding="utf-8"))
            values = UnitValues.from_bytes(_values_path(path).read_bytes())
            return cls(**numbers | {"reasons": tuple(numbers["reasons"]), "values": values})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None


def record_path(folder: Path, manifest: Manifest, config: Config, forgotten: Sequence[str]) -> Path | None:
    """The path of the record of a configuration on the data as they are now.

    Args:
        folder: Where records are.
        manifest: The dataset.
        config: Of the run.
        forgotten: The users who are left out, by SHA-256.

    Returns:
        The path; ``None`` for tables on other machines, whose changes are told only by running.
    """
    files = _files(manifest)
    if any(is_remote(file) for file in files):
        return None
    sections = dataclasses.asdict(config)
    known = {
        "config": {name: section for name, section in sections.items() if name not in _WHERE_IT_RUNS},
        "manifest": manifest.to_json(),
        "files": [[file, (found := os.stat(file)).st_size, found.st_mtime_ns] for file in files],
        "forgotten": list(forgotten),
    }
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    return folder / f"{digest[:16]}.json"


def _files(manifest: Manifest) -> list[str]:
    """Every file of the tables, and the curated schemas."""
    files = []
    for name in TABLES:
        table = getattr(manifest, name)
        if table is not None:
            files += files_read(manifest, name)
            files += expand_paths(getattr(table, "queries", None) or (), manifest.folder)
    return files + sorted(glob.glob(os.path.join(glob.escape(manifest.folder), SCHEMAS_FOLDER, "*.pbtxt")))


def _values_path(path: Path) -> Path:
    return path.with_suffix(".npz")
