"""Transcripts of the servable: labelled candidates for TFMA, and examples for people."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf
from scipy import sparse

from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.evaluation_data import EvaluationData, Judged, Log
from components.retrieval_evaluator.names import NOVEL, OURS, SEARCH
from components.retrieval_evaluator.recommendation import ItemSlices, is_cold
from components.retrieval_evaluator.record import Example, ExampleList, ListedItem
from components.retrieval_evaluator.servable_caller import Answers, ServedModel
from components.retrieval_evaluator.systems import Measured
from models.metrics import top_k

_CHUNK = 64
_CANDIDATES = 50
# TFMA takes about two milliseconds an example and metric.
_MAX_USERS = 400
_NUM_EXAMPLES = 5
_SHOWN = 10


def write_candidates(data: EvaluationData, served: ServedModel, folder: str) -> None:
    """Writes an example for each candidate the servable ranked for the test users and queries.

    Features: ``head`` (``choice`` or ``relevance``), ``label`` and ``prediction`` float, and to slice by:
    ``item_popularity`` (head, tail), ``is_repeat`` and ``is_cold_user`` (yes, no).
    """
    tf.io.gfile.makedirs(folder)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    with tf.io.TFRecordWriter(os.path.join(folder, "data_tfrecord-00000-of-00001.gz"), options) as writer:
        if data.log is not None:
            _write_choices(data.log, served, writer)
        if data.judged is not None and len(data.judged.queries):
            _write_relevance(data.judged, served, writer)


def _write_choices(log: Log, served: ServedModel, writer: tf.io.TFRecordWriter) -> None:
    slices, had, bought = ItemSlices.of(log.past), log.histories.binary().tocsr(), log.future.binary().tocsr()
    users = np.flatnonzero(np.diff(bought.indptr) * np.diff(had.indptr) > 0)[:_MAX_USERS]
    cold = is_cold(had)
    for start in range(0, len(users), _CHUNK):
        chunk = users[start : start + _CHUNK]
        queries = Queries.of_users(log.histories, chunk)
        answers = served.recommend(
            queries,
            exclude_seen=False,
            user_ids=[log.user_ids[u] for u in chunk],
            now=log.test_start,
            k=_CANDIDATES,
        )
        _write(
            writer,
            answers,
            head="choice",
            labels=_look_up(bought[chunk], answers),
            is_head=slices.head[np.maximum(answers.rows, 0)],
            is_repeat=_look_up(had[chunk], answers) > 0,
            is_cold=np.broadcast_to(cold[chunk][:, None], answers.rows.shape),
        )


def _write_relevance(judged: Judged, served: ServedModel, writer: tf.io.TFRecordWriter) -> None:
    answers = served.search(list(judged.queries), k=_CANDIDATES)
    no = np.zeros(answers.rows.shape, bool)
    labels = np.minimum(_look_up(judged.gains, answers), 1.0)
    _write(writer, answers, head="relevance", labels=labels, is_head=no, is_repeat=no, is_cold=no)


def _look_up(matrix: sparse.csr_matrix, answers: Answers) -> np.ndarray:
    """The matrix's value of each candidate: float32 `[batch, k]`."""
    lines = np.repeat(np.arange(len(answers.rows)), answers.rows.shape[1])
    values = np.asarray(matrix[lines, np.maximum(answers.rows, 0).ravel()]).reshape(answers.rows.shape)
    return values.astype(np.float32)


def _write(writer: tf.io.TFRecordWriter, answers: Answers, *, head: str, **columns: np.ndarray) -> None:
    keep = answers.rows >= 0
    scores = answers.probabilities[keep]
    flat = {name: values[keep].tolist() for name, values in columns.items()}
    rows = zip(
        scores.tolist(), *(flat[n] for n in ("labels", "is_head", "is_repeat", "is_cold")), strict=True
    )
    for score, label, in_head, repeated, of_cold_user in rows:
        feature = {
            "prediction": tf.train.Feature(float_list=tf.train.FloatList(value=[score])),
            "label": tf.train.Feature(float_list=tf.train.FloatList(value=[label])),
            "head": _text(head),
            "item_popularity": _text("head" if in_head else "tail"),
            "is_repeat": _text("yes" if repeated else "no"),
            "is_cold_user": _text("yes" if of_cold_user else "no"),
        }
        writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def _text(value: str) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))


def write_examples(data: EvaluationData, served: ServedModel, measured: Measured) -> list[Example]:
    """A few requests and what each system answers, for the report."""
    examples = []
    if data.judged is not None and SEARCH in measured.listed:
        order = np.argsort(-np.diff(data.judged.gains.indptr), kind="stable")[:_NUM_EXAMPLES]
        for row in order:
            query = data.judged.queries[row]
            asked = Queries.of_texts([query], len(data.items.ids))
            relevant = data.judged.gains[row].toarray().ravel() > 0
            lists = _lists(data, measured, SEARCH, asked, relevant)
            examples.append(Example(query=query, lists=lists))
    if data.log is not None and NOVEL in measured.listed:
        log = data.log
        had, bought = log.histories.binary().tocsr(), log.future.binary().tocsr()
        new = bought - bought.multiply(had)
        count = np.diff(new.tocsr().indptr) * ~is_cold(had)
        for user in np.argsort(-count, kind="stable")[:_NUM_EXAMPLES]:
            asked = Queries.of_users(log.histories, np.array([user]))
            seen = had[user].toarray().ravel() > 0
            lists = _lists(data, measured, NOVEL, asked, new[user].toarray().ravel() > 0, seen)
            history = tuple(data.items.titles[i] for i in dict.fromkeys(asked.history_items.tolist()))
            examples.append(Example(user_id=log.user_ids[user], history=history[:_SHOWN], lists=lists))
    return examples


def _lists(
    data: EvaluationData,
    measured: Measured,
    task: str,
    asked: Queries,
    relevant: np.ndarray,
    hidden: np.ndarray | None = None,
) -> tuple[ExampleList, ...]:
    systems = [name for name in measured.listed[task] if name in (OURS, "EASE", "item-kNN", "BM25")]
    lists = []
    for name in systems[:3]:
        scores = measured.listed[task][name](asked).copy()
        if hidden is not None:
            scores[:, hidden] = -np.inf
        rows = [int(row) for row in top_k(scores, _SHOWN)[0] if row >= 0]
        items = tuple(
            ListedItem(
                item_id=data.items.ids[row],
                title=data.items.titles[row],
                score=float(scores[0, row]),
                is_relevant=bool(relevant[row]),
            )
            for row in rows
        )
        lists.append(ExampleList(system=name, items=items))
    return tuple(lists)
