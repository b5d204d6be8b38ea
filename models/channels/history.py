"""Histories with time: the events of a user, summed by item with their ages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from models.event_log import EventLog

# An item that was never chosen was chosen this long ago.
NEVER_DAYS = 999.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Horizon:
    """The spans of time in which a dataset is looked at, in days.

    Attributes:
        window: Length of what is predicted.
        half_life: Age at which an event counts half.
        gap: Typical time between two baskets of a user.
        basket_size: Typical number of items in a basket.
    """

    window: float
    half_life: float
    gap: float
    basket_size: float = 1.0

    @classmethod
    def of(cls, log: EventLog, window: float) -> Horizon:
        """Takes the half-life from a log: the gap between baskets, but not shorter than the window."""
        gap = log.typical_gap_days()
        num_baskets = len(np.unique(log.baskets))
        return cls(
            window=window,
            gap=gap,
            half_life=max(gap, window),
            basket_size=max(len(log) / max(num_baskets, 1), 1.0),
        )

    @property
    def half_lives(self) -> tuple[float, float, float]:
        """A short one, the half-life itself, and a long one."""
        return self.half_life / 3.0, self.half_life, self.half_life * 4.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """Distinct items of a batch of users, of largest weight first.

    Attributes:
        rows: int32 ``[batch, length]``, -1 is padding.
        counts: float32 ``[batch, length]``, in how many baskets each item was.
        decayed: float32 ``[3, batch, length]``, the summed weights ``Σ w · 2^(-age / half-life)`` by
            half-life: short, middle, long.
        last_days: float32 ``[batch, length]``, age of the latest event.
        first_days: float32 ``[batch, length]``, age of the earliest.
        num_baskets: float32 ``[batch]``.
        num_items: float32 ``[batch]``, distinct items, those beyond ``length`` too.
    """

    rows: tf.Tensor
    counts: tf.Tensor
    decayed: tf.Tensor
    last_days: tf.Tensor
    first_days: tf.Tensor
    num_baskets: tf.Tensor
    num_items: tf.Tensor

    @property
    def is_item(self) -> tf.Tensor:
        """False for padding: bool ``[batch, length]``."""
        return self.rows >= 0

    @property
    def logarithmic(self) -> tf.Tensor:
        """``log(1 + 3 · decayed)``: float32 ``[3, batch, length]``."""
        return tf.math.log1p(3.0 * self.decayed)


def history_of_events(
    rows: tf.Tensor, ages_days: tf.Tensor, weights: tf.Tensor, *, horizon: Horizon, max_items: int
) -> History:
    """Sums events by item.

    Args:
        rows: int32 ``[batch, n]``, -1 is padding.
        ages_days: float32 ``[batch, n]``; events of one age are of one basket.
        weights: float32 ``[batch, n]``.
        horizon: The half-lives.
        max_items: Items kept, those of largest decayed weight.
    """
    # A column of padding keeps every width above zero.
    rows = tf.pad(rows, [[0, 0], [0, 1]], constant_values=-1)
    ages_days, weights = (tf.pad(values, [[0, 0], [0, 1]]) for values in (ages_days, weights))
    batch, width = tf.unstack(tf.shape(rows))
    order = tf.argsort(rows, axis=1, direction="DESCENDING", stable=True)
    rows, ages_days, weights = (tf.gather(v, order, batch_dims=1) for v in (rows, ages_days, weights))
    is_event = rows >= 0
    is_first = tf.pad(rows[:, 1:] != rows[:, :-1], [[0, 0], [1, 0]], constant_values=True)
    place = tf.cumsum(tf.cast(is_first, tf.int32), axis=1) - 1
    segments = tf.reshape(place + width * tf.range(batch)[:, None], [-1])

    def summed(values: tf.Tensor) -> tf.Tensor:
        values = tf.where(is_event, values, 0.0)
        return _by_segment(tf.math.unsorted_segment_sum, values, segments, batch, width)

    decayed = tf.stack([summed(weights * 0.5 ** (ages_days / h)) for h in horizon.half_lives])
    items = _by_segment(tf.math.unsorted_segment_max, rows, segments, batch, width)
    items = tf.where(decayed[1] > 0, tf.maximum(items, -1), -1)
    counts = summed(tf.ones_like(ages_days))
    last = _by_segment(tf.math.unsorted_segment_min, ages_days, segments, batch, width)
    first = _by_segment(tf.math.unsorted_segment_max, ages_days, segments, batch, width)
    longest = tf.minimum(tf.reduce_max(tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1)), max_items)
    _, best = tf.math.top_k(tf.where(items >= 0, decayed[1], -1.0), tf.maximum(longest, 1))

    def kept(values: tf.Tensor, padding: float) -> tf.Tensor:
        chosen = tf.gather(values, best, batch_dims=1)
        return tf.where(tf.gather(items, best, batch_dims=1) >= 0, chosen, padding)

    return History(
        rows=tf.gather(items, best, batch_dims=1),
        counts=kept(counts, 0.0),
        decayed=tf.stack([kept(values, 0.0) for values in tf.unstack(decayed, 3)]),
        last_days=kept(last, NEVER_DAYS),
        first_days=kept(first, NEVER_DAYS),
        num_baskets=_num_distinct(ages_days, is_event),
        num_items=tf.reduce_sum(tf.cast(items >= 0, tf.float32), axis=1),
    )


def _by_segment(
    reduce: Callable[..., tf.Tensor],
    values: tf.Tensor,
    segments: tf.Tensor,
    batch: tf.Tensor,
    width: tf.Tensor,
) -> tf.Tensor:
    return tf.reshape(reduce(tf.reshape(values, [-1]), segments, batch * width), [batch, width])


def _num_distinct(ages: tf.Tensor, is_event: tf.Tensor) -> tf.Tensor:
    """How many different ages a row has: float32 ``[batch]``."""
    ages = tf.sort(tf.where(is_event, ages, -1.0), axis=1)
    changes = tf.cast(ages[:, 1:] != ages[:, :-1], tf.float32) * tf.cast(ages[:, 1:] >= 0, tf.float32)
    return tf.reduce_sum(changes, axis=1) + tf.cast(ages[:, 0] >= 0, tf.float32)
