"""The ranker: a cross network over what retrieval returned, with one head for each label there is."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import keras_rs
import tensorflow as tf
import tensorflow_recommenders as tfrs
from keras import ops

RELEVANCE = "relevance"
RATING = "rating"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heads:
    """Which labels a dataset has.

    Attributes:
        kinds: Kinds of events, the lightest first. With several, the first is the click of ESMM and the last
            its conversion: the last is predicted as a product of both.
        has_rating: Whether events carry a value to be predicted.
        has_relevance: Whether there are judgments.
    """

    kinds: tuple[str, ...] = ()
    has_rating: bool = False
    has_relevance: bool = False

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Heads:
        """The heads of a `dataclasses.asdict`, also after JSON made lists of its tuples."""
        return cls(**config | {"kinds": tuple(config["kinds"])})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all heads."""
        rating = (RATING,) if self.has_rating else ()
        return self.kinds + rating + ((RELEVANCE,) if self.has_relevance else ())

    @property
    def behaviour(self) -> str | None:
        """The head that orders a recommendation."""
        return self.kinds[-1] if self.kinds else None


class Ranker(keras.Model):
    """Cross network (DCN-v2, Wang et al. 2021) over query, item, their product and their retrieval scores.

    Every probability starts as a function of the retrieval score alone, so that an untrained ranker keeps
    retrieval's order and a trained one need only learn where that order is wrong.

    Args:
        heads: The labels to predict.
        num_cross_layers: Depth of the cross network.
        seed: Of the weights to begin with.

    Call arguments:
        inputs: From `CandidateFeatures`.

    Returns:
        float32 ``[batch, n]`` by head: probabilities of kinds and of relevance, and the expected rating. The
        behaviour head's is that of the whole funnel (pCTCVR = pCTR * pCVR; Ma et al. 2018, ESMM).
    """

    def __init__(self, heads: Heads, *, num_cross_layers: int, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**{"name": "ranker"} | kwargs)
        self.heads, self.num_cross_layers, self.seed = heads, num_cross_layers, seed
        # An initialiser draws the same every time, so each layer has one of its own.
        first, second, *others = (
            keras.initializers.GlorotUniform(seed=seed + layer) for layer in range(2 + num_cross_layers)
        )
        self.normalise = keras.layers.BatchNormalization(name="normalise")
        self.project = keras.layers.Dense(16, activation="tanh", kernel_initializer=first, name="project")
        self.cross = [
            _Cross(kernel_initializer=initializer, name=f"cross_{layer}")
            for layer, initializer in enumerate(others)
        ]
        self.hidden = keras.layers.Dense(64, activation="gelu", kernel_initializer=second, name="hidden")
        self.logits = {
            name: keras.layers.Dense(1, kernel_initializer="zeros", name=name) for name in heads.names
        }
        self.tasks = {name: tf.function(tfrs.tasks.Ranking(loss=head_loss(name))) for name in heads.names}

    def build(self, *shapes: Any, **named: Any) -> None:
        """Adds the weight of the retrieval score in each head."""
        ones = keras.initializers.Ones()
        self.score_weights = {
            name: self.add_weight(shape=(), initializer=ones, name=f"{name}_score_weight")
            for name in self.heads.names
        }
        self.built = True

    def call(self, inputs: dict[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        dense = self.normalise(inputs["dense"], training=training)
        x0 = ops.concatenate([dense, self.project(inputs["product"])], axis=-1)
        x = x0
        for layer in self.cross:
            x = layer(x0, x)
        hidden = self.hidden(x)
        raw = {
            name: self.score_weights[name] * inputs["score"] + self.logits[name](hidden)[..., 0]
            for name in self.heads.names
        }
        outputs = {name: value if name == RATING else ops.sigmoid(value) for name, value in raw.items()}
        if len(self.heads.kinds) > 1:
            first, last = self.heads.kinds[0], self.heads.kinds[-1]
            outputs[last] = outputs[first] * outputs[last]
        return outputs

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The sum of the heads' losses over the labels that exist: float32 ``[]``.

        Args:
            x: Not used.
            y: float32 ``[batch, n]`` by head, NaN where there is no label.
            y_pred: From `call`.
            sample_weight: bool ``[batch, n]``, false for padding; None for no padding.
            training: Not used.
        """
        is_valid = tf.ones_like(y_pred[self.heads.names[0]]) if sample_weight is None else sample_weight
        is_valid = tf.reshape(tf.cast(is_valid, tf.bool), [-1, 1])
        losses = []
        for name, task in self.tasks.items():
            labels = tf.reshape(y[name], [-1, 1])
            exists = tf.math.is_finite(labels) & is_valid
            weights = tf.cast(exists, tf.float32)
            weights = weights / tf.maximum(tf.reduce_mean(weights), 1e-9)
            safe = tf.where(exists, labels, tf.zeros_like(labels))
            losses.append(
                task(safe, tf.reshape(y_pred[name], [-1, 1]), sample_weight=weights, compute_metrics=False)
            )
        return tf.add_n(losses)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "heads": dataclasses.asdict(self.heads),
            "num_cross_layers": self.num_cross_layers,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Ranker:
        return cls(**config | {"heads": Heads.from_config(config["heads"])})


class _Cross(keras_rs.layers.FeatureCross):
    """A cross layer whose weights are named alike in every process; in keras-rs's own the name counts up."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.dense.name = "dense"


def head_loss(name: str) -> Any:
    if name == RATING:
        return tf.keras.losses.Huber(reduction="sum_over_batch_size")
    return tf.keras.losses.BinaryCrossentropy(reduction="sum_over_batch_size")
