"""Suggestions while a query is typed: past queries, the catalogue's words, and titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from models.lexical.completions import NUM_COMPLETIONS, Completions

_MAX_TEXTS = 200_000
QUERY, WORD, ITEM = "query", "word", "item"


class Suggesting(tf.Module):
    """Completes a text: first as people have searched before, then its last word, then as titles go on.

    Args:
        words: How many items have each of the catalogue's words.
        titles: The first text column of each item.
        queries: How often each past query was asked; empty where the log has none.
    """

    def __init__(self, words: Mapping[str, int], titles: Sequence[str], queries: Mapping[str, int]) -> None:
        super().__init__(name="suggesting")
        self._queries = _completions(queries)
        self._words = _completions({word: count for word, count in words.items() if count > 1})
        # The shorter of two titles is the more general one.
        self._titles = _completions(
            {title: -len(title) for text in titles if (title := " ".join(text.split()))}
        )

    def __call__(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Completions of string ``[batch]`` texts, best first, and what each is.

        Returns:
            string ``[batch, n]`` twice: whole texts, each once and "" for none, and ``query``, ``word`` or
            ``item``.
        """
        lower = tf.strings.lower(texts, encoding="utf-8")
        typed = tf.strings.regex_replace(tf.strings.regex_replace(lower, r"\s+", " "), "^ ", "")
        begin = tf.strings.regex_replace(typed, r"[^ ]*$", "")
        last = tf.strings.regex_replace(typed, r"^.* ", "")
        words = self._words(last)
        before = tf.repeat(begin[:, None], NUM_COMPLETIONS, axis=1)
        whole_words = tf.where(words == "", "", tf.strings.join([before, words]))
        found = [self._queries(typed), whole_words, self._titles(typed)]
        kinds = tf.repeat(tf.constant([QUERY, WORD, ITEM]), NUM_COMPLETIONS)
        candidates = tf.concat(found, axis=1)
        folded = tf.strings.lower(candidates, encoding="utf-8")
        n = tf.shape(candidates)[1]
        same = folded[:, :, None] == folded[:, None]
        is_repeated = tf.reduce_any(same & (tf.range(n)[None] < tf.range(n)[:, None])[None], axis=2)
        # What is typed already completes nothing.
        is_new = (candidates != "") & ~is_repeated & (folded != typed[:, None]) & (typed != "")[:, None]
        order = tf.argsort(tf.cast(is_new, tf.int32), axis=1, direction="DESCENDING", stable=True)
        is_new, candidates = (tf.gather(values, order, batch_dims=1) for values in (is_new, candidates))
        kinds = tf.gather(kinds, order)
        return tf.where(is_new, candidates, ""), tf.where(is_new, kinds, "")


def _completions(texts: Mapping[str, float]) -> Completions:
    kept = sorted(texts, key=lambda text: (-texts[text], text))[:_MAX_TEXTS]
    return Completions(kept, np.array([texts[text] for text in kept]))
