"""Cosines between items: of the baskets they share, and of their texts."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from models.channels.links import Links

Array = np.ndarray[Any, Any]

# Cosines held at a time.
_MAX_COSINES = 1 << 24
# Raised to this power, one near text outweighs many that are merely of the same shop.
_TEXT_POWER = 8


def shared_links(groups_items: sparse.csr_matrix, *, num_links: int, shrink: float) -> Links:
    """Links by shared groups: ``both / (sqrt(a · b) + shrink)`` over the numbers of groups.

    Args:
        groups_items: CSR ``[num_groups, num_items]`` of ones; a group is a basket, or a user.
        num_links: Links kept of an item.
        shrink: Keeps items with few groups from being near to everything.
    """
    norms = np.sqrt(np.asarray(groups_items.sum(axis=0)).ravel()).astype(np.float32)
    num_items = groups_items.shape[1]
    # Column slices of a CSR matrix copy all of it; CSC gives a block at its own cost.
    by_item = groups_items.tocsc()
    blocks = []
    for rows in _blocks(num_items):
        start = rows[0]
        both = (by_item[:, rows].T @ groups_items).toarray()
        cosine = both / (np.outer(norms[rows], norms) + np.float32(shrink))
        cosine[rows - start, rows] = 0.0
        blocks.append(Links.strongest(cosine.astype(np.float32), num_links))
    return _joined(blocks)


def text_links(vectors: Array, *, num_links: int) -> Links:
    """Links by near texts, ``max(cosine, 0)^8``.

    Args:
        vectors: float32 ``[num_items, dim]`` of unit length.
        num_links: Links kept of an item.
    """
    blocks = []
    for rows in _blocks(len(vectors)):
        start = rows[0]
        cosine = np.maximum(vectors[rows] @ vectors.T, 0.0) ** _TEXT_POWER
        cosine[rows - start, rows] = 0.0
        blocks.append(Links.strongest(cosine.astype(np.float32), num_links))
    return _joined(blocks)


def _blocks(num_items: int) -> list[Array]:
    """The rows of the catalogue in parts, whose cosines with all of it fit in memory."""
    size = max(_MAX_COSINES // max(num_items, 1), 1)
    return [np.arange(start, min(start + size, num_items)) for start in range(0, num_items, size)]


def _joined(blocks: list[Links]) -> Links:
    return Links(
        items=np.concatenate([block.items for block in blocks]),
        weights=np.concatenate([block.weights for block in blocks]),
    )
