"""Histories in the graph: those a request brings, and those the servable carries."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from models.channels.event_store import places_between


class RequestHistory(tf.Module):
    """Turns a request's item ids into a history as training saw it: distinct, counted, recent first.

    Args:
        item_rows: Table from item id to row, -1 for unknown.
        max_history: Distinct items the model looks at.
    """

    def __init__(self, item_rows: tf.lookup.StaticHashTable, *, max_history: int) -> None:
        super().__init__(name="request_history")
        self._item_rows, self._max_history = item_rows, max_history

    def __call__(self, history: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Unknown items are passed over; an id sent twice was chosen twice.

        Args:
            history: string ``[batch, n]``, most recent first, "" is padding.

        Returns:
            rows int32 and counts float32, both ``[batch, max_history]``, padded with -1 and 0.
        """
        # Padding keeps the width defined for histories of length zero.
        everything = self._item_rows.lookup(tf.pad(history, [[0, 0], [0, 1]]))
        known = everything >= 0
        same = (everything[:, :, None] == everything[:, None, :]) & known[:, :, None]
        counts = tf.reduce_sum(tf.cast(same, tf.float32), axis=2)
        position = tf.range(tf.shape(everything)[1])
        is_earlier = position[:, None] > position[None, :]
        is_first = known & ~tf.reduce_any(same & is_earlier[None], axis=2)
        order = tf.argsort(tf.cast(~is_first, tf.int32), axis=1, stable=True)
        first = tf.gather(is_first, order, batch_dims=1)
        rows = tf.where(first, tf.gather(everything, order, batch_dims=1), -1)
        counts = tf.where(first, tf.gather(counts, order, batch_dims=1), 0.0)
        padding = [[0, 0], [0, self._max_history]]
        rows = tf.pad(rows, padding, constant_values=-1)[:, : self._max_history]
        return rows, tf.pad(counts, padding)[:, : self._max_history]


@dataclasses.dataclass(frozen=True, kw_only=True)
class KnownUser:
    """What is known of the users of a batch; unknown ones have nothing.

    Attributes:
        position: int32 ``[batch]``, -1 for unknown.
        history_rows: int32 ``[batch, max_history]``, -1 is padding.
        history_counts: float32 ``[batch, max_history]``.
        user_row: int32 ``[batch]``.
        categories: int32 ``[batch, num_categorical]``.
        numbers: float32 ``[batch, num_numbers]``.
    """

    position: tf.Tensor
    history_rows: tf.Tensor
    history_counts: tf.Tensor
    user_row: tf.Tensor
    categories: tf.Tensor
    numbers: tf.Tensor


class UserTable(tf.Module):
    """Users as of training, by id.

    Args:
        ids: bytes ``[num_users]``.
        history_rows: int32 ``[num_users, max_history]``, -1 is padding.
        history_counts: float32 ``[num_users, max_history]``.
        seen: One int ``[n]`` array a user: every item they chose.
        disliked: Likewise, every item they disliked; nothing if left out.
        user_rows: int32 ``[num_users]``, positions in the user vocabulary.
        categories: int32 ``[num_users, num_categorical]``.
        numbers: float32 ``[num_users, num_numbers]``, for each column its scaled value and missing flag.
        unknown_row: The user vocabulary's row for a user it does not have.
        unknown_categories: int32 ``[num_categorical]``, the rows for values the vocabularies do not have.
    """

    def __init__(
        self,
        *,
        ids: np.ndarray,
        history_rows: np.ndarray,
        history_counts: np.ndarray,
        seen: list[np.ndarray],
        user_rows: np.ndarray,
        categories: np.ndarray,
        numbers: np.ndarray,
        unknown_row: int,
        unknown_categories: np.ndarray,
        disliked: Sequence[np.ndarray] = (),
    ) -> None:
        super().__init__(name="users")
        # The last row stands for everybody unknown.
        keys = ids.tolist() or [b"\x00"]
        self._positions = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.range(len(keys)) if len(ids) else [-1]),
            -1,
        )
        self._num_users = len(ids)

        def with_unknown(values: np.ndarray, unknown: np.ndarray | float) -> tf.Variable:
            last = np.broadcast_to(np.asarray(unknown, values.dtype), (1, *values.shape[1:]))
            return tf.Variable(np.concatenate([values, last]), trainable=False)

        self._history_rows = with_unknown(history_rows, -1)
        self._history_counts = with_unknown(history_counts, 0.0)
        self._user_rows = with_unknown(user_rows, unknown_row)
        self._categories = with_unknown(categories, unknown_categories)
        # Missing, as training saw somebody of whom nothing is known.
        self._numbers = with_unknown(numbers, np.tile([0.0, 1.0], numbers.shape[1] // 2))
        self._seen = _RowLists(seen)
        self._disliked = _RowLists(disliked or [np.zeros(0, np.int32)] * len(ids))

    def lookup(self, user_ids: tf.Tensor) -> KnownUser:
        """Looks up string ``[batch]`` ids; "" is nobody."""
        position = tf.where(tf.strings.length(user_ids) > 0, self._positions.lookup(user_ids), -1)
        row = tf.where(position >= 0, position, self._num_users)
        return KnownUser(
            position=position,
            history_rows=tf.gather(self._history_rows, row),
            history_counts=tf.gather(self._history_counts, row),
            user_row=tf.gather(self._user_rows, row),
            categories=tf.gather(self._categories, row),
            numbers=tf.gather(self._numbers, row),
        )

    def seen(self, position: tf.Tensor) -> tf.Tensor:
        """Everything chosen before: int32 ``[batch, n]``, -1 is padding; ``[batch]`` is from `lookup`."""
        return self._seen(tf.where(position >= 0, position, self._num_users))

    def disliked(self, position: tf.Tensor) -> tf.Tensor:
        """Everything disliked before, likewise."""
        return self._disliked(tf.where(position >= 0, position, self._num_users))


class _RowLists(tf.Module):
    """A list of item rows for each user, and an empty one for everybody unknown."""

    def __init__(self, lists: Sequence[np.ndarray]) -> None:
        super().__init__()
        lengths = [len(rows) for rows in lists] + [0]
        # One more row, so that there is something to gather from.
        self._rows = tf.Variable(np.concatenate([*lists, [-1]]).astype(np.int32), trainable=False)
        self._starts = tf.Variable(
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), trainable=False
        )

    def __call__(self, users: tf.Tensor) -> tf.Tensor:
        """The lists of int32 ``[batch]`` users: int32 ``[batch, n]``, -1 is padding."""
        places, is_row = places_between(self._starts, users)
        return tf.where(is_row, tf.gather(self._rows, places), -1)
