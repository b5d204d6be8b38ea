"""The arrangement of ranked items by a caller's wishes: boosts, diversity, pins, room for new items."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.channels.channels import first_places, marked
from models.retriever import Retriever
from serving.servable.rules import Rules

# An answer lists no more than this: a request of a few bytes must not ask for all memory.
MAX_RESULTS = 1000
# Diversity orders the places that people look at; each place is a pass over the candidates.
MAX_DIVERSE = 50


class Wishes(NamedTuple):
    """What a caller wishes.

    Attributes:
        diversity: float32 ``[batch]``, 0 to 1.
        boost: string ``[batch, n]``, ``column=value:factor``; "" for none.
        pin: string ``[batch, n]``, item ids; "" for none.
    """

    diversity: tf.Tensor
    boost: tf.Tensor
    pin: tf.Tensor


class Listed(NamedTuple):
    """A list of items for each row of a batch.

    Attributes:
        rows: int32 ``[batch, n]``, best first; the valid ones are distinct and come first.
        scores: float32 ``[batch, n]``, which do not rise.
        is_valid: bool ``[batch, n]``.
        sources: int32 ``[batch, n]``, the place of each among the ranked candidates, -1 if it was not one.
        num_pinned: int32 ``[batch]``, how many of the first are pins.
    """

    rows: tf.Tensor
    scores: tf.Tensor
    is_valid: tf.Tensor
    sources: tf.Tensor
    num_pinned: tf.Tensor

    @classmethod
    def of(cls, rows: tf.Tensor, scores: tf.Tensor, is_valid: tf.Tensor) -> Listed:
        """The candidates as they were ranked."""
        sources = tf.zeros_like(rows) + tf.range(tf.shape(rows)[1])
        return cls(rows, scores, is_valid, sources, tf.zeros_like(rows[:, 0]))

    def among(self, rows: tf.Tensor | None) -> Listed:
        """The list of int32 ``[batch, n]`` rows of which this one has the places; ``None`` for all rows."""
        if rows is None:
            return self
        return self._replace(rows=tf.maximum(tf.gather(rows, self.rows, batch_dims=1), 0))

    def ordered(self, order: tf.Tensor) -> Listed:
        """The items at int32 ``[batch, m]`` places."""
        rows, scores, is_valid, sources = (
            tf.gather(values, order, batch_dims=1)
            for values in (self.rows, self.scores, self.is_valid, self.sources)
        )
        return Listed(rows, scores, is_valid, sources, self.num_pinned)

    def changed(self, change: Callable[[Listed], Listed], reach: int | None) -> Listed:
        """The list after a change of its first ``reach`` items, ``None`` for all; no other passes them."""
        if reach is None:
            return change(self)
        first, others = self._part(slice(None, reach)), self._part(slice(reach, None))
        first = change(first)
        lowest = tf.reduce_min(tf.where(first.is_valid, first.scores, np.inf), axis=1, keepdims=True)
        return Listed(
            rows=tf.concat([first.rows, others.rows], axis=1),
            scores=tf.concat([first.scores, tf.minimum(others.scores, lowest)], axis=1),
            is_valid=tf.concat([first.is_valid, others.is_valid], axis=1),
            sources=tf.concat([first.sources, others.sources], axis=1),
            num_pinned=self.num_pinned,
        )

    def _part(self, places: slice) -> Listed:
        return Listed(
            self.rows[:, places],
            self.scores[:, places],
            self.is_valid[:, places],
            self.sources[:, places],
            self.num_pinned,
        )

    def inserted(self, other: Listed, places: tf.Tensor) -> Listed:
        """Both lists in one.

        Args:
            other: ``m`` items.
            places: float32 ``[batch, m]``, where they go: the items of this list are at 0, 1, 2, ….
        """
        own = tf.zeros_like(self.scores) + tf.range(tf.shape(self.rows)[1], dtype=tf.float32)
        rows, scores, is_valid, sources = (
            tf.concat([getattr(self, name), getattr(other, name)], axis=1)
            for name in ("rows", "scores", "is_valid", "sources")
        )
        places = tf.where(is_valid, tf.concat([own, places], axis=1), np.inf)
        both = Listed(rows, scores, is_valid, sources, self.num_pinned + other.num_pinned)
        return both.ordered(tf.argsort(places, axis=1, stable=True))


class Arranger(tf.Module):
    """Applies wishes to a list; what no row of a batch wishes is not computed.

    Boosts come first, then diversity, and pins last. Nothing that is excluded or unavailable comes in.

    Args:
        rules: Of the catalogue.
        retriever: The items' vectors, whose text parts say how alike two items are.
        item_rows: The table from item id to row, -1 for unknown.
    """

    def __init__(self, rules: Rules, retriever: Retriever, item_rows: tf.lookup.StaticHashTable) -> None:
        super().__init__(name="arranger")
        self._rules, self._retriever, self._item_rows = rules, retriever, item_rows

    def __call__(
        self,
        listed: Listed,
        wishes: Wishes,
        excluded: tf.Tensor,
        moment: tf.Tensor,
        *,
        is_logit: bool,
        reach: int | None = None,
    ) -> Listed:
        """Rearranges a list.

        Args:
            listed: Ranked candidates.
            wishes: Of the caller.
            excluded: int32 ``[batch, m]``, rows that must not be returned; -1 for none.
            moment: As in `Limits`.
            is_logit: Whether scores are logits, to which a boost adds the logarithm of its factor. Others it
                multiplies.
            reach: How many of the first are boosted and diversified; the others follow them, so that a page
                does not depend on how many pages were asked for. ``None`` is all.
        """

        def boost(listed: Listed) -> Listed:
            logarithms = self._rules.boosts(wishes.boost, listed.rows)
            return boosted(listed, logarithms, is_logit=is_logit)

        def diversify(listed: Listed) -> Listed:
            vectors = tf.gather(self._retriever.item_vectors, listed.rows)[..., : self._retriever.text_dim]
            return diversified(listed, vectors, wishes.diversity)

        with tf.name_scope("arrange"):
            is_boosted = tf.reduce_any(tf.strings.length(wishes.boost) > 0)
            listed = tf.cond(is_boosted, lambda: listed.changed(boost, reach), lambda: listed)
            is_diverse = tf.reduce_any(wishes.diversity > 0)
            listed = tf.cond(is_diverse, lambda: listed.changed(diversify, reach), lambda: listed)
            is_pinned = tf.reduce_any(tf.strings.length(wishes.pin) > 0)
            return tf.cond(
                is_pinned, lambda: self._pinned(listed, wishes.pin, excluded, moment), lambda: listed
            )

    def _pinned(self, listed: Listed, pin: tf.Tensor, excluded: tf.Tensor, moment: tf.Tensor) -> Listed:
        # The client puts an empty text first, and a search the item that the query names last.
        pins = self._item_rows.lookup(pin[:, : 2 + MAX_RESULTS])
        is_barred = marked(excluded, self._rules.num_items) | ~self._rules.available(moment)
        is_barred = tf.gather(is_barred, tf.maximum(pins, 0), batch_dims=1)
        return pinned(listed, tf.where(is_barred, -1, pins), self._rules.num_items)


def boosted(listed: Listed, logarithms: tf.Tensor, *, is_logit: bool) -> Listed:
    """The list by boosted scores; equal ones stay in their order.

    Args:
        listed: Any.
        logarithms: float32 ``[batch, n]`` of the factors.
        is_logit: As in `Arranger`.
    """
    scores = listed.scores
    if is_logit:
        scores += logarithms
    else:
        # A factor above one lifts a negative score too.
        scores *= tf.exp(tf.where(scores > 0, logarithms, -logarithms))
    order = tf.argsort(
        tf.where(listed.is_valid, scores, -np.inf), axis=1, direction="DESCENDING", stable=True
    )
    return listed._replace(scores=scores).ordered(order)


def diversified(listed: Listed, vectors: tf.Tensor, diversity: tf.Tensor) -> Listed:
    """The list by maximal marginal relevance (Carbonell & Goldstein 1998) in its first `MAX_DIVERSE` places.

    Each place takes the item of largest ``(1 - d) · relevance - d · likeness``. Relevance is the score,
    scaled from 0 to 1 over the list. Likeness is the largest cosine to an item placed before, or 0 if that
    is negative. The value becomes the score. Behind those places the others follow by relevance, with a
    likeness of 1, so that scores do not rise.

    Args:
        listed: Any.
        vectors: float32 ``[batch, n, dim]`` of unit length.
        diversity: float32 ``[batch]``, what is above 1 counts as 1; where it is 0, a row stays as it is.
    """
    num_places = tf.minimum(MAX_DIVERSE, tf.shape(listed.rows)[1])
    is_asked = (diversity > 0)[:, None]
    share = tf.where(is_asked, tf.minimum(diversity, 1.0)[:, None], 0.0)
    highest = tf.reduce_max(tf.where(listed.is_valid, listed.scores, -np.inf), axis=1, keepdims=True)
    lowest = tf.reduce_min(tf.where(listed.is_valid, listed.scores, np.inf), axis=1, keepdims=True)
    span = tf.maximum(highest - lowest, 1e-9)
    relevance = (1.0 - share) * tf.where(listed.is_valid, (listed.scores - lowest) / span, 0.0)
    places = tf.range(tf.shape(listed.rows)[1])[None]

    def step(
        number: tf.Tensor, likeness: tf.Tensor, order: tf.Tensor, scores: tf.Tensor, is_left: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        values = relevance - share * likeness
        best = tf.argmax(tf.where(is_left, values, -np.inf), axis=1, output_type=tf.int32)
        is_best = (places == best[:, None]) & is_left
        cosine = tf.einsum("bnd,bd->bn", vectors, tf.gather(vectors, best, batch_dims=1))
        return (
            number + 1,
            tf.maximum(likeness, tf.minimum(cosine, 1.0)),
            tf.where(is_best, number, order),
            tf.where(is_best, values, scores),
            is_left & ~is_best,
        )

    start = (
        tf.constant(0),
        tf.zeros_like(relevance),
        tf.zeros_like(listed.rows) + num_places + places,
        relevance - share,
        listed.is_valid,
    )
    _, _, order, scores, _ = tf.while_loop(
        lambda number, *_: number < num_places, step, start, parallel_iterations=1
    )
    changed = listed._replace(scores=scores).ordered(tf.argsort(order, axis=1, stable=True))
    return listed._replace(
        rows=tf.where(is_asked, changed.rows, listed.rows),
        scores=tf.where(is_asked, changed.scores, listed.scores),
        is_valid=tf.where(is_asked, changed.is_valid, listed.is_valid),
        sources=tf.where(is_asked, changed.sources, listed.sources),
    )


def pinned(listed: Listed, pins: tf.Tensor, num_items: int) -> Listed:
    """The pins in their order, and then the rest of the list.

    Args:
        listed: Any.
        pins: int32 ``[batch, m]``, rows; -1 for none. Of a row that is there twice the first one counts.
        num_items: Of the catalogue.
    """
    place_of_pin = first_places(pins, num_items)
    places = tf.zeros_like(pins) + tf.range(tf.shape(pins)[1])
    safe = tf.maximum(pins, 0)
    is_pin = (pins >= 0) & (tf.gather(place_of_pin, safe, batch_dims=1) == places)
    place = tf.gather(first_places(tf.where(listed.is_valid, listed.rows, -1), num_items), safe, batch_dims=1)
    width = tf.shape(listed.rows)[1]
    sources = tf.gather(tf.pad(listed.sources, [[0, 0], [0, 1]]), tf.minimum(place, width), batch_dims=1)
    highest = tf.reduce_max(tf.where(listed.is_valid, listed.scores, -np.inf), axis=1, keepdims=True)
    highest = tf.where(highest > -np.inf, highest, 0.0)
    number = tf.cumsum(tf.cast(is_pin, tf.float32), axis=1, reverse=True)
    # Above all others, also where they are so high that one more is lost in rounding.
    scores = highest + number * (1.0 + 1e-6 * tf.abs(highest))
    num_pins = tf.reduce_sum(tf.cast(is_pin, tf.int32), axis=1)
    in_front = Listed(safe, scores, is_pin, tf.where(place < width, sources, -1), num_pins)
    is_other = tf.gather(place_of_pin, listed.rows, batch_dims=1) >= tf.shape(pins)[1]
    others = listed._replace(is_valid=listed.is_valid & is_other)
    return others.inserted(in_front, tf.cast(places - tf.shape(pins)[1], tf.float32))


def slots_of(share: float) -> np.ndarray:
    """The places, from 0, that a share of all slots takes: int32 ``[n]``, every ``1 / share``-th."""
    if not share:
        return np.zeros(0, np.int32)
    ends = np.ceil(np.arange(1, int(MAX_RESULTS * share) + 1) / share - 1e-6)
    return (ends - 1).astype(np.int32)


def with_new_items(listed: Listed, rows: tf.Tensor, is_valid: tf.Tensor, slots: tf.Tensor) -> Listed:
    """The list with items in certain slots, each with the score of the item before it.

    A slot among the pins goes behind them, and one beyond the end of the list is not used.

    Args:
        listed: Any.
        rows: int32 ``[batch, m]``, best first; the valid ones come first.
        is_valid: bool ``[batch, m]``.
        slots: int32 ``[m]``, places from 0, of which the first is above 0 and no two are neighbours.
    """
    # How many items of the list are before a slot; as many as its number among the slots are not.
    before = tf.maximum((slots - tf.range(tf.shape(slots)[0]))[None], listed.num_pinned[:, None]) - 1
    width = tf.shape(listed.rows)[1]
    here = tf.minimum(before, width - 1)
    is_valid &= (before < width) & tf.gather(listed.is_valid, here, batch_dims=1)
    scores = tf.gather(listed.scores, here, batch_dims=1)
    new = Listed(rows, scores, is_valid, tf.fill(tf.shape(rows), -1), tf.zeros_like(listed.num_pinned))
    return listed.inserted(new, tf.cast(before, tf.float32) + 0.5)
