"""What comes after what: items of a basket, and those of the same user's later baskets."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from models.channels.links import Links
from models.event_log import DAY_S, EventLog

# Baskets closer than this are one visit.
_MIN_LAG_DAYS = 0.5


def after_links(log: EventLog, *, max_lag_days: float, num_links: int, shrink: float) -> Links:
    """Links from an item to what its users chose in later baskets.

    A pair of baskets counts by one over the square root of both sizes, so that large ones do not outweigh
    the rest; an item's links are divided by the square root of both items' weights.

    Args:
        log: Events.
        max_lag_days: The longest time between two baskets that belong together.
        num_links: Links kept of an item.
        shrink: Keeps rare items from being linked strongly.
    """
    baskets, first = np.unique(log.baskets, return_index=True)
    order = np.lexsort((log.times[first], log.user_rows[first]))
    users, days = log.user_rows[first][order], log.times[first][order] / DAY_S
    earlier, later = _pairs(users, days, max_lag_days)
    place = np.empty(int(baskets.max(initial=-1)) + 1, np.int64)
    place[baskets[order]] = np.arange(len(baskets))
    items = sparse.csr_matrix(
        (np.ones(len(log), np.float32), (place[log.baskets], log.item_rows)),
        shape=(len(baskets), log.num_items),
    )
    sizes = np.maximum(np.diff(items.indptr), 1)
    scaled = sparse.diags((1.0 / np.sqrt(sizes)).astype(np.float32)) @ items
    pairs = sparse.csr_matrix(
        (np.ones(len(earlier), np.float32), (earlier, later)), shape=(len(baskets), len(baskets))
    )
    counts = (scaled.T @ (pairs @ scaled)).toarray()
    weight = np.asarray(scaled.sum(axis=0)).ravel()
    counts /= np.sqrt(np.outer(weight, weight)) + np.float32(shrink)
    return Links.strongest(counts.astype(np.float32), num_links)


def _pairs(users: np.ndarray, days: np.ndarray, max_lag_days: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions of baskets of one user within the lag, the earlier and the later of each pair."""
    pairs = []
    for step in range(1, len(users)):
        lags = days[step:] - days[:-step]
        is_near = (users[step:] == users[:-step]) & (lags <= max_lag_days)
        if not is_near.any():
            break
        found = np.flatnonzero(is_near & (lags >= _MIN_LAG_DAYS))
        pairs.append(np.stack([found, found + step]))
    joined = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)
    return joined[0], joined[1]
