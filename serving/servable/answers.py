"""Answers of the signatures that list items: one row a request, padded to one width and counted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from models.item_table import ItemTable
from serving.servable.arrangement import MAX_RESULTS, Listed
from serving.servable.searching import is_blank

# The score of a candidate that the catalogue does not have.
LOWEST = float(np.finfo(np.float32).min)


class Answers(tf.Module):
    """Turns rows of the catalogue into what a caller reads.

    Args:
        items: The catalogue.
        num_channels: Of ``channel_scores``.
    """

    def __init__(self, items: ItemTable, *, num_channels: int) -> None:
        super().__init__(name="answers")
        self._num_channels = num_channels
        # Variables, as all that grows with the catalogue: the graph optimiser copies constants many times.
        self._ids, self._titles = (
            tf.Variable(texts.tolist(), trainable=False) for texts in (items.ids, items.titles)
        )

    def ids_of(self, rows: tf.Tensor) -> tf.Tensor:
        """Ids of int32 rows of any shape, where -1 is the first item."""
        return tf.gather(self._ids, tf.maximum(rows, 0))

    def listed(
        self,
        listed: Listed,
        parts: tf.Tensor,
        k: tf.Tensor,
        *,
        probabilities: tf.Tensor | None = None,
        reasons: tf.Tensor | None = None,
        speakers: tf.Tensor | None = None,
        matches: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """The answer of each row, its first ``k`` valid items.

        Args:
            listed: The items.
            parts: float32 ``[batch, n, num_channels]`` of the ranked candidates.
            k: int32 ``[batch]``.
            probabilities: float32 ``[batch, n]`` of the ranked candidates; the scores if left out.
            reasons: string ``[batch, at least k]``; "text" if left out.
            speakers: int32 ``[batch, at least k]``, rows of what spoke for each, -1 for nothing.
            matches: string ``[batch, at least k]``, the words of a query that each has; "" if left out.
        """
        with tf.name_scope("answer"):
            width = tf.minimum(tf.maximum(tf.reduce_max(tf.pad(k, [[0, 1]])), 0), tf.shape(listed.rows)[1])
            rows, scores, is_valid, sources = (
                values[:, :width] for values in (listed.rows, listed.scores, listed.is_valid, listed.sources)
            )
            shown = is_valid & (tf.range(width)[None] < k[:, None])
            missing = [[0, 0], [0, tf.maximum(tf.reduce_max(tf.pad(k, [[0, 1]])), 0) - width]]
            was_ranked = shown & (sources >= 0)

            def padded(values: tf.Tensor, padding: str | float) -> tf.Tensor:
                return tf.pad(tf.where(shown, values[:, :width], padding), missing)

            def of_source(values: tf.Tensor) -> tf.Tensor:
                return tf.gather(values, tf.maximum(sources, 0), batch_dims=1)

            if probabilities is not None:
                probabilities = tf.where(was_ranked, of_source(probabilities), 0.0)
            reasons = tf.fill(tf.shape(rows), "text") if reasons is None else reasons
            speakers = tf.fill(tf.shape(rows), -1) if speakers is None else speakers
            matches = tf.fill(tf.shape(rows), "") if matches is None else matches

            def spoke(texts: tf.Variable) -> tf.Tensor:
                return tf.where(speakers >= 0, tf.gather(texts, tf.maximum(speakers, 0)), "")

            return {
                "item_ids": padded(tf.gather(self._ids, rows), ""),
                "scores": padded(scores, 0.0),
                "titles": padded(tf.gather(self._titles, rows), ""),
                "num_results": tf.reduce_sum(tf.cast(shown, tf.int32), axis=1),
                "channel_scores": tf.pad(
                    tf.where(was_ranked[..., None], of_source(parts), 0.0), [*missing, [0, 0]]
                ),
                "probabilities": padded(scores if probabilities is None else probabilities, 0.0),
                "reasons": padded(reasons, ""),
                "reason_item_ids": padded(spoke(self._ids), ""),
                "reason_titles": padded(spoke(self._titles), ""),
                "matches": padded(matches, ""),
            }

    def of_candidates(
        self,
        candidates: tf.Tensor,
        rows: tf.Tensor,
        scores: tf.Tensor,
        parts: tf.Tensor,
        probabilities: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """The caller's candidates by their scores: known first, then unknown, then padding.

        Args:
            candidates: string ``[batch, n]``.
            rows: int32 ``[batch, m]`` of the first candidates; those beyond are unknown.
            scores: float32 ``[batch, m]``.
            parts: float32 ``[batch, m, num_channels]``.
            probabilities: float32 ``[batch, m]``.
        """
        beyond = [[0, 0], [0, tf.shape(candidates)[1] - tf.shape(rows)[1]]]
        rows = tf.pad(rows, beyond, constant_values=-1)
        scores, probabilities = tf.pad(scores, beyond), tf.pad(probabilities, beyond)
        parts = tf.pad(parts, [*beyond, [0, 0]])
        is_known, is_given = rows >= 0, tf.strings.length(candidates) > 0
        scores = tf.where(is_known, scores, LOWEST)
        # Equal ones stay in the caller's order.
        group = tf.where(is_known, 2, tf.where(is_given, 1, 0))
        order = tf.argsort(scores, axis=1, direction="DESCENDING", stable=True)
        group = tf.gather(group, order, batch_dims=1)
        order = tf.gather(order, tf.argsort(group, axis=1, direction="DESCENDING", stable=True), batch_dims=1)

        def ordered(values: tf.Tensor) -> tf.Tensor:
            return tf.gather(values, order, batch_dims=1)

        titles = tf.where(is_known, tf.gather(self._titles, tf.maximum(rows, 0)), "")
        return {
            "item_ids": ordered(candidates),
            "scores": ordered(tf.where(is_given, scores, 0.0)),
            "titles": ordered(titles),
            "num_results": tf.reduce_sum(tf.cast(is_known, tf.int32), axis=1),
            "channel_scores": ordered(tf.where(is_known[..., None], parts, 0.0)),
            "probabilities": ordered(tf.where(is_known, probabilities, 0.0)),
            "reasons": tf.fill(tf.shape(candidates), ""),
            "reason_item_ids": tf.fill(tf.shape(candidates), ""),
            "reason_titles": tf.fill(tf.shape(candidates), ""),
            "matches": tf.fill(tf.shape(candidates), ""),
        }

    def by_query(
        self,
        query: tf.Tensor,
        width: tf.Tensor,
        with_query: Callable[[], dict[str, tf.Tensor]],
        without: Callable[[], dict[str, tf.Tensor]],
    ) -> dict[str, tf.Tensor]:
        """Each row's answer by whether it has a query; what no row needs is not computed.

        Args:
            query: string ``[batch]``.
            width: int32 ``[]``, of what both answers list.
            with_query: Answers the rows with a query.
            without: Answers the others.
        """
        asks = ~is_blank(query)

        def nothing() -> dict[str, tf.Tensor]:
            return self._nothing(tf.shape(query)[0], width)

        all_ask = tf.reduce_all(asks)
        first = tf.cond(tf.reduce_any(asks), with_query, nothing)
        second = tf.cond(all_ask, nothing, without)

        def mixed() -> dict[str, tf.Tensor]:
            return {
                name: tf.where(tf.reshape(asks, [-1] + [1] * (values.shape.rank - 1)), values, second[name])
                for name, values in first.items()
            }

        return tf.cond(all_ask, lambda: first, mixed)

    def _nothing(self, batch: tf.Tensor, width: tf.Tensor) -> dict[str, tf.Tensor]:
        """An answer of empty rows, int32 ``[]`` ``batch`` and ``width``."""
        texts, numbers = tf.fill([batch, width], ""), tf.zeros([batch, width])
        names = ("item_ids", "titles", "reasons", "reason_item_ids", "reason_titles", "matches")
        made = dict.fromkeys(names, texts)
        made |= dict.fromkeys(("scores", "probabilities"), numbers)
        parts = tf.zeros([batch, width, self._num_channels])
        return made | {"num_results": tf.zeros([batch], tf.int32), "channel_scores": parts}


def page(answer: dict[str, tf.Tensor], offset: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
    """The answer without the first items of each row.

    Args:
        answer: Of rows with ``k + offset`` items.
        offset: int32 ``[batch]``, at least 0.
        k: int32 ``[batch]``, how many are left.
    """
    width = tf.maximum(tf.reduce_max(tf.pad(tf.minimum(k, MAX_RESULTS), [[0, 1]])), 0)
    most = tf.shape(answer["item_ids"])[1]
    places = offset[:, None] + tf.range(width)[None]
    is_there = (places < most) & (tf.range(width)[None] < k[:, None])

    def turned(values: tf.Tensor) -> tf.Tensor:
        # One more place, of nothing, for what is past the end.
        padding = [[0, 0], [0, 1]] + [[0, 0]] * (values.shape.rank - 2)
        return tf.gather(tf.pad(values, padding), tf.where(is_there, places, most), batch_dims=1)

    left = tf.clip_by_value(answer["num_results"] - offset, 0, tf.maximum(k, 0))
    return {name: left if name == "num_results" else turned(values) for name, values in answer.items()}


def shortened(listed: dict[str, tf.Tensor], k: tf.Tensor) -> dict[str, tf.Tensor]:
    """Lists of texts, "" for none, and what belongs to each, with no more than int32 ``[batch]`` ``k``.

    The first of them decides what is there; ``num_results`` counts it.
    """
    first = next(iter(listed.values()))
    width = tf.minimum(tf.maximum(tf.reduce_max(tf.pad(k, [[0, 1]])), 0), tf.shape(first)[1])
    is_there = ((first != "") & (tf.range(tf.shape(first)[1])[None] < k[:, None]))[:, :width]
    cut = {
        name: tf.where(is_there, values[:, :width], tf.zeros([], values.dtype))
        for name, values in listed.items()
    }
    return cut | {"num_results": tf.math.count_nonzero(is_there, axis=1, dtype=tf.int32)}
