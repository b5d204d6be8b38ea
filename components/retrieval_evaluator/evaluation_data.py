"""The data of an evaluation, read from the artifacts and held in memory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Interactions
from dataset import features
from dataset.frames import BYTES, FLOAT, INT, read_frame
from dataset.kinds import is_negative, is_positive
from dataset.manifest import Manifest
from models.event_log import places_of
from models.interaction_summary import Summary
from models.item_table import read_item_columns

Array = np.ndarray[Any, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Items:
    """The catalogue in row order.

    Attributes:
        ids: One a row.
        titles: The first text column.
        columns: The text and the categorical columns by name, the first text column first.
        language: Of the texts.
        text_vectors: float32 `[num_items, text_dim]`, by the encoder as it came.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    columns: dict[str, list[str]]
    language: str
    text_vectors: Array

    def rows(self, ids: Array) -> Array:
        """int64 rows of an array of bytes ids, -1 for unknown ones, in its shape."""
        table = getattr(self, "_rows", None)
        if table is None:
            table = {item.encode(): row for row, item in enumerate(self.ids)}
            object.__setattr__(self, "_rows", table)
        flat = [table.get(item, -1) for item in ids.ravel().tolist()]
        return np.array(flat, np.int64).reshape(ids.shape)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Log:
    """The events, by the definition of `dataset.kinds`.

    Attributes:
        past: What was chosen before the test window.
        histories: What each user had chosen when they are asked: the past. Where users are sessions, all but
            the last moment of each.
        future: What was chosen in the window, after the histories, and is not disliked.
        disliked: CSR `[num_users, num_items]` of ones where a user dislikes an item, whenever they said so:
            the servable knows the whole log, and no system may gain by it.
        user_ids: One a user row.
        groups: The value of each categorical users column, `[num_users]`, by its name.
        test_start: Epoch seconds.
    """

    past: Interactions
    histories: Interactions
    future: Interactions
    disliked: sparse.csr_matrix
    user_ids: tuple[str, ...]
    groups: dict[str, list[str]]
    test_start: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judged:
    """The queries, and their gains as CSR `[num_queries, num_items]`."""

    queries: tuple[str, ...]
    gains: sparse.csr_matrix


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationData:
    """Everything measured on; parts the dataset does not have are ``None``."""

    items: Items
    log: Log | None
    judged: Judged | None


def load_evaluation_data(
    manifest: Manifest, *, uris: dict[str, str], text_vectors: Array, learns_from_judgments: bool
) -> EvaluationData:
    """Reads the raw tables and the judged queries.

    Args:
        manifest: The dataset.
        uris: Artifact folders by input name.
        text_vectors: From TextEmbedder.
        learns_from_judgments: Whether search has learnt from the judgments; then only the test queries count.
    """
    table = manifest.items
    ids, columns = read_item_columns(_split(uris["items"]), (*table.text, *table.categorical))
    items = Items(
        ids=tuple(ids),
        titles=tuple(columns[table.text[0]]),
        columns=columns,
        language=table.language,
        text_vectors=text_vectors,
    )
    splits = (features.JUDGED_TEST,) if learns_from_judgments else features.JUDGMENT_SPLITS
    _, test_start = Summary.load(uris["summary"]).starts
    return EvaluationData(
        items=items,
        log=_log(manifest, uris, items, test_start) if manifest.events else None,
        judged=_judged(uris["interactions"], len(items.ids), splits) if manifest.judgments else None,
    )


def _split(uri: str, name: str = features.ALL) -> str:
    return os.path.join(uri, f"Split-{name}", "*")


def _texts(values: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else "" for value in values]


def _log(manifest: Manifest, uris: dict[str, str], items: Items, test_start: int) -> Log:
    columns = {features.USER_ID: BYTES, features.ITEM_ID: BYTES, features.TIME: INT, features.WEIGHT: FLOAT}
    events = read_frame(_split(uris["events"]), columns)
    events = events.assign(row=items.rows(events[features.ITEM_ID].to_numpy()))
    weights = events[features.WEIGHT].fillna(1.0)
    events, weights = events[events["row"] >= 0], weights[events["row"] >= 0]
    chosen, disliked = events[is_positive(weights)], events[is_negative(weights)]
    user_ids, user_rows = np.unique(chosen[features.USER_ID].to_numpy(), return_inverse=True)
    everything = Interactions(
        user_rows=user_rows.astype(np.int32),
        item_rows=chosen["row"].to_numpy(np.int32),
        times=chosen[features.TIME].to_numpy(np.int64),
        num_users=len(user_ids),
        num_items=len(items.ids),
    )
    dislikers = places_of(disliked[features.USER_ID].to_numpy(), user_ids)
    is_known = dislikers >= 0
    pairs = np.unique(np.stack([dislikers[is_known], disliked["row"].to_numpy()[is_known]]), axis=1)
    dislikes = sparse.csr_matrix((np.ones(pairs.shape[1]), pairs), shape=(len(user_ids), len(items.ids)))
    groups = {}
    if manifest.users and "users" in uris:
        users = read_frame(
            _split(uris["users"]), dict.fromkeys((features.USER_ID, *manifest.users.categorical), BYTES)
        )
        users = users.drop_duplicates(features.USER_ID).set_index(features.USER_ID)
        groups = {c: _texts(users[c].reindex(user_ids)) for c in manifest.users.categorical}
    is_future = everything.times >= test_start
    if manifest.events is not None and manifest.events.users_are_sessions:
        is_future &= everything.is_last_moment()
    return Log(
        past=everything.between(None, test_start),
        histories=everything.where(~is_future),
        future=everything.where(is_future).without(dislikes),
        disliked=dislikes,
        user_ids=tuple(user.decode() for user in user_ids),
        groups=groups,
        test_start=test_start,
    )


def _judged(uri: str, num_items: int, splits: Iterable[str]) -> Judged:
    spec = {
        features.QUERY: tf.io.FixedLenFeature([], tf.string),
        features.TARGET_ROWS: tf.io.RaggedFeature(tf.int64),
        features.TARGET_WEIGHTS: tf.io.RaggedFeature(tf.float32),
    }
    files = [file for split in splits for file in sorted(tf.io.gfile.glob(_split(uri, split)))]
    queries: list[str] = []
    rows, columns, values = [], [], []
    for record in tf.data.TFRecordDataset(files, "GZIP"):
        parsed = tf.io.parse_single_example(record, spec)
        targets = parsed[features.TARGET_ROWS].numpy()
        rows.append(np.full(len(targets), len(queries)))
        columns.append(targets)
        values.append(parsed[features.TARGET_WEIGHTS].numpy())
        queries.append(parsed[features.QUERY].numpy().decode())
    none = np.zeros(0, np.int64)
    gains = sparse.csr_matrix(
        (np.concatenate([none, *values]), (np.concatenate([none, *rows]), np.concatenate([none, *columns]))),
        shape=(len(queries), num_items),
    )
    order = np.argsort(np.array(queries, object), kind="stable")
    return Judged(queries=tuple(queries[i] for i in order), gains=gains[order])
