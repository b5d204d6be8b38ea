"""A dataset as arrays in memory, for measurements outside the pipeline."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Interactions
from dataset.columns import normalised_batches, read_queries
from dataset.contract import EventSplit
from dataset.errors import DataError
from dataset.manifest import Manifest, load_manifest
from dataset.splits import event_starts
from dataset.tables import expand_paths

MANIFESTS = Path(__file__).parent / "manifests"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Events:
    """The log, and the epoch seconds at which validation and test begin."""

    interactions: Interactions
    validation_start: int
    test_start: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgments:
    """Query texts, and their gains as CSR ``[num_queries, num_items]``."""

    queries: tuple[str, ...]
    gains: sparse.csr_matrix


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """A catalogue with its events and judgments.

    Attributes:
        name: The name from the manifest.
        item_ids: The item ids in the order of the item rows, which is that of their bytes.
        columns: The text and the categorical columns by name, the first text column first.
        language: Of the texts.
        events: The log; ``None`` without a table of events.
        judgments: The judgments; ``None`` without a table of judgments.
    """

    name: str
    item_ids: tuple[str, ...]
    columns: dict[str, list[str]]
    language: str
    events: Events | None
    judgments: Judgments | None


def find_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a folder: its own ``dataset.toml``, or the one in `MANIFESTS` of that name.

    Raises:
        DataError: If there is no manifest.
    """
    manifest_path = folder / "dataset.toml"
    if not manifest_path.exists():
        manifest_path = MANIFESTS / f"{folder.name}.toml"
    if not manifest_path.exists():
        known = ", ".join(sorted(path.stem for path in MANIFESTS.glob("*.toml")))
        raise DataError(f"{folder} must have a dataset.toml, or be one of {known} by its name.")
    return dataclasses.replace(load_manifest(manifest_path), folder=str(folder.resolve()))


def load_dataset(folder: Path) -> Dataset:
    """Reads a folder with a ``dataset.toml``, or one whose name is that of a manifest in `MANIFESTS`.

    Events and judgments of unknown items are left out.

    Raises:
        DataError: If there is no manifest, or if the data does not fit it.
    """
    manifest = find_manifest(folder)
    items = _table(manifest, "items")
    order = np.argsort(np.array([item.encode() for item in items["item_id"].to_pylist()], dtype=object))
    items = items.take(order)
    names = dict.fromkeys([*manifest.items.text, *manifest.items.categorical])
    return Dataset(
        name=manifest.name,
        item_ids=tuple(items["item_id"].to_pylist()),
        columns={name: _texts(items[name]).to_pylist() for name in names},
        language=manifest.items.language,
        events=_events(_table(manifest, "events"), items["item_id"], manifest.split.events)
        if manifest.events is not None
        else None,
        judgments=_judgments(_table(manifest, "judgments"), items["item_id"])
        if manifest.judgments is not None
        else None,
    )


def _table(manifest: Manifest, name: str) -> pa.Table:
    files = expand_paths(getattr(manifest, name).path, manifest.folder)
    queries, _ = read_queries(manifest) if name == "judgments" else (None, None)
    batches = [normal.batch for _, normal in normalised_batches(manifest, name, files, queries)]
    return pa.Table.from_batches(batches).combine_chunks()


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts, several categories of an item joined."""
    return pc.binary_join(column, " ") if pa.types.is_list(column.type) else column


def _rows(ids: pa.ChunkedArray, item_ids: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """The rows of the item table, int32 ``[n]``; -1 for unknown ids."""
    return pc.fill_null(pc.index_in(ids, item_ids.combine_chunks()), -1).to_numpy().astype(np.int32)


def _events(table: pa.Table, item_ids: pa.ChunkedArray, split: EventSplit) -> Events:
    item_rows = _rows(table["item_id"], item_ids)
    known = item_rows >= 0
    users = table["user_id"].combine_chunks().dictionary_encode()
    times = table["time"].to_numpy()
    validation_start, test_start = event_starts(split, int(times.min()), int(times.max()))
    return Events(
        interactions=Interactions(
            user_rows=users.indices.to_numpy()[known],
            item_rows=item_rows[known],
            times=times[known],
            num_users=len(users.dictionary),
            num_items=len(item_ids),
        ),
        validation_start=validation_start,
        test_start=test_start,
    )


def _judgments(table: pa.Table, item_ids: pa.ChunkedArray) -> Judgments:
    item_rows = _rows(table["item_id"], item_ids)
    known = item_rows >= 0
    queries = table["query"].combine_chunks().dictionary_encode()
    grades = table["grade"].to_numpy()
    gains = sparse.csr_matrix(
        (grades[known].astype(np.float64), (queries.indices.to_numpy()[known], item_rows[known])),
        shape=(len(queries.dictionary), len(item_ids)),
    )
    return Judgments(queries=tuple(queries.dictionary.to_pylist()), gains=gains)
