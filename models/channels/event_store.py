"""The events of users in the graph, and the history that they make at a moment."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from models.channels.history import History, Horizon, history_of_events
from models.event_log import DAY_S, EventLog

# What a history holds of one user: their latest events, and of those the items of largest weight.
MAX_EVENTS = 1024
MAX_ITEMS = 256


class EventStore(tf.Module):
    """The latest events of each user, by position.

    Args:
        log: The events.
        user_rows: int ``[num_users]``, the users in order of their position; -1 for one without events.

    Attributes:
        newest: When the last event was, epoch seconds; 0 without events.
        mean_weight: Of an event.
    """

    def __init__(self, log: EventLog, user_rows: np.ndarray) -> None:
        super().__init__(name="events")
        bounds = np.searchsorted(log.user_rows, np.arange(log.num_users + 1))
        # The last of each is nobody's: an unknown user's, or of one without events.
        users = np.append(np.where(user_rows >= 0, user_rows, log.num_users), log.num_users)
        ends = np.append(bounds[1:], 0)[users]
        lengths = np.minimum(ends - np.append(bounds[:-1], 0)[users], MAX_EVENTS)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        kept = np.repeat(ends - lengths - starts[:-1], lengths) + np.arange(starts[-1])
        self._num_users = len(user_rows)
        self.newest = int(log.times.max(initial=0))
        self.mean_weight = float(log.weights.mean()) if len(log) else 1.0
        self._starts, self._rows, self._times, self._weights = (
            tf.Variable(values, trainable=False)
            for values in (
                starts.astype(np.int64),
                # One more event, so that an empty store has something to gather from.
                np.append(log.item_rows[kept], 0).astype(np.int32),
                np.append(log.times[kept], 0).astype(np.int64),
                np.append(log.weights[kept], 0).astype(np.float32),
            )
        )

    def __call__(self, position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The events of users.

        Args:
            position: int32 ``[batch]``, -1 for nobody.

        Returns:
            rows int32, -1 for padding, times int64 and weights float32, ``[batch, n]``, oldest first.
        """
        row = tf.where(position >= 0, position, self._num_users)
        places, is_event = places_between(self._starts, row)
        rows, times, weights = (
            tf.gather(values, places) for values in (self._rows, self._times, self._weights)
        )
        return tf.where(is_event, rows, -1), times, tf.where(is_event, weights, 0.0)


def places_between(starts: tf.Variable, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The places of the values of some rows, where the values of all rows lie one after the other.

    Args:
        starts: int64 ``[num_rows + 1]``, where each row begins and the last one ends.
        rows: int32 ``[batch]``.

    Returns:
        int64 ``[batch, n]``, 0 for padding, and bool ``[batch, n]``, false for padding.
    """
    first = tf.gather(starts, rows)
    lengths = tf.gather(starts, rows + 1) - first
    width = tf.range(tf.reduce_max(tf.pad(lengths, [[0, 1]])))[None]
    is_there = width < lengths[:, None]
    return tf.where(is_there, first[:, None] + width, 0), is_there


def history_at(
    rows: tf.Tensor, times: tf.Tensor, weights: tf.Tensor, now: tf.Tensor, horizon: Horizon
) -> History:
    """The history that events make at a moment.

    Args:
        rows: int32 ``[batch, n]``, -1 is padding.
        times: int64 ``[batch, n]``, epoch seconds; what is after the moment counts as just now.
        weights: float32 ``[batch, n]``.
        now: int64 ``[batch]``, epoch seconds.
        horizon: The half-lives.
    """
    ages_s = tf.cast(tf.maximum(now[:, None] - times, 0), tf.float32)
    return history_of_events(rows, ages_s / DAY_S, weights, horizon=horizon, max_items=MAX_ITEMS)
