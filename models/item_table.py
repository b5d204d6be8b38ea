"""The catalogue in memory: everything about each item, by row."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from dataset import features
from dataset.contract import ItemsTable
from dataset.frames import BYTES, read_frame

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
        categories: int32 ``[num_items, num_categorical]``, vocabulary positions.
        category_sizes: Size of each vocabulary, the out-of-vocabulary bucket included.
        category_values: bytes ``[num_items, num_categorical]``.
        category_names: Names of those columns.
        numbers: float32 ``[num_items, 2 * num_numeric]``, scaled values and missing flags.
        available: bool ``[num_items]``.
    """

    ids: np.ndarray
    titles: np.ndarray
    tokens: np.ndarray
    text_vectors: np.ndarray
    categories: np.ndarray
    category_sizes: tuple[int, ...]
    category_values: np.ndarray
    category_names: tuple[str, ...]
    numbers: np.ndarray
    available: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


def read_item_features(examples_pattern: str, transform_graph: str) -> dict[str, np.ndarray]:
    """Reads transformed items, sorted by id; of a repeated id the first is kept.

    Args:
        examples_pattern: Gzipped TFRecord files.
        transform_graph: Folder of TFX Transform's output.

    Returns:
        Features by name, ``[num_items, …]``.
    """
    spec = tft.TFTransformOutput(transform_graph).transformed_feature_spec()
    files = sorted(tf.io.gfile.glob(examples_pattern))
    batches = tf.data.TFRecordDataset(files, "GZIP").batch(4096).map(lambda x: tf.io.parse_example(x, spec))
    parts = list(batches.as_numpy_iterator())
    columns = {name: np.concatenate([part[name] for part in parts]) for name in spec}
    _, order = np.unique(columns[features.ITEM_ID].astype(object), return_index=True)
    return {name: values[order] for name, values in columns.items()}


def load_item_table(
    table: ItemsTable, *, examples_pattern: str, transform_graph: str, text_vectors: np.ndarray
) -> ItemTable:
    """Joins the transformed items with their text vectors."""
    columns = read_item_features(examples_pattern, transform_graph)
    num_items = len(columns[features.ITEM_ID])
    output = tft.TFTransformOutput(transform_graph)
    indices = [columns[features.index_of(name)] for name in table.categorical]
    numbers = [columns[kind(name)] for name in table.numeric for kind in (features.scaled, features.missing)]
    empty = np.zeros((num_items, 0))
    return ItemTable(
        ids=columns[features.ITEM_ID],
        titles=columns[features.TITLE],
        tokens=columns[features.TOKENS].astype(np.int32),
        text_vectors=text_vectors,
        categories=np.stack(indices, 1).astype(np.int32) if indices else empty.astype(np.int32),
        category_sizes=tuple(
            output.vocabulary_size_by_name(features.vocabulary_of(name)) + 1 for name in table.categorical
        ),
        category_values=np.stack([columns[name] for name in table.categorical], 1)
        if indices
        else empty.astype(object),
        category_names=tuple(table.categorical),
        numbers=np.stack(numbers, 1).astype(np.float32) if numbers else empty.astype(np.float32),
        available=columns[features.AVAILABLE].astype(bool),
    )


def read_item_columns(examples_pattern: str, names: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Reads text columns of raw items, in the order of `ItemTable`.

    Args:
        examples_pattern: Gzipped TFRecord files.
        names: Of the columns.

    Returns:
        The ids, and the texts by the column's name, each ``[num_items]`` with "" where there is none.
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
