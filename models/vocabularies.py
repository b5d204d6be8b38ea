"""The vocabularies of a model's embedding tables, and how rows move when they change."""

from __future__ import annotations

import dataclasses
import io
import os
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from dataset import features
from dataset.manifest import Manifest
from models.item_table import ItemTable
from models.two_tower import TwoTower

_FILE = "vocabularies.npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vocabularies:
    """Ids and values in the order of their rows.

    Attributes:
        items: bytes ``[num_items]``.
        users: bytes ``[num_users]``; the table has one row more, for unknown users.
        item_categories: bytes ``[size]`` of each categorical column of items; the table has one row more.
        user_categories: The same of users.
    """

    items: np.ndarray
    users: np.ndarray
    item_categories: tuple[np.ndarray, ...] = ()
    user_categories: tuple[np.ndarray, ...] = ()

    @classmethod
    def read(
        cls, manifest: Manifest, items: ItemTable, *, item_transform_graph: str, transform_graph: str
    ) -> Vocabularies:
        """What TFX Transform found in the data that a model is trained on."""
        of_items, of_users = (
            tft.TFTransformOutput(graph) for graph in (item_transform_graph, transform_graph)
        )

        def values(output: Any, name: str) -> np.ndarray:
            return np.array(output.vocabulary_by_name(features.vocabulary_of(name)), object)

        users = manifest.users
        return cls(
            items=items.ids,
            users=values(of_users, features.USER_ID) if manifest.events else np.zeros(0, object),
            item_categories=tuple(values(of_items, name) for name in manifest.items.categorical),
            user_categories=tuple(
                values(of_users, features.user_feature(name)) for name in (users.categorical if users else ())
            ),
        )

    def save(self, folder: str) -> None:
        """Writes one file into a folder."""
        arrays = {"items": self.items, "users": self.users}
        for side in ("item_categories", "user_categories"):
            arrays |= {f"{side}/{i:03d}": values for i, values in enumerate(getattr(self, side))}
        # Joined, and the lengths beside: NumPy's own strings pad to the longest and drop trailing zeros.
        written: dict[str, Any] = {}
        for name, values in arrays.items():
            written[f"{name}/bytes"] = np.frombuffer(b"".join(values), np.uint8)
            written[f"{name}/lengths"] = np.array([len(value) for value in values], np.int64)
        buffer = io.BytesIO()
        np.savez(buffer, **written)
        with tf.io.gfile.GFile(os.path.join(folder, _FILE), "wb") as file:
            file.write(buffer.getvalue())

    @classmethod
    def load(cls, folder: str) -> Vocabularies:
        """Reads what `save` wrote."""
        with tf.io.gfile.GFile(os.path.join(folder, _FILE), "rb") as file:
            saved = np.load(io.BytesIO(file.read()))

        def values(name: str) -> np.ndarray:
            joined, ends = saved[f"{name}/bytes"].tobytes(), np.cumsum(saved[f"{name}/lengths"])
            starts = [0, *ends.tolist()]
            return np.array([joined[s:e] for s, e in zip(starts, ends, strict=False)], object)

        def side(name: str) -> tuple[np.ndarray, ...]:
            found = sorted({key.rpartition("/")[0] for key in saved.files if key.startswith(f"{name}/")})
            return tuple(values(key) for key in found)

        return cls(
            items=values("items"),
            users=values("users"),
            item_categories=side("item_categories"),
            user_categories=side("user_categories"),
        )


def rows_of(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """int64 ``[n]``: where each of bytes ``[n]`` ids stands in bytes ``[m]`` known ones, -1 for nowhere."""
    position = {value: row for row, value in enumerate(known.tolist())}
    return np.array([position.get(value, -1) for value in ids.tolist()], np.int64)


def carried(values: np.ndarray, rows: np.ndarray, fresh: Any = 0) -> np.ndarray:
    """``[n, …]``: the rows of ``[m, …]`` values that int64 ``[n]`` `rows` name, `fresh` where it is -1."""
    is_new = (rows < 0).reshape(-1, *[1] * (values.ndim - 1))
    # An empty table has no row to stand in for a new one.
    table = values if len(values) else np.zeros((1, *values.shape[1:]), values.dtype)
    return np.where(is_new, fresh, table[rows]).astype(values.dtype)


def carried_rows(model: TwoTower, before: Vocabularies, now: Vocabularies) -> dict[int, np.ndarray]:
    """For each embedding table of a model on `now`, the row each of its rows had in one on `before`.

    Args:
        model: The model; its other weights do not depend on a vocabulary.
        before: Of the model that weights come from.
        now: Of `model`.

    Returns:
        By ``id`` of the variable, int64 ``[num_rows]``, -1 for what is new.
    """
    items, users = model.item_tower, model.query_tower
    item_rows = rows_of(now.items, before.items)
    tables = {
        id(layer.embeddings): item_rows
        for layer in (items.id_embedding, items.popularity, users.history.id_embedding)
    }
    with_unknown = [
        (users.user_embedding, before.users, now.users),
        *zip(items.category_embeddings, before.item_categories, now.item_categories, strict=True),
        *zip(users.category_embeddings, before.user_categories, now.user_categories, strict=True),
    ]
    for layer, old, new in with_unknown:
        # The last row, of what is in no vocabulary, stays the last.
        tables[id(layer.embeddings)] = np.append(rows_of(new, old), len(old))
    return tables
