"""The list ranker: a small network over what the channels say of their candidates."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import tensorflow as tf
import tensorflow_recommenders as tfrs

from models.heads import RATING, Heads, head_loss
from models.quantiles import QuantileNormalisation

_HIDDEN = (96, 48)
_DROPOUT = 0.2
_LOWEST = -1e9
LOGIT = "logit"


class ListRanker(keras.Model):
    """Orders the candidates of a list, and says how probable each is.

    The order is the mean logit of several networks that differ in their seed alone, trained by a softmax over
    each list. The heads stand on what these have learnt and do not change it, so that probabilities are
    calibrated and the order stays the best one.

    Args:
        num_features: Of `Channels.feature_names`.
        heads: The labels to predict.
        num_networks: Networks whose logits are averaged.
        seed: Of the weights to begin with.

    Call arguments:
        inputs: float32 ``[batch, n, num_features]``, as `Channels` gives them.

    Returns:
        float32 ``[batch, n]`` by name: ``logit``, and each head's probability or expected rating. With
        several kinds the last is that of the whole funnel (pCTCVR = pCTR * pCVR; Ma et al. 2018, ESMM).
    """

    def __init__(
        self, num_features: int, heads: Heads, *, num_networks: int = 2, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**{"name": "list_ranker"} | kwargs)
        self.num_features, self.heads = num_features, heads
        self.num_networks, self.seed = num_networks, seed
        self.normalise = QuantileNormalisation(num_features, name="normalise")
        self.bodies = [self._body(n) for n in range(num_networks)]
        self.ends = [
            keras.layers.Dense(1, kernel_initializer=self._start(n, len(_HIDDEN)), name=f"end_{n}")
            for n in range(num_networks)
        ]
        self.head_layers = {
            name: keras.layers.Dense(1, kernel_initializer="zeros", name=f"head_{name}")
            for name in heads.names
        }
        self.tasks = {name: tf.function(tfrs.tasks.Ranking(loss=head_loss(name))) for name in heads.names}
        self.build_weights()

    def build_weights(self) -> None:
        """Creates every weight, so that a model can be loaded before it is called."""
        for body, end in zip(self.bodies, self.ends, strict=True):
            body.build((None, None, self.num_features))
            end.build((None, None, _HIDDEN[-1]))
        for layer in self.head_layers.values():
            layer.build((None, None, self.num_networks * _HIDDEN[-1] + 1))
        self.built = True

    def _start(self, network: int, layer: int) -> keras.initializers.Initializer:
        # An initialiser draws the same every time, so each layer has one of its own.
        return keras.initializers.GlorotUniform(seed=self.seed + 100 * network + layer)

    def _body(self, network: int) -> keras.Sequential:
        layers: list[keras.layers.Layer] = []
        for place, width in enumerate(_HIDDEN):
            start = self._start(network, place)
            layers.append(
                keras.layers.Dense(width, activation="gelu", kernel_initializer=start, name=f"hidden_{place}")
            )
            layers.append(keras.layers.Dropout(_DROPOUT, seed=self.seed + 100 * network + place))
        return keras.Sequential(layers, name=f"network_{network}")

    def call(self, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        return self.of_normalised(self.normalise(inputs), training=training)

    def of_normalised(self, inputs: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """`call` on features that are normalised already."""
        logits, hidden = self.each(inputs, training=training)
        mean = tf.reduce_mean(logits, axis=0)
        return {LOGIT: mean} | self._of_heads(hidden, mean)

    def each(self, inputs: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Each network's logits, ``[num_networks, batch, n]``, and what they have in common, hidden."""
        hidden = [body(inputs, training=training) for body in self.bodies]
        logits = [end(values)[..., 0] for end, values in zip(self.ends, hidden, strict=True)]
        return tf.stack(logits), tf.concat(hidden, axis=-1)

    def _of_heads(self, hidden: tf.Tensor, logit: tf.Tensor) -> dict[str, tf.Tensor]:
        known = tf.stop_gradient(tf.concat([hidden, logit[..., None]], axis=-1))
        raw = {name: layer(known)[..., 0] for name, layer in self.head_layers.items()}
        outputs = {name: value if name == RATING else tf.sigmoid(value) for name, value in raw.items()}
        if len(self.heads.kinds) > 1:
            outputs[self.heads.kinds[-1]] *= outputs[self.heads.kinds[0]]
        return outputs

    def loss_of(
        self,
        inputs: tf.Tensor,
        labels: dict[str, tf.Tensor],
        is_valid: tf.Tensor,
        is_listed: tf.Tensor,
    ) -> tf.Tensor:
        """The listwise loss and the heads' losses in training: float32 ``[]``.

        Args:
            inputs: float32 ``[batch, n, num_features]``, normalised.
            labels: float32 ``[batch, n]`` by head, NaN where there is none; those of the first kind say what
                was chosen at all.
            is_valid: bool ``[batch, n]``, false for padding.
            is_listed: bool ``[num_kinds, batch, n]``, the candidates that each kind of list holds.
        """
        # Much is padding, which is not computed.
        logits, hidden = self.each(tf.boolean_mask(inputs, is_valid)[None], training=True)
        logits, hidden = logits[:, 0], hidden[0]
        place = tf.reshape(tf.cumsum(tf.cast(tf.reshape(is_valid, [-1]), tf.int32)) - 1, tf.shape(is_valid))
        listed = tf.gather(logits, tf.maximum(place, 0), axis=1)
        num_kinds = is_listed.shape[0]
        losses = [
            listwise_loss(
                tf.tile(listed, [1, num_kinds, 1]),
                tf.tile(labels[self.heads.kinds[0]], [num_kinds, 1]),
                tf.reshape(is_listed & is_valid, [-1, tf.shape(is_valid)[1]]),
            )
        ]
        outputs = self._of_heads(hidden, tf.reduce_mean(logits, axis=0))
        for name, task in self.tasks.items():
            known = tf.boolean_mask(labels[name], is_valid)
            exists = tf.math.is_finite(known)
            weights = tf.cast(exists, tf.float32) / tf.maximum(
                tf.reduce_mean(tf.cast(exists, tf.float32)), 1e-9
            )
            safe = tf.where(exists, known, 0.0)
            losses.append(
                task(
                    tf.reshape(safe, [-1, 1]),
                    tf.reshape(outputs[name], [-1, 1]),
                    sample_weight=tf.reshape(weights, [-1, 1]),
                    compute_metrics=False,
                )
            )
        return tf.add_n(losses)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_features": self.num_features,
            "heads": dataclasses.asdict(self.heads),
            "num_networks": self.num_networks,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ListRanker:
        return cls(**config | {"heads": Heads.from_config(config["heads"])})


def listwise_loss(logits: tf.Tensor, is_chosen: tf.Tensor, is_listed: tf.Tensor) -> tf.Tensor:
    """A softmax over each list, which counts the square root of its number of choices.

    Args:
        logits: float32 ``[num_networks, batch, n]``.
        is_chosen: float32 ``[batch, n]`` of ones and zeros.
        is_listed: bool ``[batch, n]``.

    Returns:
        float32 ``[]``, the mean over the lists with a choice, summed over the networks.
    """
    is_chosen = is_chosen * tf.cast(is_listed, tf.float32)
    num_chosen = tf.reduce_sum(is_chosen, axis=1)
    log_share = tf.nn.log_softmax(tf.where(is_listed, logits, _LOWEST))
    mean = tf.reduce_sum(tf.where(is_chosen > 0, log_share, 0.0), axis=-1) / tf.maximum(num_chosen, 1.0)
    weights = tf.sqrt(num_chosen)
    return tf.reduce_sum(-mean * weights) / tf.maximum(tf.reduce_sum(weights), 1e-9)
