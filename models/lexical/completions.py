"""Completions of a text that is being typed: a prefix tree as a table, looked up in the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

NUM_COMPLETIONS = 10
_MAX_PREFIX = 40


class Completions(tf.Module):
    """The best completions of a prefix.

    A node of the tree holds the best texts below it. A node with no more than `NUM_COMPLETIONS` has no
    children: what is below it is told by its texts themselves, so that the tree stays small.

    Args:
        texts: Distinct, without empty ones; case does not count.
        weights: float ``[num_texts]``; of two completions the one that weighs more comes first.
    """

    def __init__(self, texts: Sequence[str], weights: np.ndarray) -> None:
        super().__init__(name="completions")
        order = sorted(range(len(texts)), key=lambda row: (-weights[row], texts[row]))
        ordered = [texts[row] for row in order]
        nodes = _tree([text.lower() for text in ordered])
        none = len(ordered)
        best = np.full((len(nodes) + 1, NUM_COMPLETIONS), none, np.int32)
        for number, rows in enumerate(nodes.values()):
            best[number, : len(rows)] = rows
        # Neither a table nor what is gathered from may be empty.
        self._texts = tf.Variable([*ordered, ""], trainable=False)
        self._best = tf.Variable(best, trainable=False)
        self._nodes = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                tf.constant([*nodes, "\x00"]), tf.range(len(nodes) + 1, dtype=tf.int32)
            ),
            len(nodes),
        )
        self._num_nodes = len(nodes)

    def __call__(self, prefixes: tf.Tensor) -> tf.Tensor:
        """The completions of lower-case texts, best first, "" for none: string ``[batch, num]``."""
        lengths = tf.range(1, _MAX_PREFIX + 1)
        begins = tf.strings.substr(
            tf.repeat(prefixes[:, None], _MAX_PREFIX, axis=1),
            tf.zeros_like(lengths)[None] + tf.zeros_like(prefixes, tf.int32)[:, None],
            lengths[None] + tf.zeros_like(prefixes, tf.int32)[:, None],
            unit="UTF8_CHAR",
        )
        nodes = self._nodes.lookup(begins)
        # The deepest node on the way; the lengths past the end look up the whole prefix again.
        is_node = nodes < self._num_nodes
        deepest = tf.reduce_max(tf.where(is_node, lengths[None], 0), axis=1)
        node = tf.gather(nodes, tf.maximum(deepest - 1, 0), batch_dims=1)
        texts = tf.gather(self._texts, tf.gather(self._best, tf.where(deepest > 0, node, self._num_nodes)))
        lower = tf.strings.lower(texts, encoding="utf-8")
        size = tf.strings.length(prefixes)[:, None] + tf.zeros_like(lower, tf.int32)
        fits = tf.strings.length(lower) >= size
        start = tf.strings.substr(lower, tf.zeros_like(size), tf.where(fits, size, 0))
        fits &= (start == prefixes[:, None]) & (texts != "")
        order = tf.argsort(tf.cast(fits, tf.int32), axis=1, direction="DESCENDING", stable=True)
        return tf.gather(tf.where(fits, texts, ""), order, batch_dims=1)


def _tree(texts: Sequence[str]) -> dict[str, list[int]]:
    """The best rows of each node by its prefix, for texts with the best first."""
    nodes: dict[str, list[int]] = {}
    # One letter deeper at a time: only what is below a full node has children.
    below = list(range(len(texts)))
    for length in range(1, _MAX_PREFIX + 1):
        made: dict[str, list[int]] = {}
        for row in below:
            if len(texts[row]) >= length:
                made.setdefault(texts[row][:length], []).append(row)
        nodes |= {prefix: rows[:NUM_COMPLETIONS] for prefix, rows in made.items()}
        below = [row for rows in made.values() if len(rows) > NUM_COMPLETIONS for row in rows]
        below.sort()
    return nodes
