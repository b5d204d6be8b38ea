"""Matrices of vectors: the whole catalogue, or many query contexts, encoded a part at a time."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from models.encoding import encode_tokens
from models.interactions import Contexts
from models.item_table import ItemTable
from models.two_tower import TwoTower

_CHUNK = 256


def item_matrix(model: TwoTower, num_items: int) -> np.ndarray:
    """The vectors of the whole catalogue: float32 ``[num_items, dim]``."""
    size = 4096 if model.is_frozen else 64
    matrix: np.ndarray | None = None
    # Row by row into one matrix: its parts beside the whole would be twice the memory.
    for start in range(0, num_items, size):
        part = model.traced_items(tf.range(start, min(start + size, num_items))).numpy()
        matrix = np.empty((num_items, part.shape[1]), np.float32) if matrix is None else matrix
        matrix[start : start + size] = part
    assert matrix is not None
    return matrix


def text_matrix(model: TwoTower, items: ItemTable) -> np.ndarray:
    """The catalogue's texts by the model's own encoder: float32 ``[num_items, text_dim]``."""
    return items.text_vectors if model.is_frozen else encode_tokens(model.encoder, items.tokens)


def query_matrix(model: TwoTower, contexts: Contexts) -> np.ndarray:
    """The vectors of query contexts: float32 ``[num_contexts, dim]``."""
    parts = []
    for start in range(0, len(contexts), _CHUNK):
        batch = {name: tf.constant(v[start : start + _CHUNK]) for name, v in contexts.inputs.items()}
        parts.append(model.traced_queries(batch).numpy())
    return np.concatenate(parts)
