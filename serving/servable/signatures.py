"""The inputs of each signature of the servable, and the check of their shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf


def _one(name: str, dtype: tf.DType = tf.string) -> tf.TensorSpec:
    return tf.TensorSpec([None], dtype, name=name)


def _list(name: str, dtype: tf.DType = tf.string) -> tf.TensorSpec:
    return tf.TensorSpec([None, None], dtype, name=name)


_QUERY, _K, _SPELL = _one("query"), _one("k", tf.int32), _one("spell", tf.bool)
_NOW = _one("now", tf.int64)
ASKER = [_one("user_id"), _list("history"), _list("history_times", tf.int64), _NOW]
_LISTED = [_list("exclude"), _list("filters"), _K]
_WISHES = [_one("exclude_seen", tf.bool), _one("diversity", tf.float32), _list("boost"), _list("pin")]
# docs/serving.md says what each is.
INPUTS: dict[str, list[tf.TensorSpec]] = {
    "search": [_QUERY, *ASKER, *_LISTED, *_WISHES, _SPELL, _one("offset", tf.int32), _one("sort")],
    "suggest": [_one("text"), _K],
    "facets": [_QUERY, _NOW, *_LISTED, _SPELL],
    "recommend": [*ASKER, *_LISTED, *_WISHES],
    "similar": [_one("item_id"), _NOW, *_LISTED],
    "complement": [_list("item_ids"), _NOW, *_LISTED],
    "rank": [_QUERY, *ASKER, _list("candidates")],
    "embed_query": [_QUERY, *ASKER],
    "embed_item": [_one("item_id"), _one("text")],
}


def shaped(
    function: Callable[..., dict[str, tf.Tensor]], inputs: Sequence[tf.TensorSpec]
) -> Callable[..., dict[str, tf.Tensor]]:
    """The function with a check of its inputs' ranks: a server feeds what it gets, and an op may abort."""

    def checking(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        checked = [tf.ensure_shape(tensor, spec.shape) for tensor, spec in zip(tensors, inputs, strict=True)]
        answer = function(*checked)
        # The graph optimiser drops a check that no output depends on: this sum is zero, which it cannot know.
        nothing = tf.add_n([tf.minimum(tf.size(tensor), 0) for tensor in checked])
        name = "embedding" if "embedding" in answer else "num_results"
        return answer | {name: answer[name] + tf.cast(nothing, answer[name].dtype)}

    return checking
