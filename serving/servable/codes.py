"""Codes: queries that are an item's id or another of its numbers, as a person types it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


class Codes(tf.Module):
    """Finds the item whose id or code a query is.

    The id as it is written comes first. Without one, case, spaces and dashes do not count; of several items
    whose ids or codes differ in these alone, the first of the catalogue is meant, by its id rather than by
    a code.

    Args:
        item_ids: string ``[num_items]``.
        item_rows: The table from item id to row, -1 for unknown.
        codes: For each column of codes, string ``[num_items]``, "" where there is none.
    """

    def __init__(
        self,
        item_ids: np.ndarray,
        item_rows: tf.lookup.StaticHashTable,
        codes: Sequence[np.ndarray] = (),
    ) -> None:
        super().__init__(name="codes")
        self._item_rows = item_rows
        texts = np.concatenate([item_ids, *codes])
        rows = np.tile(np.arange(len(item_ids)), 1 + len(codes))
        plain = _plain(tf.constant(texts.tolist(), tf.string)).numpy().astype(object)
        # Most ids are plain already, and the table of ids has those.
        is_other = np.arange(len(texts)) >= len(item_ids)
        kept = np.flatnonzero((is_other | (plain != texts)) & (plain != b""))
        plain, first = np.unique(plain[kept], return_index=True)
        # A table must not be empty: nothing is no code.
        self._plain_rows = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant([b"", *plain]), tf.constant([-1, *rows[kept][first]], tf.int32)
            ),
            -1,
        )

    def __call__(self, query: tf.Tensor) -> tf.Tensor:
        """Rows of items, -1 where the query is no id: int32 ``[batch]`` for string ``[batch]``."""
        plain = _plain(query)
        rows = self._item_rows.lookup(tf.strings.strip(query))
        rows = tf.where(rows >= 0, rows, self._item_rows.lookup(plain))
        return tf.where(rows >= 0, rows, self._plain_rows.lookup(plain))


def _plain(texts: tf.Tensor) -> tf.Tensor:
    """The texts in lower case, without white space, dashes and what nobody sees."""
    bare = tf.strings.regex_replace(texts, r"[\s\p{Z}\p{Pd}\p{Cf}\x{2212}\x00]+", "")
    return tf.strings.lower(bare, encoding="utf-8")
