"""The asker of a request: a user and a history as the model takes them, and their vector."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from models.trained import TrainedModel
from serving.servable.histories import RequestHistory, UserTable

# A request's history may be longer than the model looks at; beyond this it is cut.
MAX_REQUEST_HISTORY = 1024

_MAX_TIMES = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks, as the model takes it.

    Attributes:
        position: int32 ``[batch]``, in the table of users, -1 for unknown.
        history_rows: int32 ``[batch, max_history]``, -1 is padding.
        history_counts: float32 ``[batch, max_history]``.
        user_row: int32 ``[batch]``.
        categories: int32 ``[batch, num_categorical]``.
        numbers: float32 ``[batch, num_numbers]``.
        seen: int32 ``[batch, n]``, rows of everything chosen before; -1 is padding.
        disliked: int32 ``[batch, n]``, of everything that the known user disliked, likewise.
    """

    position: tf.Tensor
    history_rows: tf.Tensor
    history_counts: tf.Tensor
    user_row: tf.Tensor
    categories: tf.Tensor
    numbers: tf.Tensor
    seen: tf.Tensor
    disliked: tf.Tensor


class Asking(tf.Module):
    """Finds out who asks.

    Args:
        model: The trained model.
        users: What is known of users.
        item_rows: The table from item id to row, -1 for unknown.
        num_items: Size of the catalogue.
        max_history: Distinct items of a history the model looks at.
    """

    def __init__(
        self,
        model: TrainedModel,
        users: UserTable,
        item_rows: tf.lookup.StaticHashTable,
        *,
        num_items: int,
        max_history: int,
    ) -> None:
        super().__init__(name="asking")
        # A plain object, which SavedModel does not look into: Keras would add signatures of its own.
        self._model = model
        self._users, self._item_rows, self._num_items = users, item_rows, num_items
        self._histories = RequestHistory(item_rows, max_history=max_history)
        # One more row, zeros: what padding contributes. A variable, as all that grows with the catalogue.
        values = model.two_tower.history_values(tf.range(num_items))
        self._history_values = tf.Variable(tf.pad(values, [[0, 1], [0, 0]]), trainable=False)

    def __call__(self, user_id: tf.Tensor, history: tf.Tensor) -> Asker:
        """The askers of string ``[batch]`` ids, with string ``[batch, n]`` histories where those are sent."""
        with tf.name_scope("history"):
            known = self._users.lookup(user_id)
            sent_rows, sent_counts = self._histories(history[:, :MAX_REQUEST_HISTORY])
            sent = tf.reduce_any(tf.strings.length(history) > 0, axis=1)
            # What is too long ago for the model is still seen.
            seen = self._item_rows.lookup(history)
            stored = tf.where(sent[:, None], -1, self._users.seen(known.position))
            return Asker(
                position=known.position,
                history_rows=tf.where(sent[:, None], sent_rows, known.history_rows),
                history_counts=tf.where(sent[:, None], sent_counts, known.history_counts),
                user_row=known.user_row,
                categories=known.categories,
                numbers=known.numbers,
                seen=tf.concat([seen, stored], axis=1),
                disliked=self._users.disliked(known.position),
            )

    def vectors(self, text: tf.Tensor, asker: Asker) -> tf.Tensor:
        """The query tower's vectors, float32 ``[batch, dim]``.

        Args:
            text: float32 ``[batch, text_dim]``, zeros for no query.
            asker: Who asks.
        """
        with tf.name_scope("history"):
            rows = tf.where(asker.history_rows >= 0, asker.history_rows, self._num_items)
            return self._model.two_tower.query_tower(
                text,
                tf.gather(self._history_values, rows),
                asker.history_counts,
                asker.user_row,
                asker.categories,
                asker.numbers,
            )

    def times_chosen(self, asker: Asker) -> tf.Tensor:
        """The logarithm of one and how often they chose each item: float32 ``[batch, num_items]``.

        Above `_MAX_TIMES` all are alike: a habit must not hide what was asked for.
        """
        # One more column takes the padding.
        places = tf.where(asker.history_rows >= 0, asker.history_rows, self._num_items)
        row = tf.range(tf.shape(places)[0])[:, None] + tf.zeros_like(places)
        return tf.scatter_nd(
            tf.stack([row, places], axis=-1),
            _logarithms(asker),
            tf.stack([tf.shape(places)[0], self._num_items + 1]),
        )[:, :-1]

    def times_chosen_of(self, asker: Asker, rows: tf.Tensor) -> tf.Tensor:
        """The same of int32 ``[batch, n]`` items: float32 ``[batch, n]``."""
        is_same = (rows[..., None] == asker.history_rows[:, None]) & (asker.history_rows >= 0)[:, None]
        return tf.linalg.matvec(tf.cast(is_same, tf.float32), _logarithms(asker))


def _logarithms(asker: Asker) -> tf.Tensor:
    return tf.math.log1p(tf.minimum(asker.history_counts, _MAX_TIMES))
