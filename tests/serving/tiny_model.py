"""A SavedModel with the servable's signatures, small enough to be written and loaded in a second.

``python -m tests.serving.tiny_model DIR`` writes it as version 1 under DIR, for a server elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from serving.servable.answers import page, shortened

ITEM_IDS = ["apron", "basket", "candle", "dish", "easel", "fork"]
TITLES = [f"{item_id.title()} é" for item_id in ITEM_IDS]
FILTERS = ["room=kitchen", "room=hall", "room=hall", "room=kitchen", "room=studio", "room=kitchen"]
# What each item does not pass: the easel costs more.
BARRIERS = [[pair.replace("=", "!="), "price<=20" if "studio" in pair else "-"] for pair in FILTERS]
# Lists of items to items, and facets, are empty before this moment.
OPENING = 1_000_000_000
DIM = 4
VECTORS = np.random.default_rng(7).normal(size=(len(ITEM_IDS), DIM)).astype(np.float32)
LOWEST = float(np.finfo(np.float32).min)
MAX_RESULTS = 1000


def _strings(*shape: int | None) -> tf.TensorSpec:
    return tf.TensorSpec([None, *shape], tf.string)


_CONTEXT = {
    "user_id": _strings(),
    "history": _strings(None),
    "history_times": tf.TensorSpec([None, None], tf.int64),
    "now": tf.TensorSpec([None], tf.int64),
}
_NOW = {"now": _CONTEXT["now"]}
_LISTS = {
    "exclude": _strings(None),
    "filters": _strings(None),
    "k": tf.TensorSpec([None], tf.int32),
}
_SEEN = {"exclude_seen": tf.TensorSpec([None], tf.bool)}
_WISHES = {
    "diversity": tf.TensorSpec([None], tf.float32),
    "boost": _strings(None),
    "pin": _strings(None),
}
INPUTS = {
    "search": {
        "query": _strings(),
        **_CONTEXT,
        **_LISTS,
        **_SEEN,
        **_WISHES,
        "spell": tf.TensorSpec([None], tf.bool),
        "offset": tf.TensorSpec([None], tf.int32),
        "sort": _strings(),
    },
    "suggest": {"text": _strings(), "k": tf.TensorSpec([None], tf.int32)},
    "facets": {"query": _strings(), **_NOW, **_LISTS, "spell": tf.TensorSpec([None], tf.bool)},
    "recommend": {**_CONTEXT, **_LISTS, **_SEEN, **_WISHES},
    "similar": {"item_id": _strings(), **_NOW, **_LISTS},
    "complement": {"item_ids": _strings(None), **_NOW, **_LISTS},
    "rank": {"query": _strings(), "candidates": _strings(None), **_CONTEXT},
    "embed_query": {"query": _strings(), **_CONTEXT},
    "embed_item": {"item_id": _strings(), "text": _strings()},
    "wait": {"seconds": tf.TensorSpec([None], tf.float64)},
    "measure": {"text": _strings()},
    "to_number": {"text": _strings()},
}


def _is_any_of(texts: Any, wanted: Any) -> Any:
    """Whether each of ``texts`` is among the row's ``wanted``: bool ``[batch, len(texts)]``."""
    return tf.reduce_any(tf.equal(tf.constant(texts)[None, :, None], wanted[:, None, :]), axis=2)


def _closed(now: Any) -> Any:
    """The items that are not there yet: string ``[batch, num_items]``, "" for none."""
    return tf.where((now > 0)[:, None] & (now < OPENING)[:, None], tf.constant([ITEM_IDS]), "")


class TinyModel(tf.Module):
    """A query's vector depends on its length, on the user's and on the items of the history."""

    def __init__(self) -> None:
        super().__init__()
        # Not a constant, so that loading has variables to restore.
        self._vectors = tf.Variable(VECTORS)

    def _query(self, user_id: Any, history: Any, query: Any = None) -> Any:
        length = tf.strings.length(user_id) + (0 if query is None else 3 * tf.strings.length(query))
        base = tf.cos(tf.cast(length, tf.float32)[:, None] * tf.range(1.0, DIM + 1.0))
        return base + tf.cast(_is_any_of(ITEM_IDS, history), tf.float32) @ self._vectors

    def _best(self, vector: Any, exclude: Any, filters: Any, k: Any, *wishes: Any) -> dict[str, Any]:
        k = tf.minimum(k, MAX_RESULTS)
        scores = vector @ tf.transpose(self._vectors)
        if wishes:
            # Each wish changes the answer, in a way of its own.
            diversity, boost, pin = wishes
            scores = scores * (1.0 - 2.0 * diversity[:, None])
            scores += tf.cast(_is_any_of([f"{pair}:2" for pair in FILTERS], boost), tf.float32)
            scores += 100.0 * tf.cast(_is_any_of(ITEM_IDS, pin), tf.float32)
        allowed = ~_is_any_of(ITEM_IDS, exclude)
        for barrier in zip(*BARRIERS, strict=True):
            allowed &= ~_is_any_of(barrier, filters)
        free = ~tf.reduce_any(tf.strings.regex_full_match(filters, "[^!<]+=.*"), axis=1, keepdims=True)
        allowed &= free | _is_any_of(FILTERS, filters)
        width = tf.reduce_max(k)
        values, rows = tf.math.top_k(tf.where(allowed, scores, LOWEST), tf.minimum(width, len(ITEM_IDS)))
        num_results = tf.minimum(k, tf.reduce_sum(tf.cast(allowed, tf.int32), axis=1))
        valid = tf.range(tf.shape(rows)[1])[None] < num_results[:, None]
        padding = [[0, 0], [0, width - tf.shape(rows)[1]]]
        values = tf.pad(tf.where(valid, values, 0.0), padding)
        texts = {
            name: tf.pad(tf.where(valid, tf.gather(column, rows), ""), padding, constant_values="")
            for name, column in {"item_ids": ITEM_IDS, "titles": TITLES}.items()
        }
        return {
            **texts,
            "scores": values,
            "channel_scores": values[..., None],
            "num_results": num_results,
            "probabilities": tf.where(texts["item_ids"] != "", tf.sigmoid(values), 0.0),
            "reasons": tf.where(texts["item_ids"] != "", "text", ""),
            "reason_item_ids": tf.fill(tf.shape(values), ""),
            "reason_titles": tf.fill(tf.shape(values), ""),
            "matches": tf.fill(tf.shape(values), ""),
        }

    def search(
        self,
        query: Any,
        user_id: Any,
        history: Any,
        history_times: Any,
        now: Any,
        exclude: Any,
        filters: Any,
        k: Any,
        exclude_seen: Any,
        diversity: Any,
        boost: Any,
        pin: Any,
        spell: Any,
        offset: Any,
        sort: Any,
    ) -> dict[str, Any]:
        seen, wishes = tf.where(exclude_seen[:, None], history, ""), (diversity, boost, pin)
        # One word is misspelt for this model.
        corrected = tf.where(spell & tf.strings.regex_full_match(query, "aprom"), "apron", "")
        vector = self._query(user_id, history, query)
        # What is sorted comes the other way round.
        vector = tf.where(tf.equal(sort, "")[:, None], vector, -vector)
        listed = tf.concat([exclude, seen], 1)
        answer = page(self._best(vector, listed, filters, k + offset, *wishes), offset, k)
        matches = tf.where(answer["item_ids"] == "apron", "apron=title\na=text", "")
        return answer | {"corrected_query": corrected, "matches": matches}

    def suggest(self, text: Any, k: Any) -> dict[str, Any]:
        begins = tf.strings.substr([TITLES], 0, tf.reduce_min(tf.strings.length(text)))
        fits = tf.equal(tf.strings.lower(begins), tf.strings.lower(text)[:, None])
        suggestions = tf.where(fits, tf.constant([TITLES]), "")
        return shortened({"suggestions": suggestions, "kinds": tf.where(fits, "item", "")}, k)

    def facets(self, query: Any, now: Any, exclude: Any, filters: Any, k: Any, spell: Any) -> dict[str, Any]:
        batch = tf.shape(query)[0]
        values = tf.repeat(tf.constant([sorted(set(FILTERS))]), batch, axis=0)
        counts = tf.repeat(tf.constant([[2, 3, 1]]), batch, axis=0) + tf.strings.length(query)[:, None]
        is_open = tf.equal(_closed(now)[:, 0], "")
        values = tf.where(is_open[:, None], values, "")
        edges = tf.range(11.0)[None, None] + tf.zeros([batch, 1, 1])
        return shortened({"values": values, "counts": counts}, k) | {
            "num_matches": tf.where(is_open, len(ITEM_IDS), 0),
            "histogram_columns": tf.fill([batch, 1], "price"),
            "histogram_edges": edges,
            "histogram_counts": tf.cast(edges[..., 1:], tf.int32),
        }

    def recommend(
        self,
        user_id: Any,
        history: Any,
        history_times: Any,
        now: Any,
        exclude: Any,
        filters: Any,
        k: Any,
        exclude_seen: Any,
        diversity: Any,
        boost: Any,
        pin: Any,
    ) -> dict[str, Any]:
        seen, wishes = tf.where(exclude_seen[:, None], history, ""), (diversity, boost, pin)
        return self._best(self._query(user_id, history), tf.concat([exclude, seen], 1), filters, k, *wishes)

    def similar(self, item_id: Any, now: Any, exclude: Any, filters: Any, k: Any) -> dict[str, Any]:
        vector = self.embed_item(item_id, tf.zeros_like(item_id))["embedding"]
        return self._best(vector, tf.concat([exclude, item_id[:, None], _closed(now)], 1), filters, k)

    def complement(self, item_ids: Any, now: Any, exclude: Any, filters: Any, k: Any) -> dict[str, Any]:
        vector = tf.cast(_is_any_of(ITEM_IDS, item_ids), tf.float32) @ self._vectors
        return self._best(vector, tf.concat([exclude, item_ids, _closed(now)], 1), filters, k)

    def rank(
        self, query: Any, candidates: Any, user_id: Any, history: Any, history_times: Any, now: Any
    ) -> dict[str, Any]:
        matches = tf.equal(candidates[:, :, None], tf.constant(ITEM_IDS))
        known = tf.reduce_any(matches, axis=2)
        rows = tf.argmax(tf.cast(matches, tf.int32), axis=2)
        scores = tf.gather(
            self._query(user_id, history, query) @ tf.transpose(self._vectors), rows, batch_dims=1
        )
        # Unknown candidates keep their id after the known ones; empty ones come last of all.
        order = tf.argsort(
            tf.where(known, scores, tf.where(tf.equal(candidates, ""), -float("inf"), LOWEST)),
            direction="DESCENDING",
            stable=True,
        )
        known, rows, scores, candidates = (
            tf.gather(x, order, batch_dims=1) for x in (known, rows, scores, candidates)
        )
        scores = tf.where(known, scores, tf.where(tf.equal(candidates, ""), 0.0, LOWEST))
        return {
            "item_ids": candidates,
            "titles": tf.where(known, tf.gather(TITLES, rows), ""),
            "scores": scores,
            "channel_scores": scores[..., None],
            "num_results": tf.reduce_sum(tf.cast(known, tf.int32), axis=1),
            "probabilities": tf.where(known, tf.sigmoid(scores), 0.0),
            "reasons": tf.fill(tf.shape(candidates), ""),
            "reason_item_ids": tf.fill(tf.shape(candidates), ""),
            "reason_titles": tf.fill(tf.shape(candidates), ""),
            "matches": tf.fill(tf.shape(candidates), ""),
        }

    def embed_query(
        self, query: Any, user_id: Any, history: Any, history_times: Any, now: Any
    ) -> dict[str, Any]:
        return {"embedding": self._query(user_id, history, query)}

    def embed_item(self, item_id: Any, text: Any) -> dict[str, Any]:
        known = tf.cast(_is_any_of(ITEM_IDS, item_id[:, None]), tf.float32) @ self._vectors
        return {"embedding": known + tf.cast(tf.strings.length(text), tf.float32)[:, None]}

    def wait(self, seconds: Any) -> dict[str, Any]:
        """Takes its time, so that a test can do something meanwhile."""
        end = tf.timestamp() + tf.reduce_max(seconds)
        now = tf.while_loop(lambda now: now < end, lambda now: [tf.timestamp()], [tf.timestamp()])[0]
        return {"seconds": seconds + 0 * now}

    def measure(self, text: Any) -> dict[str, Any]:
        """Has outputs that are not batch-major."""
        length = tf.strings.length(text)
        return {"length": length, "total": tf.reduce_sum(length), "table": tf.constant(ITEM_IDS)}

    def to_number(self, text: Any) -> dict[str, Any]:
        """Fails on most texts."""
        return {"number": tf.strings.to_number(text)}


def write(path: Path) -> None:
    """Writes the model into ``path``, with a warm-up file.

    As in exports of TensorFlow 1, signatures share tensors: ``both`` is ``measure`` and ``to_number``.
    """
    model = TinyModel()
    signatures = {
        name: tf.function(getattr(model, name)).get_concrete_function(**specs)
        for name, specs in INPUTS.items()
    }
    tf.saved_model.save(model, str(path), signatures={**signatures, "serving_default": signatures["search"]})

    file = path / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    signature_defs = saved_model.meta_graphs[0].signature_def
    both = signature_defs["both"]
    both.inputs["text"].CopyFrom(signature_defs["measure"].inputs["text"])
    both.outputs["length"].CopyFrom(signature_defs["measure"].outputs["length"])
    both.inputs["number_text"].CopyFrom(signature_defs["to_number"].inputs["text"])
    both.outputs["number"].CopyFrom(signature_defs["to_number"].outputs["number"])
    both.method_name = tf.saved_model.PREDICT_METHOD_NAME
    file.write_bytes(saved_model.SerializeToString())

    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = "embed_item"
    request.inputs["item_id"].CopyFrom(tf.make_tensor_proto(["apron"]))
    request.inputs["text"].CopyFrom(tf.make_tensor_proto([""]))
    (path / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(path / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


if __name__ == "__main__":
    write(Path(sys.argv[1]) / "1")
