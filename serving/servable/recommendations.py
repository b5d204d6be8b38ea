"""Answers without a query: what is recommended to an asker, in order, with new items and reasons."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from models.channels.channels import marked
from models.channels.history import History
from serving.servable.arrangement import MAX_RESULTS, Listed, Wishes, slots_of, with_new_items
from serving.servable.asking import MAX_REQUEST_HISTORY, Asker
from serving.servable.listing import Listing
from serving.servable.recommending import Ranked, Recommending
from serving.servable.rules import Limits
from serving.servable.searching import PARTS


class Sent(NamedTuple):
    """The history of a request.

    Attributes:
        history: string ``[batch, n]``, item ids, most recent first; "" is padding.
        times: int64 ``[batch, m]``, when each was chosen, epoch seconds; 0 for unknown.
        now: int64 ``[batch]``, epoch seconds; 0 is the newest event that the servable knows.
    """

    history: tf.Tensor
    times: tf.Tensor
    now: tf.Tensor


class Request(NamedTuple):
    """A request for recommendations.

    Attributes:
        asker: Who asks.
        sent: The history that came with it.
        limits: What the answer is limited to.
        excluded: int32 ``[batch, n]``, rows that must not be returned; -1 for none.
        exclude_seen: bool ``[batch]``, whether the history must not be returned either.
        k: int32 ``[batch]``.
        wishes: Of the caller.
    """

    asker: Asker
    sent: Sent
    limits: Limits
    excluded: tf.Tensor
    exclude_seen: tf.Tensor
    k: tf.Tensor
    wishes: Wishes


class Recommendations(tf.Module):
    """Lists what the recommender says.

    Args:
        recommending: The channels and the ranker.
        listing: Makes answers.
        item_rows: The table from item id to row, -1 for unknown.
        exploration_share: The share of the slots that new items take.
    """

    def __init__(
        self,
        recommending: Recommending,
        listing: Listing,
        item_rows: tf.lookup.StaticHashTable,
        *,
        exploration_share: float,
    ) -> None:
        super().__init__(name="recommendations")
        self._recommending, self._listing, self._item_rows = recommending, listing, item_rows
        self._slots = slots_of(exploration_share)

    def __call__(self, request: Request) -> dict[str, tf.Tensor]:
        """The answer of each row."""
        asker, limits, k = request.asker, request.limits, request.k
        k = tf.minimum(k, MAX_RESULTS)
        known = self._history(asker, request.sent)
        # The log may have gone on since the users were looked up in it.
        had = tf.where(request.exclude_seen[:, None], known.rows, -1)
        excluded = tf.concat([request.excluded, had], axis=1)
        is_allowed = self._listing.open(limits, excluded)
        ranked = self._recommending.candidates(
            known, asker.position, is_allowed, tf.maximum(self._listing.num_candidates, k)
        )
        listed = Listed.of(ranked.rows, ranked.scores, ranked.is_valid)
        listed = self._listing.arranger(listed, request.wishes, excluded, limits.moment, is_logit=True)
        listed = self._explored(listed, known, ranked, is_allowed, k)
        most = tf.maximum(tf.reduce_max(tf.pad(k, [[0, 1]])), 1)
        with tf.name_scope("why"):
            # What is beyond a row's own k is no measure of a channel there.
            is_shown = listed.is_valid & (tf.range(tf.shape(listed.rows)[1])[None] < k[:, None])
            rows = tf.where(is_shown, listed.rows, -1)[:, :most]
            reasons, speakers = self._recommending.reasons(rows, known, ranked.said)
        listed, probabilities, channel_scores = self._all_ranked(listed, known, ranked, most)
        return self._listing.answers.listed(
            listed,
            _behind_search(channel_scores),
            k,
            probabilities=probabilities,
            reasons=reasons,
            speakers=speakers,
        )

    def _explored(
        self, listed: Listed, known: History, ranked: Ranked, is_allowed: tf.Tensor, k: tf.Tensor
    ) -> Listed:
        """The list with new items in their slots; those that are listed anyway stay where they are."""
        if not len(self._slots) or not self._recommending.has_new_items:
            return listed

        def explore() -> Listed:
            is_shown = listed.is_valid & (tf.range(tf.shape(listed.rows)[1])[None] < k[:, None])
            is_open = is_allowed & ~marked(tf.where(is_shown, listed.rows, -1), self._listing.num_items)
            most = tf.reduce_sum(tf.cast(self._slots < tf.reduce_max(k), tf.int32))
            rows, is_valid = self._recommending.new_items(is_open, known, ranked.said, most)
            return with_new_items(listed, rows, is_valid, tf.constant(self._slots)[: tf.shape(rows)[1]])

        with tf.name_scope("explore"):
            return tf.cond(tf.reduce_any(k > int(self._slots[0])), explore, lambda: listed)

    def _all_ranked(
        self, listed: Listed, known: History, ranked: Ranked, most: tf.Tensor
    ) -> tuple[Listed, tf.Tensor, tf.Tensor]:
        """The list, probabilities and channel scores, also of pins and new items, which came in unranked."""
        is_late = listed.is_valid & (listed.sources < 0)

        def rank_late() -> tuple[Listed, tf.Tensor, tf.Tensor]:
            rows = tf.where(is_late, listed.rows, 0)[:, :most]
            late = self._recommending.of_rows(rows, known, ranked)
            place = tf.shape(ranked.rows)[1] + tf.range(tf.shape(listed.rows)[1])[None]
            is_shown = is_late & (tf.range(tf.shape(listed.rows)[1])[None] < most)
            return (
                listed._replace(sources=tf.where(is_shown, place, listed.sources)),
                tf.concat([ranked.probabilities, late.probabilities], axis=1),
                tf.concat([ranked.channel_scores, late.channel_scores], axis=1),
            )

        return tf.cond(
            tf.reduce_any(is_late),
            rank_late,
            lambda: (listed, ranked.probabilities, ranked.channel_scores),
        )

    def of_candidates(
        self, candidates: tf.Tensor, rows: tf.Tensor, asker: Asker, sent: Sent
    ) -> dict[str, tf.Tensor]:
        """The answer that orders the caller's candidates.

        Args:
            candidates: string ``[batch, n]``.
            rows: int32 ``[batch, m]`` of the first of them, -1 for unknown.
            asker: Who asks.
            sent: The history of the request.
        """
        most = tf.fill(tf.shape(asker.position), self._listing.num_candidates)
        ranked = self._recommending.of_items(
            tf.maximum(rows, 0), self._history(asker, sent), asker.position, most
        )
        parts = _behind_search(ranked.channel_scores)
        return self._listing.answers.of_candidates(
            candidates, rows, ranked.scores, parts, ranked.probabilities
        )

    def channel_scores(self, asker: Asker, sent: Sent) -> dict[str, tf.Tensor]:
        """What each channel says of the whole catalogue, float32 ``[batch, num_items]`` by name."""
        return self._recommending.channel_scores(self._history(asker, sent), asker.position)

    def _history(self, asker: Asker, sent: Sent) -> History:
        history = sent.history[:, :MAX_REQUEST_HISTORY]
        width = tf.shape(history)[1]
        times = tf.pad(sent.times, [[0, 0], [0, width]])[:, :width]
        is_sent = tf.reduce_any(tf.strings.length(history) > 0, axis=1)
        with tf.name_scope("history"):
            return self._recommending.history(
                asker.position, self._item_rows.lookup(history), times, is_sent, sent.now
            )


def _behind_search(channel_scores: tf.Tensor) -> tf.Tensor:
    """The scores of the channels that answer without a query, and nothing of those that answer one."""
    return tf.pad(channel_scores, [[0, 0], [0, 0], [len(PARTS) + 1, 0]])
