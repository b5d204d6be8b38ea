"""The retrieval model: query tower, item tower, and the task that trains them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
from keras import ops

from dataset import features
from models import replicas
from models.categories import CategoryPositions
from models.config import ModelConfig, TrainConfig
from models.item_table import ItemTable
from models.item_tower import ItemTower
from models.query_tower import QueryTower
from models.text_encoder import TextEncoder


class TwoTower(keras.Model):
    """Both towers over one text encoder, trained with TFRS `Retrieval`.

    The loss is the softmax over the batch's own items and items drawn uniformly from the catalogue (mixed
    negative sampling, Yang et al. 2020), corrected by the logarithm of the probability of each to be drawn
    (logQ; Bengio & Senécal 2008, Yi et al. 2019), without accidental hits. What a user dislikes is a
    candidate of that user's queries too, as a hard negative that is there in every step.

    It has no `get_config`, because it holds the whole catalogue: `TrainedModel` saves and loads it.

    Args:
        items: The catalogue.
        encoder: The text encoder.
        config: Sizes.
        train: Dropout and negatives.
        num_users: Size of the user vocabulary.
        user_category_sizes: Sizes of the vocabularies of the users' categorical columns.
        num_user_numbers: Width of the users' numeric features.
        item_probabilities: float32 ``[num_items]``, the share of each item among the targets; None for
            uniform.
        dislikes: int32 ``[num_users + 1, n]``, items that each user dislikes, -1 is padding; None for none.

    Call arguments:
        inputs: ``query_tokens`` int32 ``[batch, query_len]`` or, already encoded by a frozen encoder,
            ``query_vectors`` float32 ``[batch, text_dim]``; ``history_rows`` int32 ``[batch, length]``,
            ``history_counts`` float32 ``[batch, length]`` (0 is padding), ``user_row`` int32 ``[batch]``,
            ``user_categories`` int32 ``[batch, …]``, ``user_numbers`` float32 ``[batch, …]``, and in training
            ``target_rows`` int32 and ``target_weights`` float32, both ``[batch, targets]``.

    Returns:
        float32 ``[batch, dim]`` query vectors.
    """

    def __init__(
        self,
        items: ItemTable,
        encoder: TextEncoder,
        *,
        config: ModelConfig,
        train: TrainConfig,
        num_users: int,
        user_category_sizes: tuple[int, ...] = (),
        num_user_numbers: int = 0,
        item_probabilities: np.ndarray | None = None,
        dislikes: np.ndarray | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"name": "two_tower"} | kwargs)
        self.encoder = encoder
        self.is_frozen = config.trainable == "frozen"
        self.item_tower = ItemTower(
            len(items),
            text_dim=encoder.output_dim,
            behaviour_dim=config.behaviour_dim,
            category_sizes=items.category_sizes,
            id_dropout=train.item_dropout,
            seed=train.seed,
            name="item_tower",
        )
        self.query_tower = QueryTower(
            num_items=len(items),
            num_users=num_users,
            text_dim=encoder.output_dim,
            behaviour_dim=config.behaviour_dim,
            history_dim=config.history_dim,
            history_heads=config.history_heads,
            category_sizes=user_category_sizes,
            user_dropout=train.user_dropout,
            history_dropout=train.history_dropout,
            seed=train.seed,
            name="query_tower",
        )
        self.num_items, self.num_negatives = len(items), train.uniform_negatives
        self.num_item_numbers = items.numbers.shape[1]
        self._tokens = tf.constant(items.tokens)
        self._text_vectors = tf.constant(items.text_vectors)
        self._categories = CategoryPositions(items.categories, len(items))
        self._numbers = tf.constant(items.numbers)
        if item_probabilities is None:
            item_probabilities = np.full(len(items), 1.0 / len(items), np.float32)
        self._probabilities = tf.constant(item_probabilities, tf.float32)
        self._dislikes = None if dislikes is None else tf.constant(dislikes, tf.int32)
        self._negatives_seed = keras.random.SeedGenerator(train.seed, name="negatives_seed")
        # Keras 3 traces train steps without autograph, which TFRS's task needs.
        self._task = tf.function(tfrs.tasks.Retrieval(loss=_softmax_loss))
        # Both towers, traced once for all the epochs after which the model is measured.
        self.traced_items = tf.function(self.item_vectors, input_signature=[tf.TensorSpec([None], tf.int32)])
        self.traced_queries = tf.function(self)
        self._create_weights(config, len(user_category_sizes), num_user_numbers)

    def _create_weights(self, config: ModelConfig, num_categories: int, num_numbers: int) -> None:
        """Calls every layer once, so that all weights exist in one order, whatever is called first later."""
        rows = tf.zeros([1], tf.int32)
        self.item_vectors(rows)
        self.encode_queries(tf.zeros([1, config.max_query_tokens], tf.int32))
        self(
            {
                features.QUERY_VECTORS: tf.zeros([1, self.encoder.output_dim]),
                features.HISTORY_ROWS: tf.zeros([1, config.max_history], tf.int32),
                features.HISTORY_COUNTS: tf.zeros([1, config.max_history]),
                features.USER_ROW: rows,
                features.USER_CATEGORIES: tf.zeros([1, num_categories], tf.int32),
                features.USER_NUMBERS: tf.zeros([1, num_numbers]),
            }
        )

    def item_vectors(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The vectors of items of the catalogue: float32 ``[n, dim]`` for int32 ``[n]`` rows."""
        return self.item_tower(
            rows,
            self._item_text(rows, training),
            self._categories(rows),
            tf.gather(self._numbers, rows),
            training=training,
        )

    def _item_text(self, rows: tf.Tensor, training: bool) -> tf.Tensor:
        if self.is_frozen:
            return tf.gather(self._text_vectors, rows)
        return self.encoder(tf.gather(self._tokens, rows), training=training)

    def history_values(self, rows: tf.Tensor) -> tf.Tensor:
        """What items contribute to a history: float32 ``[…, history_dim]`` for int32 ``[…]`` rows.

        Their text is that of the encoder as it came: encoding every history anew would cost more than all the
        rest.
        """
        history = self.query_tower.history
        if rows.shape.num_elements() and rows.shape.num_elements() > self.num_items:
            return tf.gather(history.item_values(tf.range(self.num_items), self._text_vectors), rows)
        return history.item_values(rows, tf.gather(self._text_vectors, rows))

    def encode_queries(self, tokens: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Vectors of texts, zeros for a row of only padding: float32 ``[batch, text_dim]``."""
        asked = ops.cast(ops.any(tokens != 0, axis=1, keepdims=True), "float32")
        return self.encoder(tokens, training=training) * asked

    def call(self, inputs: dict[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        query_vectors = inputs.get(features.QUERY_VECTORS)
        if query_vectors is None:
            query_vectors = self.encode_queries(inputs[features.QUERY_TOKENS], training)
        rows = tf.maximum(inputs[features.HISTORY_ROWS], 0)
        return self.query_tower(
            query_vectors,
            self.history_values(rows),
            inputs[features.HISTORY_COUNTS],
            inputs[features.USER_ROW],
            inputs[features.USER_CATEGORIES],
            inputs[features.USER_NUMBERS],
            training=training,
        )

    def weighted(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The inputs of a whole step with target weights whose mean, over all replicas, is one."""
        weights = inputs[features.TARGET_WEIGHTS]
        mean = replicas.mean(tf.reduce_mean(tf.reshape(weights, [-1])))
        return inputs | {features.TARGET_WEIGHTS: weights / tf.maximum(mean, 1e-9)}

    def mean_loss(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """The mean of the weighted, corrected softmax loss over this replica's targets: float32 ``[]``.

        The items of all replicas are negatives of each other's queries. Each replica encodes a part of them.

        Args:
            inputs: From `weighted`, or an equal part of them.
        """
        queries = self(inputs, training=True)
        targets = inputs[features.TARGET_ROWS]
        num_own = targets.shape[0] * targets.shape[1]
        drawn = keras.random.randint((self.num_negatives,), 0, self.num_items, seed=self._negatives_seed)
        own_rows = tf.reshape(targets, [-1])
        rows = tf.concat([replicas.gather(own_rows), tf.cast(drawn, tf.int32)], axis=0)
        vectors = self.item_vectors(replicas.own_share(rows), training=True)
        weights = tf.reshape(inputs[features.TARGET_WEIGHTS], [-1])
        is_target = replicas.gather(tf.cast(weights > 0, tf.float32))
        num_positives = tf.reduce_sum(is_target)
        # A target repeated as padding is not one more negative of the other queries.
        is_candidate = tf.pad(is_target, [[0, self.num_negatives]], constant_values=1.0)
        vectors, rows, is_candidate = (
            replicas.own_first(values, num_own)
            for values in (replicas.gather(vectors)[: rows.shape[0]], rows, is_candidate)
        )
        is_asked = tf.repeat(is_candidate[None] > 0, num_own, axis=0)
        if self._dislikes is not None:
            disliked, is_own = self._disliked(inputs[features.USER_ROW], targets.shape[1])
            rows = tf.concat([rows, disliked], axis=0)
            vectors = tf.concat([vectors, self.item_vectors(disliked, training=True)], axis=0)
            is_asked = tf.concat([is_asked, is_own], axis=1)
        probabilities = (
            num_positives * tf.gather(self._probabilities, rows) + self.num_negatives / self.num_items
        ) / (num_positives + self.num_negatives)
        # The targets of a context share its query. Each candidate is multiplied with each query once, and the
        # task's own product only copies the scores of a query to its targets.
        of_queries = tf.matmul(vectors, queries, transpose_b=True)
        total = self._task(
            tf.repeat(tf.eye(targets.shape[0]), targets.shape[1], axis=0),
            of_queries,
            sample_weight=weights,
            candidate_sampling_probability=probabilities,
            score_mask=is_asked & ~_accidental_hits(rows, num_own),
            compute_metrics=False,
            compute_batch_metrics=False,
        )
        return total / num_own

    def _disliked(self, user_rows: tf.Tensor, num_targets: int) -> tuple[tf.Tensor, tf.Tensor]:
        """What the users of a batch dislike, each for the targets of their own contexts.

        Returns:
            int32 ``[batch * n]`` rows, and bool ``[batch * num_targets, batch * n]``.
        """
        rows = tf.gather(self._dislikes, user_rows)
        is_own = tf.eye(rows.shape[0])[..., None] * tf.cast(rows >= 0, tf.float32)
        is_own = tf.repeat(tf.reshape(is_own, [rows.shape[0], -1]), num_targets, axis=0) > 0
        return tf.maximum(tf.reshape(rows, [-1]), 0), is_own

    def layers_in_16_bits(self) -> list[keras.layers.Layer]:
        """The text encoder and the matrix products of the towers; their outputs are cast back to float32."""
        products = [
            layer
            for tower in (self.item_tower, self.query_tower)
            for layer in tower._flatten_layers(include_self=False)
            if isinstance(layer, keras.layers.Dense)
        ]
        return products + list(self.encoder.backbone._flatten_layers())


def _accidental_hits(rows: tf.Tensor, num_targets: int) -> tf.Tensor:
    """Where a candidate is a target's own item once more: bool ``[num_targets, n]``.

    Args:
        rows: int32 ``[n]`` of the candidates, the targets first.
        num_targets: How many of them are targets.
    """
    is_own = tf.eye(num_targets, rows.shape[0], dtype=tf.int32) > 0
    return (rows[:num_targets, None] == rows[None]) & ~is_own


def _softmax_loss(y_true: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor) -> tf.Tensor:
    """The weighted sum of softmax losses, where the target of row ``i`` is column ``i``: float32 ``[]``.

    As Keras's own, which under deterministic operations takes three times the passes over the scores.

    Args:
        y_true: float32 ``[num_targets, n]``, by TFRS always the first columns' identity.
        y_pred: float32 ``[num_targets, n]`` scores.
        sample_weight: float32 ``[num_targets]``.
    """
    del y_true
    losses = tf.reduce_logsumexp(y_pred, axis=1) - tf.linalg.diag_part(y_pred)
    return tf.reduce_sum(sample_weight * losses)
