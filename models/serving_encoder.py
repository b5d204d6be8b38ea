"""The text encoder as it is served: the same function as `TextEncoder`, in fewer and larger ops."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.text_encoder import TextEncoder

_MASKED = -1e9


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Layer:
    """One transformer layer; everything float32, D the width, F that of the feed-forward part."""

    qkv: tf.Variable  # [D, 3 D], the query part scaled by 1 / sqrt(head width)
    qkv_bias: np.ndarray
    output: tf.Variable  # [D, D]
    output_bias: np.ndarray
    attention_norm: tuple[np.ndarray, np.ndarray, float]
    intermediate: tf.Variable  # [D, F]
    intermediate_bias: np.ndarray
    feedforward: tf.Variable  # [F, D]
    feedforward_bias: np.ndarray
    feedforward_norm: tuple[np.ndarray, np.ndarray, float]


class ServingEncoder(tf.Module):
    """A trained `TextEncoder` for inference only.

    One search is mostly its encoder. So query, key and value are one product, biases and activations follow
    their products directly, where TensorFlow fuses them, and there is a third of the ops, which a server also
    has to optimise before a signature's first answer. A LoRA update is added to the weights it changes.

    The matrices are variables: as constants they would be a few milliseconds faster, because oneDNN then lays
    them out once, but TensorFlow's graph optimiser keeps a dozen copies of constants for every signature.

    Args:
        encoder: The trained encoder; later changes of its weights are not seen.

    Call arguments:
        token_ids: int32 ``[batch, length]``, 0 is padding.

    Returns:
        float32 ``[batch, hidden_dim]`` of unit length, equal to the encoder's up to rounding.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__(name="serving_encoder")
        backbone = encoder.backbone
        self._pooling = encoder.pooling
        self._num_heads, self.dim = backbone.num_heads, backbone.hidden_dim
        self._exact_gelu = encoder.has_exact_gelu
        named = {layer.name: layer for layer in backbone.layers}
        self._tokens = _matrix(backbone.token_embedding.embeddings)
        segment = _array(named["segment_embedding"].embeddings)[0]
        self._positions = _array(named["position_embedding"].position_embeddings) + segment
        self._norm = _norm(named["embeddings_layer_norm"])
        self._layers = [_read(layer) for layer in encoder.transformer_layers()]

    def __call__(self, token_ids: tf.Tensor) -> tf.Tensor:
        batch, length = tf.unstack(tf.shape(token_ids))
        is_token = tf.cast(tf.not_equal(token_ids, 0), tf.float32)
        mask = (1.0 - is_token)[:, None, None, :] * _MASKED
        embedded = tf.gather(self._tokens, token_ids) + tf.constant(self._positions)[:length]
        x = _normalised(tf.reshape(embedded, [-1, self.dim]), self._norm)
        for layer in self._layers:
            attended = self._attend(x, layer, mask, batch, length)
            x = _normalised(x + attended, layer.attention_norm)
            hidden = tf.nn.bias_add(tf.matmul(x, layer.intermediate), layer.intermediate_bias)
            hidden = tf.nn.gelu(hidden, approximate=not self._exact_gelu)
            forward = tf.nn.bias_add(tf.matmul(hidden, layer.feedforward), layer.feedforward_bias)
            x = _normalised(x + forward, layer.feedforward_norm)
        x = tf.reshape(x, tf.stack([batch, length, self.dim]))
        if self._pooling == "cls":
            pooled = x[:, 0]
        else:
            weights = is_token[..., None]
            pooled = tf.reduce_sum(x * weights, axis=1) / tf.maximum(tf.reduce_sum(weights, axis=1), 1.0)
        return tf.math.l2_normalize(pooled, axis=-1)

    def _attend(
        self, x: tf.Tensor, layer: _Layer, mask: tf.Tensor, batch: tf.Tensor, length: tf.Tensor
    ) -> tf.Tensor:
        width = self.dim // self._num_heads
        qkv = tf.nn.bias_add(tf.matmul(x, layer.qkv), layer.qkv_bias)
        qkv = tf.reshape(qkv, tf.stack([batch, length, 3, self._num_heads, width]))
        query, key, value = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))
        weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + mask)
        mixed = tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])
        mixed = tf.reshape(mixed, [-1, self.dim])
        return tf.nn.bias_add(tf.matmul(mixed, layer.output), layer.output_bias)


def _read(layer: keras.layers.Layer) -> _Layer:
    attention = layer._self_attention_layer
    dim = attention.query_dense.kernel.shape[0]
    kernels, biases = zip(
        *(
            (_array(dense.kernel).reshape(dim, -1), _array(dense.bias).reshape(-1))
            for dense in (attention.query_dense, attention.key_dense, attention.value_dense)
        ),
        strict=True,
    )
    # The query's part is scaled here once instead of the logits at every call.
    scales = np.array([1.0 / np.sqrt(dim // attention.num_heads), 1.0, 1.0], np.float32)
    return _Layer(
        qkv=_matrix(np.concatenate([s * kernel for s, kernel in zip(scales, kernels, strict=True)], axis=1)),
        qkv_bias=np.concatenate([s * bias for s, bias in zip(scales, biases, strict=True)]),
        output=_matrix(_array(attention.output_dense.kernel).reshape(-1, dim)),
        output_bias=_array(attention.output_dense.bias),
        attention_norm=_norm(layer._self_attention_layer_norm),
        intermediate=_matrix(layer._feedforward_intermediate_dense.kernel),
        intermediate_bias=_array(layer._feedforward_intermediate_dense.bias),
        feedforward=_matrix(layer._feedforward_output_dense.kernel),
        feedforward_bias=_array(layer._feedforward_output_dense.bias),
        feedforward_norm=_norm(layer._feedforward_layer_norm),
    )


def _norm(layer: keras.layers.LayerNormalization) -> tuple[np.ndarray, np.ndarray, float]:
    return _array(layer.gamma), _array(layer.beta), float(layer.epsilon)


def _matrix(weight: Any) -> tf.Variable:
    return tf.Variable(_array(weight), trainable=False)


def _array(weight: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float32)


def _normalised(x: tf.Tensor, norm: tuple[np.ndarray, np.ndarray, float]) -> tf.Tensor:
    gamma, beta, epsilon = norm
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    return centred * (tf.math.rsqrt(variance + epsilon) * gamma) + beta
