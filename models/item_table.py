"""The catalogue in memory: everything about each item, by row."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from dataset import features
from dataset.contract import ItemsTable
from dataset.frames import BYTES, read_frame
from models.categories import CategoryColumn, Lists

# Written by TextEmbedder: float32 `[num_items, text_dim]` in item row order.
EMBEDDINGS_FILE = "embeddings.npy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ItemTable:
    """Items in order of their row, which is the rank of their id in byte order.

    Attributes:
        ids: bytes ``[num_items]``.
        titles: bytes ``[num_items]``.
        tokens: int32 ``[num_items, max_text_tokens]``.
        text_vectors: float32 ``[num_items, text_dim]`` of unit length, by the encoder as it came.
        categories: The categorical columns.
        numbers: float32 ``[num_items, 2 * num_numeric]``, scaled values and missing flags.
        available: bool ``[num_items]``.
    """

    ids: np.ndarray
    titles: np.ndarray
    tokens: np.ndarray
    text_vectors: np.ndarray
    categories: tuple[CategoryColumn, ...]
    numbers: np.ndarray
    available: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def category_sizes(self) -> tuple[int, ...]:
        """The size of each categorical column's vocabulary."""
        return tuple(column.size for column in self.categories)


def read_item_features(examples_pattern: str, transform_graph: str) -> dict[str, Any]:
    """Reads transformed items, sorted by id; of a repeated id the first is kept.

    Args:
        examples_pattern: Gzipped TFRecord files.
        transform_graph: Folder of TFX Transform's output.

    Returns:
        Features by name: an array ``[num_items, …]``, or `Lists` where an item may have several values.
    """
    spec = tft.TFTransformOutput(transform_graph).transformed_feature_spec()
    spec = {
        name: tf.io.RaggedFeature(kind.dtype, row_splits_dtype=tf.int64)
        if isinstance(kind, tf.io.VarLenFeature)
        else kind
        for name, kind in spec.items()
    }
    files = sorted(tf.io.gfile.glob(examples_pattern))
    batches = tf.data.TFRecordDataset(files, "GZIP").batch(4096).map(lambda x: tf.io.parse_example(x, spec))
    parts = [{name: _as_numpy(values) for name, values in batch.items()} for batch in batches]
    columns = {name: _concatenated([part[name] for part in parts]) for name in spec}
    _, order = np.unique(columns[features.ITEM_ID].astype(object), return_index=True)
    return {name: values[order] for name, values in columns.items()}


def _as_numpy(values: tf.Tensor | tf.RaggedTensor) -> np.ndarray | Lists:
    if isinstance(values, tf.RaggedTensor):
        return Lists(values.values.numpy(), values.row_splits.numpy())
    return values.numpy()


def _concatenated(parts: list[Any]) -> Any:
    """The arrays or lists of one feature as one."""
    return Lists.concatenated(parts) if isinstance(parts[0], Lists) else np.concatenate(parts)


def load_item_table(
    table: ItemsTable, *, examples_pattern: str, transform_graph: str, text_vectors: np.ndarray
) -> ItemTable:
    """Joins the transformed items with their text vectors."""
    columns = read_item_features(examples_pattern, transform_graph)
    num_items = len(columns[features.ITEM_ID])
    output = tft.TFTransformOutput(transform_graph)
    numbers = [columns[kind(name)] for name in table.numeric for kind in (features.scaled, features.missing)]
    empty = np.zeros((num_items, 0))
    return ItemTable(
        ids=columns[features.ITEM_ID],
        titles=columns[features.TITLE],
        tokens=columns[features.TOKENS].astype(np.int32),
        text_vectors=text_vectors,
        categories=tuple(
            CategoryColumn.of(
                name,
                size=output.vocabulary_size_by_name(features.vocabulary_of(name)) + 1,
                texts=_as_lists(columns[name]),
                positions=_as_lists(columns[features.index_of(name)]).values,
            )
            for name in table.categorical
        ),
        numbers=np.stack(numbers, 1).astype(np.float32) if numbers else empty.astype(np.float32),
        available=columns[features.AVAILABLE].astype(bool),
    )


def _as_lists(values: np.ndarray | Lists) -> Lists:
    """A feature as lists; a schema of the dataset's own may say that each item has one value."""
    if isinstance(values, Lists):
        return values
    return Lists.of(values.reshape(-1), np.full(len(values), values[:1].size))


def read_item_columns(examples_pattern: str, names: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Reads text columns of raw items, in the order of `ItemTable`.

    Args:
        examples_pattern: Gzipped TFRecord files.
        names: Of the columns.

    Returns:
        The ids, and the texts by the column's name, each ``[num_items]`` with "" where there is none. Several
        values of an item are one text.
    """
    names = list(dict.fromkeys(names))
    frame = read_frame(examples_pattern, dict.fromkeys((features.ITEM_ID, *names), BYTES))
    frame = frame.drop_duplicates(features.ITEM_ID).sort_values(features.ITEM_ID)
    texts = {
        name: [value.decode() if isinstance(value, bytes) else "" for value in frame[name]]
        for name in (features.ITEM_ID, *names)
    }
    return texts.pop(features.ITEM_ID), texts


def load_text_vectors(folder: str) -> np.ndarray:
    """Reads the embeddings artifact: float32 ``[num_items, text_dim]``."""
    with tf.io.gfile.GFile(os.path.join(folder, EMBEDDINGS_FILE), "rb") as file:
        return np.load(file)
