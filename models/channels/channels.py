"""The channels in the graph: what each says of the catalogue, whom they name, and what they say of those."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from models.channels import item_statistics
from models.channels.fit import HISTORY_WEIGHTS, ChannelTables
from models.channels.history import NEVER_DAYS, History
from models.channels.links import follow, history_weights
from models.channels.neighbours import Neighbours

# A candidate's place in a list counts 1 / (20 + place).
_RANK_OFFSET = 20.0
_LIST_LENGTH = 200
MAX_SEEN = 150
_TEXT_HISTORY = 100
_OWN = (
    "count",
    "own_short",
    "own_middle",
    "own_long",
    "share",
    "last_days",
    "due",
)
_USER = ("user_last_days", "user_items")
_TEXT = ("text_max", "text_mean")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidates:
    """What the channels name for a batch of users.

    Attributes:
        rows: int32 ``[batch, n]``: first what they had, then what they had not, best first.
        is_valid: bool ``[batch, n]``, false for padding.
        is_seen: bool ``[batch, n]``, what they had.
        features: float32 ``[batch, n, num_features]``, in the order of `Channels.feature_names`.
        scores: What each channel says of the catalogue, of `Channels.scores`.
    """

    rows: tf.Tensor
    is_valid: tf.Tensor
    is_seen: tf.Tensor
    features: tf.Tensor
    scores: dict[str, tf.Tensor]


class Channels(tf.Module):
    """The fitted channels over one catalogue.

    Args:
        tables: What was fitted.
        text_vectors: float32 ``[num_items, dim]`` of unit length. A variable is shared, and not copied.
    """

    def __init__(self, tables: ChannelTables, text_vectors: tf.Tensor | tf.Variable) -> None:
        super().__init__(name="channels")
        self.now, self.horizon = tables.now, tables.horizon
        self.num_items = tables.statistics.shape[0]
        # Variables, as all that grows with the catalogue: the graph optimiser copies constants many times.
        # All links of an item lie together: the graph has one gather and one sum for all channels.
        self._linked = tuple(tables.links)
        width = max(links.items.shape[1] for links in tables.links.values())
        items, weights = (
            np.stack(
                [
                    np.pad(values, [(0, 0), (0, width - values.shape[1])])
                    for values in (getattr(links, part) for links in tables.links.values())
                ],
                axis=1,
            )
            for part in ("items", "weights")
        )
        self._items, self._weights = (tf.Variable(v, trainable=False) for v in (items, weights))
        self._neighbours = Neighbours(tables.neighbours, self.num_items)
        self._statistics = tf.Variable(tables.statistics, trainable=False)
        is_shared = isinstance(text_vectors, tf.Variable)
        self._text_vectors = text_vectors if is_shared else tf.Variable(text_vectors, trainable=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The channels that score the whole catalogue for a history."""
        return (*self._linked, "neighbours")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of a candidate: each channel's score, that by the user's best, and the rest."""
        shares = tuple(f"{name}_share" for name in self.names)
        return (*self.names, *shares, *_TEXT, *item_statistics.NAMES, *_USER, *_OWN)

    def scores(self, history: History, self_position: tf.Tensor) -> dict[str, tf.Tensor]:
        """What each channel says of the catalogue: float32 ``[batch, num_items]`` by name.

        Args:
            history: Of the users.
            self_position: int32 ``[batch]``, of `Neighbours`.
        """
        counts = tf.stack([history_weights(history, HISTORY_WEIGHTS[name]) for name in self._linked], axis=2)
        safe = tf.maximum(history.rows, 0)
        linked = follow(tf.gather(self._items, safe), tf.gather(self._weights, safe), counts, self.num_items)
        found = dict(zip(self._linked, tf.unstack(linked, len(self._linked), axis=1), strict=True))
        found["neighbours"] = self._neighbours(history.rows, history.logarithmic[1], self_position)
        return found

    def candidates(
        self,
        history: History,
        self_position: tf.Tensor,
        is_allowed: tf.Tensor,
        *,
        num_unseen: tf.Tensor,
    ) -> Candidates:
        """The union of the channels' best unseen items, by reciprocal rank, and the history itself.

        Args:
            history: Of the users.
            self_position: int32 ``[batch]``, of `Neighbours`.
            is_allowed: bool ``[batch, num_items]`` or ``[1, num_items]``.
            num_unseen: int32 ``[batch]``, unseen items named for each user.
        """
        scores, unseen, is_named = self._named(history, self_position, is_allowed, num_unseen)
        seen = history.rows[:, :MAX_SEEN]
        everywhere = tf.broadcast_to(is_allowed, [tf.shape(seen)[0], self.num_items])
        allowed_here = tf.gather(everywhere, tf.maximum(seen, 0), batch_dims=1)
        rows = tf.concat([tf.maximum(seen, 0), unseen], axis=1)
        return Candidates(
            rows=rows,
            is_valid=tf.concat([(seen >= 0) & allowed_here, is_named], axis=1),
            is_seen=tf.concat([seen >= 0, tf.zeros_like(is_named)], axis=1),
            features=self.features(rows, history, scores, unseen, is_named),
            scores=scores,
        )

    def of_items(
        self,
        rows: tf.Tensor,
        history: History,
        self_position: tf.Tensor,
        is_allowed: tf.Tensor,
        *,
        num_unseen: tf.Tensor,
    ) -> tf.Tensor:
        """The features of int32 ``[batch, n]`` items of somebody else's choice; the rest as `candidates`."""
        scores, unseen, is_named = self._named(history, self_position, is_allowed, num_unseen)
        return self.features(rows, history, scores, unseen, is_named)

    def _named(
        self, history: History, self_position: tf.Tensor, is_allowed: tf.Tensor, num_unseen: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        scores = self.scores(history, self_position)
        is_open = is_allowed & ~marked(history.rows, self.num_items)
        return scores, *self._union(scores, is_open, num_unseen)

    def _union(
        self, scores: dict[str, tf.Tensor], is_open: tf.Tensor, num_unseen: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The items of largest summed reciprocal rank: int32 rows and bool, ``[batch, max(num_unseen)]``."""
        batch = tf.shape(is_open)[0]
        everybody = tf.stack(
            [self._statistics[:, item_statistics.NAMES.index(name)] for name in ("users_short", "new_users")]
        )
        said = tf.concat(
            [tf.stack(list(scores.values()), axis=1), tf.broadcast_to(everybody, [batch, 2, self.num_items])],
            1,
        )
        length = min(_LIST_LENGTH, self.num_items)
        best, rows = tf.math.top_k(tf.where(is_open[:, None], said, 0.0), length)
        parts = tf.where(best > 0, 1.0 / (_RANK_OFFSET + tf.range(length, dtype=tf.float32)), 0.0)
        places = rows + self.num_items * tf.range(batch)[:, None, None]
        fused = tf.math.unsorted_segment_sum(
            tf.reshape(parts, [-1]), tf.reshape(places, [-1]), batch * self.num_items
        )
        # What no channel names comes after all that one does.
        fused = tf.reshape(fused, [batch, self.num_items]) + tf.where(is_open, 1e-9, 0.0)
        width = tf.minimum(tf.reduce_max(tf.pad(num_unseen, [[0, 1]])), self.num_items)
        best, rows = tf.math.top_k(fused, width)
        return rows, (best > 0) & (tf.range(width)[None] < num_unseen[:, None])

    def features(
        self,
        rows: tf.Tensor,
        history: History,
        scores: dict[str, tf.Tensor],
        unseen: tf.Tensor,
        is_named: tf.Tensor,
    ) -> tf.Tensor:
        """What is known of candidates: float32 ``[batch, n, num_features]``.

        Args:
            rows: int32 ``[batch, n]``.
            history: Of the users.
            scores: Of `scores`.
            unseen: int32 ``[batch, m]``, the unseen candidates, whose best a score is measured by.
            is_named: bool ``[batch, m]``, false for padding among them.
        """
        here, best = self._best(scores, rows, unseen, is_named)
        last = tf.reduce_min(history.last_days, axis=1)
        spread = tf.zeros(tf.shape(rows))
        user = [values[:, None] + spread for values in (last, history.num_items)]
        own = self._own(rows, history)
        columns = tf.stack([*self._text(rows, history), *user, *own], axis=-1)
        num_texts = len(_TEXT)
        return tf.concat(
            [
                tf.transpose(tf.concat([here, here / best], axis=1), [0, 2, 1]),
                columns[..., :num_texts],
                tf.gather(self._statistics, rows),
                columns[..., num_texts:],
            ],
            axis=-1,
        )

    def _best(
        self, scores: dict[str, tf.Tensor], rows: tf.Tensor, named: tf.Tensor, is_named: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What each channel says of rows, and the best it says of those named, above zero.

        Both are float32, ``[batch, num_channels, n]`` and ``[batch, num_channels, 1]``.
        """
        said = tf.stack(list(scores.values()), axis=1)
        of_named = tf.gather(said, named, axis=2, batch_dims=1)
        best = tf.reduce_max(tf.where(is_named[:, None], of_named, 0.0), axis=2, keepdims=True)
        return tf.gather(said, rows, axis=2, batch_dims=1), tf.maximum(best, 1e-6)

    def statistic(self, name: str, rows: tf.Tensor) -> tf.Tensor:
        """One of `item_statistics` of int32 ``[batch, n]`` items: float32 ``[batch, n]``."""
        return tf.gather(self._statistics[:, item_statistics.NAMES.index(name)], rows)

    def said_by_history(
        self, rows: tf.Tensor, history: History, scores: dict[str, tf.Tensor], named: tf.Tensor
    ) -> tf.Tensor:
        """What each item of the history says for each of a few items, in all channels of links.

        Those channels are sums over the history, so each item's part of a score is exact. A channel counts by
        its share of the best score among the named.

        Args:
            rows: int32 ``[batch, n]``, distinct in a row; -1 is padding.
            history: Of the users.
            scores: Of `scores`.
            named: int32 ``[batch, m]``, whose best score a channel is measured by; -1 is padding.

        Returns:
            float32 ``[batch, n, length]``.
        """
        by_links = {name: scores[name] for name in self._linked}
        _, best = self._best(by_links, rows[:, :0], tf.maximum(named, 0), named >= 0)
        counts = tf.stack([history_weights(history, HISTORY_WEIGHTS[name]) for name in self._linked], axis=2)
        safe = tf.maximum(history.rows, 0)
        items, weights = tf.gather(self._items, safe), tf.gather(self._weights, safe)
        return self._said(rows, items, weights, counts / tf.transpose(best, [0, 2, 1]))

    def linked(self, name: str, speakers: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """What a few items say of the catalogue in a channel of links: float32 ``[batch, num_items]``.

        Args:
            name: The channel.
            speakers: int32 ``[batch, length]``, rows; -1 is padding.
            counts: float32 ``[batch, length]``, how much each counts, 0 for padding.
        """
        items, weights = self._links_of(name, speakers)
        return follow(items, weights, counts[..., None], self.num_items)[:, 0]

    def said_by(self, name: str, rows: tf.Tensor, speakers: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """What each of a few items says for each of others: float32 ``[batch, n, length]``.

        Args:
            name: As in `linked`.
            rows: int32 ``[batch, n]``, distinct in a row; -1 is padding.
            speakers: As in `linked`.
            counts: As in `linked`.
        """
        return self._said(rows, *self._links_of(name, speakers), counts[..., None])

    def _links_of(self, name: str, speakers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The links of one channel: int32 items and float32 weights ``[batch, length, 1, num_links]``."""
        place, safe = self._linked.index(name), tf.maximum(speakers, 0)
        items, weights = tf.gather(self._items, safe), tf.gather(self._weights, safe)
        return items[:, :, place : place + 1], weights[:, :, place : place + 1]

    def _said(self, rows: tf.Tensor, items: tf.Tensor, weights: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """As `said_by`, summed over channels.

        Args:
            rows: int32 ``[batch, n]``, distinct in a row; -1 is padding.
            items: int32 ``[batch, length, num_channels, num_links]``.
            weights: float32, likewise.
            counts: float32 ``[batch, length, num_channels]``, 0 for padding.
        """
        (batch, length), num_rows = tf.unstack(tf.shape(items)[:2]), tf.shape(rows)[1]
        lines = tf.range(batch)[:, None, None, None]
        # What is not among the rows goes to one more place, which is cut off.
        places = tf.reshape(first_places(rows, self.num_items), [-1])
        place = tf.minimum(tf.gather(places, items + self.num_items * lines), num_rows)
        segment = (lines * (num_rows + 1) + place) * length + tf.range(length)[None, :, None, None]
        total = tf.math.unsorted_segment_sum(
            tf.reshape(weights * counts[..., None], [-1]),
            tf.reshape(segment, [-1]),
            batch * (num_rows + 1) * length,
        )
        return tf.reshape(total, [batch, num_rows + 1, length])[:, :num_rows]

    def _text(self, rows: tf.Tensor, history: History) -> list[tf.Tensor]:
        """The nearest text of the history, and its weighted mean: float32 ``[batch, n]`` each."""
        seen = history.rows[:, :_TEXT_HISTORY]
        # A tensor, because a variable that is multiplied elsewhere and gathered from is copied at every read.
        of_items = tf.convert_to_tensor(self._text_vectors)
        vectors = tf.gather(of_items, tf.maximum(seen, 0))
        weights = history.decayed[1][:, :_TEXT_HISTORY]
        weights /= tf.maximum(tf.reduce_sum(weights, axis=1, keepdims=True), 1e-9)
        here = tf.gather(of_items, rows)
        cosine = tf.matmul(here, vectors, transpose_b=True)
        is_other = (seen >= 0)[:, None] & (rows[..., None] != seen[:, None])
        nearest = tf.reduce_max(tf.where(is_other, cosine, -1.0), axis=2)
        mean = tf.einsum("bnl,bl->bn", tf.where(is_other, cosine, 0.0), weights)
        return [nearest, mean]

    def _own(self, rows: tf.Tensor, history: History) -> list[tf.Tensor]:
        """What the user did with each candidate, in the order of `_OWN`: float32 ``[batch, n]`` each."""
        same = tf.cast((rows[..., None] == history.rows[:, None]) & history.is_item[:, None], tf.float32)

        def of(values: tf.Tensor) -> tf.Tensor:
            return tf.einsum("bnl,bl->bn", same, values)

        count = of(history.counts)
        is_own = count > 0
        last, first = of(history.last_days), of(history.first_days)
        gap = (first - last) / tf.maximum(count - 1.0, 1.0)
        due = tf.where(count > 1, last / (gap + self.horizon.window / 6.0), -1.0)
        return [
            count,
            *(of(values) for values in tf.unstack(history.decayed, 3)),
            count / tf.maximum(history.num_baskets[:, None], 1.0),
            tf.where(is_own, last, NEVER_DAYS),
            due,
        ]


def marked(rows: tf.Tensor, num_items: int) -> tf.Tensor:
    """Which items are among int32 ``[batch, n]`` rows, -1 for none: bool ``[batch, num_items]``."""
    batch = tf.shape(rows)[0]
    segments = tf.where(rows >= 0, rows + num_items * tf.range(batch)[:, None], -1)
    marks = tf.math.unsorted_segment_sum(
        tf.ones([tf.size(rows)]), tf.reshape(segments, [-1]), batch * num_items
    )
    return tf.reshape(marks > 0, [batch, num_items])


def first_places(rows: tf.Tensor, num_items: int) -> tf.Tensor:
    """Where each item is first among int32 ``[batch, n]`` rows, -1 for none.

    Returns:
        int32 ``[batch, num_items]``, the largest int32 for an item that is not among them.
    """
    batch = tf.shape(rows)[0]
    segments = tf.where(rows >= 0, rows + num_items * tf.range(batch)[:, None], -1)
    places = tf.zeros_like(rows) + tf.range(tf.shape(rows)[1])
    first = tf.math.unsorted_segment_min(
        tf.reshape(places, [-1]), tf.reshape(segments, [-1]), batch * num_items
    )
    return tf.reshape(first, [batch, num_items])
