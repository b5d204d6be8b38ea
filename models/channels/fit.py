"""The fit of every channel on the log before a moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse

from models.channels.cosine import shared_links, text_links
from models.channels.history import Horizon
from models.channels.item_statistics import item_statistics
from models.channels.links import BINARY, DECAYED, MIDDLE, NORMED, SHORT, Links
from models.channels.neighbours import NeighbourTables
from models.channels.ridge import ease, logarithmic, next_window
from models.event_log import EventLog

Array = np.ndarray[Any, Any]

NUM_LINKS = 100
# What is fitted in closed form takes matrices over items, 2.3 GB for so many. In a larger catalogue the items
# with most users are linked so, and all of them by baskets, neighbours and texts.
MAX_CLOSED_FORM = 12_000
# Each text is compared with each other, which takes minutes at this size.
MAX_TEXT_LINKS = 200_000
# How much an item of a history counts in each channel of links; the order is that of features and reports.
HISTORY_WEIGHTS = {
    "next": NORMED,
    "next_long": NORMED,
    "ease": MIDDLE,
    "ease_short": SHORT,
    "ease_binary": BINARY,
    "basket": DECAYED,
    "text": MIDDLE,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChannelTables:
    """What was fitted, as plain arrays.

    Attributes:
        now: Epoch seconds: nothing at or after it was looked at.
        horizon: The spans of time.
        links: By channel; one that the log could not feed says nothing.
        neighbours: Of users.
        statistics: float32 ``[num_items, 8]``, of `item_statistics`.
    """

    now: int
    horizon: Horizon
    links: dict[str, Links]
    neighbours: NeighbourTables
    statistics: Array


def fit_channels(log: EventLog, now: int, horizon: Horizon, text_vectors: Array) -> ChannelTables:
    """Fits the channels.

    Memory: four float32 ``[n, n]`` matrices at a time, where ``n`` is the size of the catalogue and at most
    `MAX_CLOSED_FORM`. Time: about ``2 n^3`` multiplications for each of the five channels in closed form.

    Args:
        log: Events; none at or after ``now`` is looked at.
        now: Epoch seconds.
        horizon: The spans of time.
        text_vectors: float32 ``[num_items, dim]`` of unit length.
    """
    past = log.between(None, now)
    return ChannelTables(
        now=now,
        horizon=horizon,
        links=dict(_links(past, now, horizon, text_vectors)),
        neighbours=NeighbourTables.fit(
            past, now, half_life_days=horizon.half_life, recent_days=2 * horizon.window
        ),
        statistics=item_statistics(past, now, horizon),
    )


def _links(past: EventLog, now: int, horizon: Horizon, text_vectors: Array) -> Iterator[tuple[str, Links]]:
    head = _head(past)
    popular = past.on_items(head)
    for name, num_windows, regularisation, half in (("next", 3, 80.0, 1.0), ("next_long", 8, 40.0, None)):
        weights = next_window(
            popular,
            now,
            window_days=horizon.window,
            half_life_days=horizon.half_life,
            num_windows=num_windows,
            regularisation=regularisation,
            half_weight_windows=half,
        )
        links = Links.none(len(head)) if weights is None else Links.strongest(weights, NUM_LINKS)
        yield name, links.on_rows(head, past.num_items)
    short, middle, _ = (logarithmic(popular.decayed(now, h)) for h in horizon.half_lives)
    for name, users_items, regularisation in (
        ("ease", middle, 400.0),
        ("ease_short", short, 200.0),
        ("ease_binary", popular.binary(), 500.0),
    ):
        links = Links.strongest(ease(users_items, regularisation), NUM_LINKS)
        yield name, links.on_rows(head, past.num_items)
    baskets = sparse.csr_matrix(
        (np.ones(len(past), np.float32), (past.baskets, past.item_rows)),
        shape=(int(past.baskets.max(initial=-1)) + 1, past.num_items),
    )
    yield "basket", shared_links(baskets, num_links=NUM_LINKS, shrink=10.0)
    is_small = past.num_items <= MAX_TEXT_LINKS
    yield "text", text_links(text_vectors, num_links=NUM_LINKS) if is_small else Links.none(past.num_items)


def _head(log: EventLog) -> Array:
    """The rows of the items with most users, in order: all of a catalogue that is small enough."""
    if log.num_items <= MAX_CLOSED_FORM:
        return np.arange(log.num_items)
    users = np.asarray(log.binary().sum(axis=0)).ravel()
    return np.sort(np.argsort(-users, kind="stable")[:MAX_CLOSED_FORM])
