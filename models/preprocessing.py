"""The two preprocessing functions of TFX Transform: of items, and of interactions.

Text is tokenised here, once an item and once a query context, and never again before serving.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from dataset import features
from dataset.contract import ItemsTable
from dataset.interaction import INTERACTION
from dataset.manifest import Manifest
from models.config import ModelConfig
from models.tokenizer import Tokenizer


def item_settings(table: ItemsTable, model: ModelConfig) -> dict[str, Any]:
    """What `preprocess_items` reads, of the dataset and of the model."""
    return {
        "text": list(table.text),
        "categorical": list(table.categorical),
        "numeric": list(table.numeric),
        "has_availability": bool(table.availability),
        "encoder": model.encoder,
        "max_text_tokens": model.max_text_tokens,
    }


def interaction_settings(manifest: Manifest, model: ModelConfig) -> dict[str, Any]:
    """What `preprocess_interactions` reads, of the dataset and of the model."""
    users = manifest.users
    return {
        "has_events": manifest.events is not None,
        "categorical": list(users.categorical) if users else [],
        "numeric": list(users.numeric) if users else [],
        "encoder": model.encoder,
        "max_query_tokens": model.max_query_tokens,
    }


def preprocess_items(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Tokenises an item's text, indexes its categories and scales its numbers.

    Args:
        inputs: Raw item features, string or float ``[batch, 1]``, sparse where values may be missing.
        custom_config: From `item_settings`.

    Returns:
        ``item_id`` and ``title``: string ``[batch]``. ``tokens``: int64 ``[batch, max_text_tokens]``, and
        more where the encoder wants texts to begin with something, of the text columns that are no
        categories. For a categorical column, its values as string and their indices as int64, sparse
        ``[batch, num_values]``; for a numeric one, its scaled value and missing flag, float32 ``[batch]``.
        ``available``: int64 ``[batch]``.
    """
    texts = [_text(inputs[name]) for name in custom_config["text"]]
    tokenizer = Tokenizer.from_pretrained(custom_config["encoder"])
    # What is a category too is short and repeats: the model has it as a category, and search as words.
    told = [
        text
        for name, text in zip(custom_config["text"], texts, strict=True)
        if name not in custom_config["categorical"]
    ]
    text = _joined(told or texts)
    outputs = {
        features.ITEM_ID: _dense(inputs[features.ITEM_ID], b""),
        features.TITLE: texts[0],
        features.TOKENS: tf.cast(tokenizer(text, length=custom_config["max_text_tokens"]), tf.int64),
        features.AVAILABLE: _dense(inputs[features.AVAILABLE], 1)
        if custom_config["has_availability"]
        else tf.ones(tf.shape(texts[0]), tf.int64),
    }
    for name in custom_config["categorical"]:
        outputs[name] = inputs[name]
        outputs[features.index_of(name)] = _index(inputs[name], features.vocabulary_of(name))
    for name in custom_config["numeric"]:
        outputs |= _number(inputs[name], name)
    return outputs


def preprocess_interactions(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Tokenises queries, indexes users and passes histories and targets on.

    Args:
        inputs: Raw interaction features: string ``[batch, 1]`` single values and sparse lists.
        custom_config: From `interaction_settings`.

    Returns:
        ``query_tokens``: int64 ``[batch, max_query_tokens]``, likewise. ``user_row``: int64 ``[batch]``, the
        vocabulary's size for an unknown user. ``user/…`` columns as for items. The rest unchanged.
    """
    tokenizer = Tokenizer.from_pretrained(custom_config["encoder"])
    query = _dense(inputs[features.QUERY], b"")
    tokens = tf.cast(tokenizer.queries(query, length=custom_config["max_query_tokens"]), tf.int64)
    user_id = _dense(inputs[features.USER_ID], b"")
    outputs = {
        features.QUERY: query,
        features.QUERY_ID: _dense(inputs[features.QUERY_ID], b""),
        features.USER_ID: user_id,
        features.TIME: _dense(inputs[features.TIME], 0),
        # An empty query has no tokens at all, so that "no query" can be told from its tokens.
        features.QUERY_TOKENS: tokens * tf.cast(tf.strings.length(query) > 0, tf.int64)[:, None],
        features.USER_ROW: _index(user_id, features.vocabulary_of(features.USER_ID))
        if custom_config["has_events"]
        else tf.zeros_like(tokens[:, 0]),
    }
    outputs |= {feature.name: inputs[feature.name] for feature in INTERACTION if feature.is_list}
    for column in custom_config["categorical"]:
        name = features.user_feature(column)
        outputs[features.index_of(name)] = _index(_dense(inputs[name], b""), features.vocabulary_of(name))
    for column in custom_config["numeric"]:
        outputs |= _number(inputs[features.user_feature(column)], features.user_feature(column))
    return outputs


def _joined(texts: list[tf.Tensor]) -> tf.Tensor:
    """The texts that are not empty, as sentences: string ``[batch]``."""
    ended = [tf.where(tf.strings.strip(text) == "", "", tf.strings.join([text, ". "])) for text in texts]
    return tf.strings.regex_replace(tf.strings.join(ended), r"[.\s]+$", "")


def _index(values: Any, vocabulary: str) -> Any:
    """Vocabulary positions, the vocabulary's size for what is not in it; sparse where the values are."""
    return tft.compute_and_apply_vocabulary(values, num_oov_buckets=1, vocab_filename=vocabulary)


def _number(values: Any, name: str) -> dict[str, tf.Tensor]:
    """A number on a logarithmic scale, zero mean and unit variance, and a flag where there was none."""
    is_missing = tf.math.is_nan(_dense(values, float("nan")))
    present = tf.math.asinh(_dense(values, 0.0))
    mean, variance = tft.mean(_present(values)), tft.var(_present(values))
    scaled = (present - mean) / tf.sqrt(tf.maximum(variance, 1e-6))
    return {
        features.scaled(name): tf.where(is_missing, tf.zeros_like(scaled), scaled),
        features.missing(name): tf.cast(is_missing, tf.float32),
    }


def _present(values: Any) -> tf.Tensor:
    dense = values.values if isinstance(values, tf.SparseTensor) else tf.reshape(values, [-1])
    return tf.math.asinh(dense)


def _text(values: Any) -> tf.Tensor:
    """The values of each row in one text, ``[batch]``."""
    if not isinstance(values, tf.SparseTensor):
        return tf.reshape(values, [-1])
    return tf.strings.reduce_join(tf.RaggedTensor.from_sparse(values), axis=1, separator=" ")


def _dense(values: Any, default: Any) -> tf.Tensor:
    """The single value of each row, ``[batch]``."""
    if isinstance(values, tf.SparseTensor):
        shape = [values.dense_shape[0], 1]
        values = tf.SparseTensor(values.indices, values.values, tf.cast(shape, tf.int64))
        values = tf.sparse.to_dense(values, default)
    return tf.reshape(values, [-1])
