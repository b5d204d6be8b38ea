"""A pretrained encoder that was never trained on the catalogue, alone and fused with BM25."""

from __future__ import annotations

from collections.abc import Sequence

import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)

import numpy as np
import tensorflow as tf

from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.evaluation import Array, ScoreFunction
from models.encoding import encode_tokens
from models.pretrained import resolve_encoder
from models.text_encoder import TextEncoder
from models.tokenizer import Tokenizer

_MAX_TOKENS = 32
# The constant is that of Cormack et al., "Reciprocal Rank Fusion", SIGIR 2009.
_RRF_K = 60


class ZeroShot:
    """The exact cosine between a query's vector and every item's."""

    def __init__(self, encoder: str, texts: Sequence[str]) -> None:
        folder = resolve_encoder(encoder)
        self._tokenizer = Tokenizer.from_pretrained(folder)
        self._encoder = TextEncoder.from_pretrained(folder)
        tokens = self._tokenizer(tf.constant(list(texts)), length=_MAX_TOKENS)
        self._item_vectors = encode_tokens(self._encoder, tokens.numpy())

    def score(self, queries: Queries) -> Array:
        """The cosines, float32 ``[num_queries, num_items]``."""
        tokens = self._tokenizer.queries(tf.constant(list(queries.texts)), length=_MAX_TOKENS)
        return encode_tokens(self._encoder, tokens.numpy()) @ self._item_vectors.T


def reciprocal_rank_fusion(*systems: ScoreFunction) -> ScoreFunction:
    """The sum over systems of 1 / (60 + 1-based rank); equal scores are ranked in the order of the items."""

    def score(queries: Queries) -> Array:
        orders = [np.argsort(-system(queries), axis=1, kind="stable") for system in systems]
        return np.sum([1.0 / (_RRF_K + 1 + np.argsort(order, axis=1)) for order in orders], axis=0)

    return score
