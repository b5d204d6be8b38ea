"""Lists of items: what the rules leave open, by score, arranged as the caller wishes and answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from models.channels.channels import marked
from models.item_table import ItemTable
from models.retriever import Retriever
from serving.servable.answers import Answers
from serving.servable.arrangement import MAX_RESULTS, Arranger, Listed, Wishes
from serving.servable.facets import Facets
from serving.servable.rules import Limits, Rules
from serving.servable.searching import BECAUSE_WORDS, WORDS, Found, Searching

# More items than this, left out by a caller, may be much of what is near to a query.
_MANY_EXCLUDED = 500


class Listing(tf.Module):
    """Makes answers of scores of the whole catalogue.

    Args:
        items: The catalogue.
        item_rows: The table from item id to row, -1 for unknown.
        retriever: The items' vectors.
        searching: What says which words of a query an item has.
        channel_names: Of the last axis of ``channel_scores``, in order.
        numbers: The numeric columns by name, float ``[num_items]``, NaN where there is no value.
        times: From when and until when each item is available, as `Rules` takes it.
        num_candidates: Items that are arranged; those behind them keep their order.
    """

    def __init__(
        self,
        items: ItemTable,
        item_rows: tf.lookup.StaticHashTable,
        retriever: Retriever,
        searching: Searching,
        *,
        channel_names: Sequence[str],
        numbers: Mapping[str, np.ndarray],
        times: np.ndarray | None = None,
        num_candidates: int,
    ) -> None:
        super().__init__(name="listing")
        self.num_items, self.num_candidates = len(items), num_candidates
        self.channel_names = tuple(channel_names)
        self.answers = Answers(items, num_channels=len(self.channel_names))
        rules = Rules(items, numbers, times)
        self.times = rules.times
        self.facets = Facets(rules, numbers)
        self.arranger = Arranger(rules, retriever, item_rows)
        self._rules, self._searching = rules, searching

    def open(self, limits: Limits, excluded: tf.Tensor) -> tf.Tensor:
        """What may be returned: bool ``[batch, num_items]``."""
        with tf.name_scope("rules"):
            return self._rules.allowed(limits) & ~marked(excluded, self.num_items)

    def within(self, scores: tf.Tensor, limits: Limits, excluded: tf.Tensor) -> tf.Tensor:
        """float32 ``[batch, num_items]`` scores, and -inf for what may not be returned.

        As `open`, without a mask for what is excluded, which would be as large as the catalogue.
        """
        scores = tf.where(self._rules.allowed(limits), scores, -float("inf"))
        where = tf.where(excluded >= 0)
        cells = tf.stack([where[:, 0], tf.cast(tf.gather_nd(excluded, where), tf.int64)], axis=1)
        nothing = tf.fill([tf.shape(where)[0]], -float("inf"))
        return tf.tensor_scatter_nd_update(scores, cells, nothing)

    def is_narrow(self, limits: Limits, excluded: tf.Tensor) -> tf.Tensor:
        """Whether the rules may leave out much of what is near to a query: bool ``[batch]``."""
        is_narrow = tf.reduce_any(tf.strings.length(limits.filters) > 0, axis=1)
        is_narrow |= tf.math.count_nonzero(excluded >= 0, axis=1) > _MANY_EXCLUDED
        if self.times is not None:
            num_open = tf.math.count_nonzero(self._rules.available(limits.moment), axis=1)
            is_narrow |= num_open < self.num_items // 2
        return is_narrow

    def matching(self, found: Found, is_open: tf.Tensor) -> tf.Tensor:
        """The open items that match a query: bool ``[batch, num_items]``.

        They have a word of it that is wanted. Where no item of the catalogue has, they are the best
        `num_candidates` by meaning. What is open changes neither, so that a filter by a facet's value leaves
        as many as the facet counted.
        """
        has_word = found.parts[WORDS] > 0.0
        best = tf.math.top_k(found.scores, tf.minimum(self.num_candidates, self.num_items)).values
        is_near = found.scores >= best[:, -1:]
        return is_open & tf.where(tf.reduce_any(has_word, axis=1, keepdims=True), has_word, is_near)

    def best(self, scores: tf.Tensor, is_open: tf.Tensor, k: tf.Tensor) -> Listed:
        """As many of the open items of highest score as the widest row asks for.

        Args:
            scores: float32 ``[batch, num_items]``, or of a few items, whose places are then the rows.
            is_open: bool of the same shape.
            k: int32 ``[batch]``.
        """
        most = tf.reduce_max(tf.pad(tf.minimum(k, MAX_RESULTS), [[0, 1]]))
        with tf.name_scope("retrieve"):
            best, rows = tf.math.top_k(
                tf.where(is_open, scores, -float("inf")), tf.minimum(most, tf.shape(scores)[1])
            )
        is_valid = best > -float("inf")
        return Listed.of(rows, tf.where(is_valid, best, 0.0), is_valid)

    def parts(self, said: dict[str, tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
        """The channels' parts of int32 ``[batch, n]`` items, 0 of those that said nothing.

        Args:
            said: float32 ``[batch, num_items]`` by name, or of a few items.
            rows: Of the items, or their places.
        """
        nothing = tf.zeros(tf.shape(rows))
        return tf.stack(
            [
                tf.gather(said[name], rows, batch_dims=1) if name in said else nothing
                for name in self.channel_names
            ],
            axis=-1,
        )

    def of_found(
        self,
        found: Found,
        limits: Limits,
        excluded: tf.Tensor,
        k: tf.Tensor,
        wishes: Wishes,
        *,
        asked: tf.Tensor | None = None,
        sort: tf.Tensor | None = None,
        had: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """The list of what was found, as the caller wishes it.

        Args:
            found: What is said of each item, or of some, which the rules must have left open.
            limits: Of the caller.
            excluded: int32 ``[batch, n]``.
            k: int32 ``[batch]``.
            wishes: Of the caller. Where a row is sorted, only its pins count.
            asked: The queries, whose words the answer says that items match; ``None`` leaves that out.
            sort: As `Facets.keys` takes it, "" for the best first; of the whole catalogue only.
            had: int32 ``[batch, h]``, the asker's history, which speaks for its own items; -1 is padding.
        """
        k, scores = tf.minimum(k, MAX_RESULTS), found.scores
        is_open = self.open(limits, excluded) if found.rows is None else found.is_item
        if sort is not None:
            is_sorted = tf.strings.length(sort) > 0

            def in_order() -> tuple[tf.Tensor, tf.Tensor]:
                keys = self.facets.keys(sort)
                is_listed = self.matching(found, is_open) & ~tf.math.is_nan(keys)
                of_row = is_sorted[:, None]
                return tf.where(of_row, keys, scores), tf.where(of_row, is_listed, is_open)

            scores, is_open = tf.cond(tf.reduce_any(is_sorted), in_order, lambda: (scores, is_open))
            wishes = wishes._replace(
                diversity=tf.where(is_sorted, 0.0, wishes.diversity),
                boost=tf.where(is_sorted[:, None], "", wishes.boost),
            )
        listed = self.best(scores, is_open, tf.maximum(self.num_candidates, k))
        parts = self.parts(found.parts, listed.rows)
        probabilities = tf.gather(found.scores, listed.rows, batch_dims=1)
        listed = listed.among(found.rows)
        listed = self.arranger(
            listed, wishes, excluded, limits.moment, is_logit=False, reach=self.num_candidates
        )
        if asked is None:
            return self.answers.listed(listed, parts, k, probabilities=probabilities)
        with tf.name_scope("why"):
            most = tf.maximum(tf.reduce_max(tf.pad(k, [[0, 1]])), 0)
            is_shown = listed.is_valid & (tf.range(tf.shape(listed.rows)[1])[None] < k[:, None])
            matches = self._searching.matches(asked, tf.where(is_shown, listed.rows, -1)[:, :most])
            reasons, shown = tf.where(matches == "", "text", BECAUSE_WORDS), listed.rows[:, :most]
            speakers = tf.fill(tf.shape(shown), -1)
            if had is not None:
                speakers = tf.where(tf.reduce_any(shown[..., None] == had[:, None], axis=2), shown, speakers)
        return self.answers.listed(
            listed,
            parts,
            k,
            probabilities=probabilities,
            reasons=reasons,
            speakers=speakers,
            matches=matches,
        )
