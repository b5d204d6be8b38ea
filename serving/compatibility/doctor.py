"""The command ``tandem doctor``, which tells, op by op, which stock TF Serving can load a model."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.errors import DataError
from serving.compatibility.check import Compatibility, OpUse, check_compatibility
from serving.compatibility.saved_model import SAVED_MODEL_FILE
from serving.compatibility.stock_ops.table import stock_ops
from serving.pushed_model import MODEL_NAME, newest_version_dir

_NOT_PASSED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL_DIR",
        help="one version's folder, a folder of versions (the newest is taken), or a run's folder",
    )
    parser.add_argument(
        "--tf-serving-version",
        metavar="X.Y",
        help=f"exit with {_NOT_PASSED} unless this version can load the model",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: argparse.Namespace) -> int:
    """Prints the report.

    Returns:
        0, or 3 if the version that was asked about cannot load the model.

    Raises:
        DataError: If there is no model, if it cannot be read, or if the version is not known.
    """
    version = arguments.tf_serving_version
    if version is not None:
        stock_ops().require_known(version)
    folder = find_version(arguments.model)
    compatibility = check_compatibility(folder)
    if arguments.json:
        print(json.dumps(as_document(folder, compatibility), indent=2))
    else:
        print(f"{folder}\n\n{as_table(compatibility)}\n\n{compatibility.verdict()}")
    refusals = compatibility.refusals(version) if version is not None else []
    for sentence in refusals:
        print(f"tandem: {sentence}", file=sys.stderr)
    return _NOT_PASSED if refusals else 0


def find_version(path: Path) -> Path:
    """The folder of one version: ``path`` itself, or the newest version in it or in the run it holds.

    Raises:
        DataError: If there is no version.
    """
    if (path / SAVED_MODEL_FILE).is_file():
        return path
    for folder in (path, path / "serving" / MODEL_NAME):
        with contextlib.suppress(DataError):
            return newest_version_dir(folder)
    raise DataError(
        f"{path} must be a folder with {SAVED_MODEL_FILE}, with versions of a model, or of a finished run. "
        f"Got {'a folder without them' if path.is_dir() else 'no such folder'}."
    )


def as_table(compatibility: Compatibility) -> str:
    """A table of aligned columns. The ops with problems come last, next to the verdict."""
    rows = [("op", "count", "from", "first version", "problem")]
    for use in sorted(compatibility.ops, key=lambda use: (bool(use.problems), use.op)):
        problem = "; ".join(_ranges(use.problems))
        rows.append((use.op, str(use.count), use.source, use.first_version or "none", problem))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    aligned = "  ".join(f"{{:{side}{width}}}" for side, width in zip("<><<", widths, strict=True)) + "  {}"
    lines = [aligned.format(*row).rstrip() for row in rows]
    lines += [f"The graph: {problem}" for problem in _ranges(compatibility.graph_problems)]
    return "\n".join(lines)


def as_document(folder: Path, compatibility: Compatibility) -> dict[str, Any]:
    """The report as a dictionary for JSON."""
    loading = compatibility.versions
    return {
        "model": str(folder),
        "verdict": compatibility.verdict(),
        "versions": loading,
        "first_version": loading[0] if loading else None,
        "known_versions": stock_ops().versions,
        "graph_problems": dict(compatibility.graph_problems),
        "ops": [_entry(use) for use in compatibility.ops],
    }


def _entry(use: OpUse) -> dict[str, Any]:
    return {
        "op": use.op,
        "count": use.count,
        "from": use.source,
        "first_version": use.first_version,
        "problems": dict(use.problems),
    }


def _ranges(problems: Mapping[str, str]) -> list[str]:
    """The problems with the versions that have them, such as ``2.16–2.19: no such op …``."""
    grouped: dict[str, list[str]] = {}
    for version, problem in problems.items():
        grouped.setdefault(problem, []).append(version)
    return [
        f"{versions[0]}–{versions[-1]}: {problem}" if len(versions) > 1 else f"{versions[0]}: {problem}"
        for problem, versions in grouped.items()
    ]
