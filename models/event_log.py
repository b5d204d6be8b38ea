"""The event log in memory: who met which item, and when."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import sparse

from dataset import features
from dataset.contract import EventsTable
from dataset.frames import BYTES, FLOAT, INT, read_frame
from dataset.kinds import is_negative, is_positive

Array = np.ndarray[Any, Any]

DAY_S = 86_400.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventLog:
    """Events as arrays, in order of user and time; an item that is twice in a basket is there once.

    A basket is what one user did in one session, or at one second where the log knows no sessions.

    Attributes:
        user_rows: int32 ``[n]``.
        item_rows: int32 ``[n]``, rows of the item table.
        times: int64 ``[n]``, epoch seconds.
        baskets: int32 ``[n]``; equal for what belongs together.
        weights: float32 ``[n]``, what an event's kind weighs, 1 for the heaviest.
        kinds: int32 ``[n]``, positions in the funnel, the lightest kind first.
        values: float32 ``[n]``, NaN where nobody rated.
        num_users: Rows of the user table.
        num_items: Rows of the item table.
    """

    user_rows: Array
    item_rows: Array
    times: Array
    baskets: Array
    weights: Array
    kinds: Array
    values: Array
    num_users: int
    num_items: int

    @classmethod
    def of(
        cls,
        *,
        user_rows: Array,
        item_rows: Array,
        times: Array,
        num_users: int,
        num_items: int,
        weights: Array | None = None,
        sessions: Array | None = None,
        kinds: Array | None = None,
        values: Array | None = None,
    ) -> EventLog:
        """Sorts events of any order, and keeps the heaviest of those of one item in one basket.

        Args:
            user_rows: int ``[n]``.
            item_rows: int ``[n]``.
            times: int64 ``[n]``, epoch seconds.
            num_users: Rows of the user table.
            num_items: Rows of the item table.
            weights: float ``[n]`` of any scale; 1 for all if left out.
            sessions: int ``[n]``, -1 for none; those of different users are different baskets.
            kinds: int ``[n]``; 0 for all if left out.
            values: float ``[n]``; NaN for all if left out.
        """
        times = times.astype(np.int64)
        weights = np.ones(len(times)) if weights is None else weights / max(weights.max(initial=0.0), 1e-9)
        # A session is told from a second by its sign.
        moments = times if sessions is None else np.where(sessions >= 0, -1 - sessions, times)
        _, baskets = np.unique(np.stack([user_rows, moments]), axis=1, return_inverse=True)
        baskets = baskets.ravel()
        order = np.lexsort((times, -weights, item_rows, baskets))
        pairs = np.stack([baskets, item_rows])[:, order]
        is_first = np.append(True, (pairs[:, 1:] != pairs[:, :-1]).any(axis=0))[: len(order)]
        kept = order[is_first]
        kept = kept[np.lexsort((item_rows[kept], times[kept], user_rows[kept]))]
        return cls(
            user_rows=user_rows[kept].astype(np.int32),
            item_rows=item_rows[kept].astype(np.int32),
            times=times[kept],
            baskets=baskets[kept].astype(np.int32),
            weights=weights[kept].astype(np.float32),
            kinds=np.zeros(len(kept), np.int32) if kinds is None else kinds[kept].astype(np.int32),
            values=np.full(len(kept), np.nan, np.float32)
            if values is None
            else values[kept].astype(np.float32),
            num_users=num_users,
            num_items=num_items,
        )

    def __len__(self) -> int:
        return len(self.times)

    @property
    def shape(self) -> tuple[int, int]:
        """Of a matrix of users and items."""
        return self.num_users, self.num_items

    def between(self, start: int | None, end: int | None) -> EventLog:
        """The events with ``start <= time < end``; ``None`` is open."""
        keep = np.ones(len(self), bool)
        if start is not None:
            keep &= self.times >= start
        if end is not None:
            keep &= self.times < end
        return self.where(keep)

    def where(self, keep: Array) -> EventLog:
        """The events of a bool ``[n]`` mask."""
        names = ("user_rows", "item_rows", "times", "baskets", "weights", "kinds", "values")
        return dataclasses.replace(self, **{name: getattr(self, name)[keep] for name in names})

    def cut(self, start: int, end: int, *, within: bool) -> tuple[EventLog, EventLog]:
        """What users had chosen when they were asked in a window, and what they chose then.

        Args:
            start: When the window begins, epoch seconds.
            end: When it ends.
            within: Whether users are sessions. Each is then asked before the last moment of it in the window;
                else all are asked when the window begins.
        """
        is_chosen = (self.times >= start) & (self.times < end)
        if within:
            last = np.zeros(self.num_users, np.int64)
            np.maximum.at(last, self.user_rows[is_chosen], self.times[is_chosen])
            is_chosen &= self.times == last[self.user_rows]
            before = last[self.user_rows]
        else:
            before = np.full(len(self), start)
        return self.where(self.times < before), self.where(is_chosen)

    def on_items(self, rows: Array) -> EventLog:
        """The events of some items alone, whose rows become their places in int ``[n]`` ordered rows."""
        if len(rows) == self.num_items:
            return self
        places = places_of(self.item_rows, rows)
        names = ("user_rows", "times", "baskets", "weights", "kinds", "values")
        kept = {name: getattr(self, name)[places >= 0] for name in names}
        rows_kept = places[places >= 0].astype(np.int32)
        return dataclasses.replace(self, **kept, item_rows=rows_kept, num_items=len(rows))

    def matrix(self, values: Array | None = None) -> sparse.csr_matrix:
        """Sums of float ``[n]`` values by user and item, counts if left out: float32 CSR."""
        values = np.ones(len(self), np.float32) if values is None else np.asarray(values, np.float32)
        matrix = sparse.csr_matrix((values, (self.user_rows, self.item_rows)), shape=self.shape)
        matrix.sum_duplicates()
        return matrix

    def binary(self) -> sparse.csr_matrix:
        """Whether each user met each item: float32 CSR of ones."""
        matrix = self.matrix()
        matrix.data[:] = 1.0
        return matrix

    def decayed(self, now: int, half_life_days: float) -> sparse.csr_matrix:
        """Weights by user and item, halved for every half-life of their age at ``now``: float32 CSR."""
        age_days = (now - self.times) / DAY_S
        return self.matrix(self.weights * 0.5 ** (age_days / half_life_days))

    def typical_gap_days(self) -> float:
        """The mean number of days between a user's baskets, over all of them; 30 where nobody came twice."""
        days = np.unique(np.stack([self.user_rows, self.times // int(DAY_S)]), axis=1)
        gaps = np.diff(days[1])[np.diff(days[0]) == 0]
        return float(gaps.mean()) if len(gaps) else 30.0


def places_of(wanted: Array, ordered: Array) -> Array:
    """The place of each wanted value in an ordered array, -1 where it is not there: int64 ``[n]``."""
    if not len(ordered) or not len(wanted):
        return np.full(len(wanted), -1, np.int64)
    found = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return np.where(ordered[found] == wanted, found, -1)


def kinds_of(events: EventsTable) -> tuple[str, ...]:
    """The positive kinds, the lightest first; ``event`` stands for kinds only the data knows."""
    weights: dict[str, float] = {}
    for kind in events.kind.kinds.values():
        if is_positive(kind.weight):
            weights[kind.label] = max(kind.weight, weights.get(kind.label, 0.0))
    return tuple(sorted(weights, key=lambda label: weights[label])) or ("event",)


def read_event_log(pattern: str, events: EventsTable, item_ids: Array) -> tuple[EventLog, Array]:
    """Reads the positive ones of the raw events.

    Args:
        pattern: Gzipped TFRecord files of tf.Examples, as ExampleGen writes them.
        events: The table as the manifest describes it.
        item_ids: object ``[num_items]``, the catalogue in byte order; events of other items are passed over.

    Returns:
        The log, and the ids of its users in byte order, object ``[num_users]``.
    """
    columns = {features.USER_ID: BYTES, features.ITEM_ID: BYTES, features.TIME: INT}
    columns |= {features.KIND: BYTES, features.WEIGHT: FLOAT}
    columns |= {features.VALUE: FLOAT} if events.value else {}
    columns |= {features.SESSION: BYTES} if events.session else {}
    frame = read_frame(pattern, columns)
    ids = np.asarray(item_ids, object)
    named = frame[features.ITEM_ID].to_numpy()
    rows = places_of(named, ids)
    weights = frame[features.WEIGHT].fillna(1.0).to_numpy(np.float32)
    counts = (rows >= 0) & is_positive(weights)
    frame, rows, weights = frame[counts], rows[counts], weights[counts]
    user_ids, user_rows = np.unique(frame[features.USER_ID].to_numpy(), return_inverse=True)
    sessions = None
    if events.session:
        named = frame[features.SESSION].fillna(b"").to_numpy()
        sessions = np.where(named == b"", -1, np.unique(named, return_inverse=True)[1])
    places = {label.encode(): place for place, label in enumerate(kinds_of(events))}
    log = EventLog.of(
        user_rows=user_rows,
        item_rows=rows,
        times=frame[features.TIME].to_numpy(np.int64),
        weights=weights,
        sessions=sessions,
        kinds=frame[features.KIND].map(places).fillna(0).to_numpy(np.int32),
        values=frame[features.VALUE].to_numpy(np.float32) if events.value else None,
        num_users=len(user_ids),
        num_items=len(ids),
    )
    return log, user_ids


def read_dislikes(
    pattern: str, events: EventsTable, item_ids: Array, user_ids: Array, *, before: int | None = None
) -> list[Array]:
    """Reads what users disliked.

    Args:
        pattern: As of `read_event_log`.
        events: The table as the manifest describes it.
        item_ids: object ``[num_items]``, the catalogue in byte order.
        user_ids: object ``[num_users]``, in any order.
        before: Epoch seconds; what was disliked then or later is left out. None for all.

    Returns:
        One int32 ``[n]`` array of distinct item rows a user.
    """
    if not events.kind.has_negative or not len(user_ids):
        return [np.zeros(0, np.int32)] * len(user_ids)
    columns = {features.USER_ID: BYTES, features.ITEM_ID: BYTES, features.WEIGHT: FLOAT, features.TIME: INT}
    frame = read_frame(pattern, columns)
    frame = frame[is_negative(frame[features.WEIGHT].to_numpy(np.float32))]
    if before is not None:
        frame = frame[frame[features.TIME].to_numpy(np.int64) < before]
    ids, order = np.asarray(user_ids, object), np.argsort(user_ids, kind="stable")
    places = places_of(frame[features.USER_ID].to_numpy(), ids[order])
    rows = places_of(frame[features.ITEM_ID].to_numpy(), np.asarray(item_ids, object))
    is_known = (places >= 0) & (rows >= 0)
    pairs = np.unique(np.stack([order[places[is_known]], rows[is_known]]), axis=1)
    bounds = np.searchsorted(pairs[0], np.arange(1, len(ids)))
    return np.split(pairs[1].astype(np.int32), bounds)
