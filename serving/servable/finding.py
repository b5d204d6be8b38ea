"""The finding of items by a query and its asker: of all items, or of those that may be among the best."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from models.retriever import Retriever
from models.two_tower import TwoTower
from serving.servable.asking import Asker, Asking
from serving.servable.listing import Listing
from serving.servable.rules import Limits
from serving.servable.searching import WORDS, Found, Searching

# What an asker's history says, beside the parts of a search.
BEHAVIOUR = "dense_behaviour"
# What the cosine of an asker and an item counts beside that of a query and an item, and what the logarithm of
# one and how often they chose the item. Chosen on the sample's validation window, with words of what was
# bought next as queries; among three words of a title a stranger's history then loses less than a hundredth.
_BEHAVIOUR = 0.2
_AGAIN = 0.2


class Finding(tf.Module):
    """Says of items what a query's words and meaning and its asker's history say.

    Args:
        towers: The two towers.
        retriever: The items' vectors.
        searching: Answers to a query. Whether it looks into lists tells how items are found.
        asking: The askers' vectors.
        listing: The rules.
        encode: Gives float32 ``[batch, text_dim]`` for string ``[batch]`` queries.
    """

    def __init__(
        self,
        towers: TwoTower,
        retriever: Retriever,
        searching: Searching,
        asking: Asking,
        listing: Listing,
        encode: Callable[[tf.Tensor], tf.Tensor],
    ) -> None:
        super().__init__(name="finding")
        self._log_scale = towers.query_tower.log_behaviour_scale.value
        self._retriever, self._searching, self._asking = retriever, searching, asking
        self._listing, self._encode = listing, encode

    def __call__(self, query: tf.Tensor, asker: Asker) -> Found:
        """What is said of each item."""
        encoded = self._encode(query)
        return self._with_history(self._searching(query, encoded), encoded, asker)

    def near(self, query: tf.Tensor, asker: Asker, limits: Limits, excluded: tf.Tensor) -> Found:
        """The same of the items that may be among the best and that the rules leave open.

        Args:
            query: string ``[batch]``.
            asker: Who asks; the items of the history are among those that are looked at.
            limits: Of the caller.
            excluded: int32 ``[batch, n]``, rows that must not be returned; -1 for none.
        """
        encoded = self._encode(query)
        found = self._searching.near(
            self._searching.words(query),
            encoded,
            lambda said: self._listing.within(said, limits, excluded),
            is_narrow=self._listing.is_narrow(limits, excluded),
            further=asker.history_rows,
        )
        return self._with_history(found, encoded, asker)

    def of_rows(self, query: tf.Tensor, asker: Asker, rows: tf.Tensor) -> Found:
        """The same of int32 ``[batch, n]`` items."""
        encoded = self._encode(query)
        if self._searching.lists is not None:
            words = self._searching.words(query)
            return self._with_history(self._searching.of_rows(words, encoded, rows), encoded, asker)
        found = self._with_history(self._searching(query, encoded), encoded, asker)
        parts = {name: tf.gather(part, rows, batch_dims=1) for name, part in found.parts.items()}
        return Found(tf.gather(found.scores, rows, batch_dims=1), parts, rows)

    def matches(self, query: tf.Tensor) -> Found:
        """What tells the matches of a query: its words, and its meaning where no item has one of them."""
        if self._searching.lists is None:
            return self._searching(query, self._encode(query))
        words = self._searching.words(query)[WORDS]

        def exactly() -> tuple[tf.Tensor, tf.Tensor]:
            found = self._searching(query, self._encode(query))
            return found.scores, found.parts[WORDS]

        all_match = tf.reduce_all(tf.reduce_any(words > 0.0, axis=1))
        scores, words = tf.cond(all_match, lambda: (words, words), exactly)
        return Found(scores, {WORDS: words})

    def _with_history(self, found: Found, encoded: tf.Tensor, asker: Asker) -> Found:
        text_dim = self._retriever.text_dim

        def of_history() -> tf.Tensor:
            asked = self._asking.vectors(encoded, asker)[:, text_dim:-1]
            # In place of a slice of the catalogue's vectors, which would be a copy of them.
            asked = tf.pad(asked, [[0, 0], [text_dim, 1]])
            if found.rows is None:
                alike, times = self._retriever.scores(asked), self._asking.times_chosen(asker)
            else:
                alike = self._retriever.scores_of(asked, tf.maximum(found.rows, 0))
                times = self._asking.times_chosen_of(asker, found.rows)
            return _BEHAVIOUR / tf.exp(self._log_scale) * alike + _AGAIN * times

        with tf.name_scope("history"):
            is_known = (asker.position >= 0) | tf.reduce_any(asker.history_counts > 0, axis=1)
            behaviour = tf.cond(tf.reduce_any(is_known), of_history, lambda: tf.zeros_like(found.scores))
            # A stranger's answer is the same whoever else is in the batch.
            behaviour = tf.where(is_known[:, None], behaviour, 0.0)
        return Found(found.scores + behaviour, found.parts | {BEHAVIOUR: behaviour}, found.rows)
