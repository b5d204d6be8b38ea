"""Encoding many texts at once, each only once."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from models.text_encoder import TextEncoder

_BATCH = 64
_BUCKET = 8


def encode_tokens(encoder: TextEncoder, tokens: np.ndarray) -> np.ndarray:
    """Encodes texts, the short ones together, so that little padding is computed.

    Args:
        encoder: The network.
        tokens: int32 ``[num_texts, length]``, 0 is padding.

    Returns:
        float32 ``[num_texts, hidden_dim]`` of unit length; zeros for a row of only padding.
    """
    lengths = (tokens != 0).sum(axis=1)
    vectors = np.zeros((len(tokens), encoder.output_dim), np.float32)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    run = tf.function(encoder, input_signature=[tf.TensorSpec([None, None], tf.int32)])
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        length = min(-(-int(lengths[rows].max()) // _BUCKET) * _BUCKET, tokens.shape[1])
        vectors[rows] = run(tf.constant(tokens[rows, :length], tf.int32)).numpy()
    return vectors
