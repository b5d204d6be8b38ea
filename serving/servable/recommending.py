"""Recommendation in the graph: the history at a moment, what the channels name, their order, and why."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from models.channels import item_statistics
from models.channels.channels import marked
from models.channels.event_store import EventStore, history_at
from models.channels.history import History
from models.event_log import DAY_S, EventLog, places_of
from models.list_ranker import LOGIT, ListRanker
from models.recommender import Recommender

# Why an item is in an answer.
BECAUSE_AGAIN, BECAUSE_HISTORY, BECAUSE_POPULAR, BECAUSE_NEW = "again", "history", "popular", "new"

# An item that fewer users ever chose is new.
_NEW_USERS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ranked:
    """Candidates in their order.

    Attributes:
        rows: int32 ``[batch, n]``, best first.
        is_valid: bool ``[batch, n]``; what is not valid comes last.
        scores: float32 ``[batch, n]``, the ranker's logits.
        probabilities: float32 ``[batch, n]`` of a choice.
        channel_scores: float32 ``[batch, n, num_channels]``, each score's share of the best unseen one's.
        said: What each channel says of the catalogue, float32 ``[batch, num_items]`` by name.
        is_unseen: bool ``[batch, n]``, the valid ones that the history does not hold.
    """

    rows: tf.Tensor
    is_valid: tf.Tensor
    scores: tf.Tensor
    probabilities: tf.Tensor
    channel_scores: tf.Tensor
    said: dict[str, tf.Tensor]
    is_unseen: tf.Tensor


class Recommending(tf.Module):
    """The recommender over one catalogue and the events of its users.

    Args:
        recommender: Fitted channels and the ranker.
        text_vectors: float32 ``[num_items, dim]`` of unit length. A variable is shared, and not copied.
        log: The events that the servable carries.
        log_users: object ``[num_log_users]``, the ids of the log's users in byte order.
        user_ids: object ``[num_users]``, the users of the servable in the order of their positions.
    """

    def __init__(
        self,
        recommender: Recommender,
        text_vectors: np.ndarray | tf.Variable,
        *,
        log: EventLog,
        log_users: np.ndarray,
        user_ids: np.ndarray,
    ) -> None:
        super().__init__(name="recommending")
        self.channels = recommender.channels(text_vectors)
        # A plain object, which SavedModel does not look into: Keras would add signatures of its own.
        self._ranker = _Hidden(recommender.ranker)
        self._events = EventStore(log, places_of(user_ids, log_users))
        positions = np.append(recommender.neighbour_positions(user_ids), -1)
        self._neighbour = tf.Variable(positions.astype(np.int32), trainable=False)
        self._num_users = len(user_ids)
        users_ever = recommender.tables.statistics[:, item_statistics.NAMES.index("users_ever")]
        self.has_new_items = bool((users_ever < _NEW_USERS).any())
        self._is_new = tf.Variable(users_ever < _NEW_USERS, trainable=False)
        self.channel_names = self.channels.names

    @property
    def num_channels(self) -> int:
        """Of `Ranked.channel_scores`."""
        return len(self.channel_names)

    def history(
        self, position: tf.Tensor, sent: tf.Tensor, times: tf.Tensor, is_sent: tf.Tensor, now: tf.Tensor
    ) -> History:
        """The history of a request, or the one that is stored.

        Args:
            position: int32 ``[batch]`` of the user, -1 for unknown.
            sent: int32 ``[batch, n]``, rows of the request's history, most recent first; -1 is padding.
            times: int64 ``[batch, n]``, when each was chosen, epoch seconds. Where 0, the place stands in: as
                many as a typical basket are of one moment, and the baskets a typical gap apart.
            is_sent: bool ``[batch]``, whether the request has a history.
            now: int64 ``[batch]``, epoch seconds; 0 is the newest event that the servable knows.
        """
        horizon = self.channels.horizon
        newest = max(self._events.newest, self.channels.now)
        now = tf.where(now > 0, now, newest)
        rows, stored_times, weights = self._events(tf.where(is_sent, -1, position))
        is_known = is_sent[:, None] & (sent >= 0)
        place = tf.cumsum(tf.cast(is_known, tf.float32), axis=1, exclusive=True)
        age_s = tf.cast(tf.floor(place / horizon.basket_size) * horizon.gap * DAY_S, tf.int64)
        sent_times = tf.where(times > 0, times, now[:, None] - age_s)
        return history_at(
            tf.concat([tf.where(is_known, sent, -1), rows], axis=1),
            tf.concat([sent_times, stored_times], axis=1),
            tf.concat([tf.fill(tf.shape(sent), self._events.mean_weight), weights], axis=1),
            now,
            horizon,
        )

    def channel_scores(self, history: History, position: tf.Tensor) -> dict[str, tf.Tensor]:
        """What each channel says of the whole catalogue: float32 ``[batch, num_items]`` by name."""
        return self.channels.scores(history, self._neighbour_of(position))

    def candidates(
        self, history: History, position: tf.Tensor, is_allowed: tf.Tensor, num_unseen: tf.Tensor
    ) -> Ranked:
        """What the channels name, in the ranker's order.

        Args:
            history: Of `history`.
            position: int32 ``[batch]`` of the user, -1 for unknown.
            is_allowed: bool ``[batch or 1, num_items]``.
            num_unseen: int32 ``[batch]``, unseen items named for each user.
        """
        found = self.channels.candidates(
            history, self._neighbour_of(position), is_allowed, num_unseen=num_unseen
        )
        ranked = self._ranked(found.rows, found.is_valid, found.features, found.scores)
        lowest = tf.where(ranked.is_valid, ranked.scores, -np.inf)
        order = tf.argsort(lowest, axis=1, direction="DESCENDING", stable=True)

        def ordered(values: tf.Tensor) -> tf.Tensor:
            return tf.gather(values, order, batch_dims=1)

        return Ranked(
            rows=ordered(ranked.rows),
            is_valid=ordered(ranked.is_valid),
            scores=ordered(ranked.scores),
            probabilities=ordered(ranked.probabilities),
            channel_scores=ordered(ranked.channel_scores),
            said=ranked.said,
            is_unseen=ordered(found.is_valid & ~found.is_seen),
        )

    def of_rows(self, rows: tf.Tensor, history: History, ranked: Ranked) -> Ranked:
        """Further int32 ``[batch, n]`` items beside those of `candidates`, as they stand."""
        features = self.channels.features(rows, history, ranked.said, ranked.rows, ranked.is_unseen)
        return self._ranked(rows, tf.ones_like(rows, tf.bool), features, ranked.said)

    def of_items(
        self, rows: tf.Tensor, history: History, position: tf.Tensor, num_unseen: tf.Tensor
    ) -> Ranked:
        """The caller's own int32 ``[batch, n]`` items, as they stand."""
        everything = tf.ones([1, self.channels.num_items], tf.bool)
        features = self.channels.of_items(
            rows, history, self._neighbour_of(position), everything, num_unseen=num_unseen
        )
        return self._ranked(rows, tf.ones_like(rows, tf.bool), features, {})

    def reasons(
        self, rows: tf.Tensor, history: History, said: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Why items are in an answer.

        Args:
            rows: int32 ``[batch, n]``, distinct in a row; -1 is padding.
            history: Of `history`.
            said: Of `Ranked`.

        Returns:
            What spoke most for each, string ``[batch, n]``: ``again`` (the user had it), ``history`` (an item
            of the history), ``popular`` or ``new``; and the row of that item of the history, -1 for none.
        """
        by_item = self.channels.said_by_history(rows, history, said, rows)
        best = tf.argmax(by_item, axis=2, output_type=tf.int32)
        strength = tf.reduce_max(by_item, axis=2)
        speaker = tf.gather(history.rows, best, batch_dims=1)
        has_speaker = (strength > 0) & (speaker >= 0)
        is_own = tf.reduce_any(rows[..., None] == history.rows[:, None], axis=2)
        ever = self.channels.statistic("users_ever", tf.maximum(rows, 0))
        kind = tf.where(ever > 0, BECAUSE_POPULAR, BECAUSE_NEW)
        kind = tf.where(has_speaker, BECAUSE_HISTORY, kind)
        kind = tf.where(is_own, BECAUSE_AGAIN, kind)
        return kind, tf.where(is_own, rows, tf.where(has_speaker, speaker, -1))

    def new_items(
        self, is_open: tf.Tensor, history: History, said: dict[str, tf.Tensor], most: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The new items whose texts are nearest to a history.

        Args:
            is_open: bool ``[batch, num_items]``, what may be returned and is not yet.
            history: Of `history`; what is in it is not new.
            said: Of `Ranked`.
            most: int32 ``[]``, how many are wanted.

        Returns:
            rows int32 and is-valid bool, ``[batch, min(most, num_items)]``, best first, equal ones by row.
        """
        is_open &= self._is_new & ~marked(history.rows, self.channels.num_items)
        nearness = tf.where(is_open, tf.nn.relu(said["text"]), -1.0)
        best, rows = tf.math.top_k(nearness, tf.minimum(most, self.channels.num_items))
        return rows, best >= 0

    def _neighbour_of(self, position: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._neighbour, tf.where(position >= 0, position, self._num_users))

    def _ranked(
        self, rows: tf.Tensor, is_valid: tf.Tensor, features: tf.Tensor, said: dict[str, tf.Tensor]
    ) -> Ranked:
        with tf.name_scope("rank"):
            outputs = self._ranker.model(features)
        count = self.num_channels
        return Ranked(
            rows=rows,
            is_valid=is_valid,
            scores=outputs[LOGIT],
            probabilities=outputs[self._ranker.model.heads.behaviour],
            channel_scores=features[..., count : 2 * count],
            said=said,
            is_unseen=is_valid,
        )


class _Hidden:
    """Holds a model where SavedModel does not look."""

    def __init__(self, model: ListRanker) -> None:
        self.model = model
