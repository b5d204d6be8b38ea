"""The token table: queries encoded by a weighted sum of token vectors that imitates the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.encoding import encode_tokens
from models.text_encoder import TextEncoder
from models.text_tokenizer import TextTokenizer

_MAX_QUERIES = 12_000
_QUERIES_PER_ITEM = 4
_MAX_TITLE_WORDS = 5
_PREFIX_WORDS = (3, 8)
_PREFIX_SHARE = 1 / 3
_LENGTH = 16
_BATCH, _EPOCHS = 512, 6
_VECTOR_RATE, _WEIGHT_RATE = 2e-3, 2e-2


class QueryTable(tf.Module):
    """Vectors of queries: ``unit(sum over tokens of exp(w_t) * E_t)``, a gather and a sum.

    Tokens that the catalogue does not have are not in the table; a query with one of them is the encoder's.

    Args:
        rows: int32 ``[vocabulary size]``, the row of each token, -1 for those not in the table.
        vectors: float32 ``[num_tokens, dim]``.
        weights: float32 ``[num_tokens]``, logarithms.
        ends: The tokens that begin and end every text, which are known and say nothing.
        num_prefix: How many tokens behind the first one every query begins with; they are passed over.
    """

    def __init__(
        self,
        rows: np.ndarray,
        vectors: np.ndarray,
        weights: np.ndarray,
        *,
        ends: tuple[int, int],
        num_prefix: int = 0,
    ) -> None:
        super().__init__(name="query_table")
        self._ends, self._first = ends, 1 + num_prefix
        self._rows = tf.Variable(rows, trainable=False)
        self._vectors = tf.Variable(vectors, trainable=False)
        self._weights = tf.Variable(weights, trainable=False)

    def knows(self, tokens: tf.Tensor) -> tf.Tensor:
        """Whether every token of int32 ``[batch, length]`` is in the table: bool ``[batch]``."""
        tokens = tokens[:, self._first :]
        is_known = (tokens == 0) | (tf.gather(self._rows, tokens) >= 0)
        is_end = (tokens == self._ends[0]) | (tokens == self._ends[1])
        return tf.reduce_all(is_known | is_end, axis=1)

    def __call__(self, tokens: tf.Tensor) -> tf.Tensor:
        """Vectors of unit length, zeros for only padding: float32 ``[batch, dim]``.

        Args:
            tokens: int32 ``[batch, length]``, 0 is padding.
        """
        return _summed(tf.gather(self._rows, tokens[:, self._first :]), self._vectors, self._weights)


def _summed(rows: tf.Tensor, vectors: Any, weights: Any) -> tf.Tensor:
    """The weighted sums of int32 ``[batch, length]`` rows, -1 for nothing, of unit length."""
    safe = tf.maximum(rows, 0)
    scale = tf.exp(tf.gather(weights, safe)) * tf.cast(rows >= 0, tf.float32)
    return tf.math.l2_normalize(tf.reduce_sum(scale[..., None] * tf.gather(vectors, safe), axis=1), axis=1)


def pseudo_queries(titles: Sequence[str], *, seed: int) -> list[tuple[str, int]]:
    """Texts such as people may search for: telling words of titles, and their beginnings.

    Args:
        titles: The first text column of each item.
        seed: Of the choice.

    Returns:
        Each text with the row of its item.
    """
    rng = np.random.default_rng(seed)
    words = [title.split() for title in titles]
    known, frequency = np.unique([word.lower() for row in words for word in set(row)], return_counts=True)
    telling = dict(zip(known, np.log(1 + len(titles) / frequency) * np.log1p(frequency), strict=True))
    made = []
    count = min(_MAX_QUERIES, _QUERIES_PER_ITEM * len(titles))
    for row in rng.choice(len(titles), count) if any(words) else ():
        title = words[row]
        if not title:
            continue
        if rng.random() < _PREFIX_SHARE:
            made.append((" ".join(title[: rng.integers(*_PREFIX_WORDS, endpoint=True)]), int(row)))
            continue
        weights = np.array([telling[word.lower()] for word in title])
        length = min(int(rng.integers(1, _MAX_TITLE_WORDS + 1)), len(title))
        chosen = np.sort(rng.choice(len(title), length, replace=False, p=weights / weights.sum()))
        made.append((" ".join(title[place] for place in chosen), int(row)))
    return made


def fit_query_table(
    encoder: TextEncoder, tokenizer: TextTokenizer, titles: Sequence[str], *, seed: int = 0
) -> QueryTable | None:
    """Fits a table to the encoder's vectors of `pseudo_queries`.

    Each token begins with the encoder's vector of it alone. The loss is one minus the cosine.

    Returns:
        The table; ``None`` where the titles have no words.
    """
    queries = list(dict.fromkeys(text for text, _ in pseudo_queries(titles, seed=seed)))
    if not queries:
        return None
    tokens = np.concatenate(
        [
            tokenizer.queries(tf.constant(queries[start : start + 4096]), length=_LENGTH).numpy()
            for start in range(0, len(queries), 4096)
        ]
    )
    wanted = encode_tokens(encoder, tokens)
    # What begins and ends every text says nothing of it.
    start, last = tokens[0, : 1 + tokenizer.num_query_prefix], tokens[tokens != 0][-1]
    words = tokens[:, len(start) :]
    known = np.setdiff1d(words, [0, start[0], last])
    rows = np.full(len(tokenizer.vocabulary), -1, np.int32)
    rows[known] = np.arange(len(known))
    alone = np.column_stack([np.tile(start, (len(known), 1)), known, np.full(len(known), last)])
    vectors = encode_tokens(encoder, alone.astype(np.int32))
    vectors, weights = _fitted(vectors, rows[words], wanted, seed)
    return QueryTable(
        rows, vectors, weights, ends=(int(start[0]), int(last)), num_prefix=tokenizer.num_query_prefix
    )


def _fitted(
    vectors: np.ndarray, rows: np.ndarray, wanted: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The vectors and weights after training on int32 ``[n, length]`` rows and the encoder's vectors."""
    variables = [keras.Variable(value) for value in (vectors, np.zeros(len(vectors), np.float32))]
    optimizers = [keras.optimizers.Adam(rate) for rate in (_VECTOR_RATE, _WEIGHT_RATE)]
    for optimizer, variable in zip(optimizers, variables, strict=True):
        optimizer.build([variable])

    @tf.function(reduce_retracing=True, autograph=False)
    def step(batch: tf.Tensor, targets: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            said = _summed(batch, variables[0].value, variables[1].value)
            loss = -tf.reduce_mean(tf.reduce_sum(said * targets, axis=1))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        for gradient, optimizer, variable in zip(gradients, optimizers, variables, strict=True):
            optimizer.apply_gradients([(tf.convert_to_tensor(gradient), variable)])

    rng = np.random.default_rng(seed)
    for _ in range(_EPOCHS):
        order = rng.permutation(len(rows))
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            step(tf.constant(rows[chosen]), tf.constant(wanted[chosen]))
    trained = [variable.numpy() for variable in variables]
    return trained[0], trained[1]
