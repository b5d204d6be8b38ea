"""The warm-up file of a servable: a server replays it before it says that the version is available."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2


def write_warmup_requests(path: str, examples: dict[str, list[Any]]) -> None:
    """Writes a request for each signature, with one row and with several.

    Args:
        path: `ExtraAssets.warmup_path`.
        examples: ``queries``, ``users`` and ``items`` of the dataset.
    """
    with tf.io.TFRecordWriter(path) as writer:
        for num_rows in (1, 4):
            for signature, inputs in example_inputs(examples, num_rows).items():
                request = predict_pb2.PredictRequest()
                request.model_spec.name = "tandem"
                request.model_spec.signature_name = signature
                for name, values in inputs.items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=request)
                )
                writer.write(log.SerializeToString())


def example_inputs(examples: dict[str, list[Any]], num_rows: int) -> dict[str, dict[str, tf.Tensor]]:
    """Inputs of every signature, by its name, made of a dataset's own queries, users and items.

    Args:
        examples: ``queries``, ``users`` and ``items``; users may be empty.
        num_rows: Rows of each request.
    """

    def rows(values: list[str]) -> tf.Tensor:
        return tf.constant([(values or [""])[i % max(len(values), 1)] for i in range(num_rows)])

    ids = [item["item_id"] for item in examples["items"]]
    histories = [[item["item_id"] for item in user["history"]][:2] for user in examples["users"]] or [ids[:2]]
    # Lists begin with an empty text, as the client's do.
    history = [["", *histories[i % len(histories)], "", ""][:3] for i in range(num_rows)]
    empty = tf.fill([num_rows, 1], "")
    now = {"now": tf.zeros([num_rows], tf.int64)}
    nobody = {"user_id": rows([]), "history": empty, "history_times": tf.zeros([num_rows, 1], tf.int64)} | now
    asker = nobody | {"user_id": rows([user["user_id"] for user in examples["users"]])}
    listed = {"exclude": empty, "filters": empty, "k": tf.fill([num_rows], 10)}
    seen = {"exclude_seen": tf.fill([num_rows], True)}
    wishes = {"diversity": tf.zeros([num_rows]), "boost": empty, "pin": empty}
    spell = {"spell": tf.fill([num_rows], True)}
    query = {"query": rows(examples["queries"])}
    return {
        "search": query
        | nobody
        | listed
        | {"exclude_seen": tf.fill([num_rows], False)}
        | wishes
        | spell
        | {"offset": tf.fill([num_rows], 0), "sort": rows([])},
        "suggest": {"text": rows(examples["queries"]), "k": tf.fill([num_rows], 10)},
        "facets": query | now | listed | spell,
        "recommend": nobody | {"history": tf.constant(history)} | listed | seen | wishes,
        "similar": {"item_id": rows(ids)} | now | listed,
        "complement": {"item_ids": tf.constant(history)} | now | listed,
        "rank": query | asker | {"candidates": tf.constant([["", *ids[:5]]] * num_rows)},
        "embed_query": query | asker,
        "embed_item": {"item_id": rows(ids), "text": rows([])},
    }
