"""The systems of the report: our model and the baselines, measured on the same users and queries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.baselines.ease import Ease
from components.retrieval_evaluator.baselines.item_knn import ItemKnn
from components.retrieval_evaluator.baselines.popular import RecentPopularity
from components.retrieval_evaluator.baselines.repeat import Repeat
from components.retrieval_evaluator.because import evaluate_matches, evaluate_reasons
from components.retrieval_evaluator.cold_start import evaluate_cold_start
from components.retrieval_evaluator.evaluation import (
    Difference,
    Evaluation,
    MetricRow,
    ScoreFunction,
    as_listed,
    without_disliked,
)
from components.retrieval_evaluator.evaluation_data import EvaluationData, Judged, Log
from components.retrieval_evaluator.names import (
    ALL,
    AS_TYPED,
    BLESSED,
    BM25,
    EASE,
    ITEM_KNN,
    NOVEL,
    OURS,
    OWN_COUNT,
    POPULAR,
    SEARCH,
    SUM_OF_BOTH,
    ZERO_SHOT,
    channel_row,
    diverse_row,
)
from components.retrieval_evaluator.recommendation import evaluate_recommendation
from components.retrieval_evaluator.search import evaluate_search
from components.retrieval_evaluator.servable_caller import ServedModel
from components.retrieval_evaluator.typing_errors import with_one_error
from components.retrieval_evaluator.unit_values import UnitValues
from models.lexical.index import LexicalIndex

Array = np.ndarray[Any, Any]

DENSE = channel_row("dense")
# Intervals are the same for one model, however it was trained.
_BOOTSTRAP_SEED = 17
# Settings of a request that the report has rows for.
_DIVERSITIES = (0.3, 0.6)
# Requests with long histories are compared pairwise inside the graph, so few at a time.
_CHUNK = 64
# How often the typing errors of the queries are drawn.
_NUM_DRAWS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Everything measured.

    Attributes:
        rows: Every number.
        differences: Ours against each other system, on the metric the gate looks at.
        listed: Score functions for the example lists of the report, by task: ours and strong baselines.
        unit_values: Of our system, for each query and user.
    """

    rows: tuple[MetricRow, ...]
    differences: tuple[Difference, ...]
    listed: dict[str, dict[str, ScoreFunction]]
    unit_values: UnitValues


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoder:
    """The encoder as it came, for the zero-shot baseline: its name, how it pools and how long a query is."""

    name: str
    pooling: str
    max_query_tokens: int


def measure(
    data: EvaluationData,
    served: ServedModel,
    last: ServedModel | None,
    encoder: Encoder,
    *,
    max_ease_items: int,
) -> Measured:
    """Measures the servable, its dense channel alone, the last blessed servable and the baselines.

    Args:
        data: The test window and the test queries.
        served: The candidate.
        last: The last blessed model, if there is one.
        encoder: The zero-shot baseline.
        max_ease_items: Catalogue size above which EASE is left out.
    """
    parts: list[tuple[Evaluation, tuple[str, ...]]] = []
    listed: dict[str, dict[str, ScoreFunction]] = {}
    units: dict[str, Array] = {}
    if data.log is not None:
        recommendation, listed[NOVEL] = _recommendation(data, data.log, served, last, max_ease_items)
        parts += [(recommendation, (NOVEL, ALL))]
        units |= recommendation.units
    if data.judged is not None and len(data.judged.queries):
        search, listed[SEARCH] = _search(data, data.judged, served, last, encoder)
        parts += [(search, (SEARCH,))]
        # Which queries count depends on what was learnt from, so their rows tell nothing elsewhere.
        units[SEARCH] = np.array(data.judged.queries, str)[search.units[SEARCH]]
    rows = tuple(row for evaluation, _ in parts for row in evaluation.rows)
    compared = (
        evaluation.difference(OURS, system, task, "ndcg@10", seed=_BOOTSTRAP_SEED)
        for evaluation, tasks in parts
        for task in tasks
        for system in dict.fromkeys(row.system for row in evaluation.rows)
        if system != OURS and (system, task, "ndcg@10") in evaluation.values
    )
    differences = tuple(difference for difference in compared if difference is not None)
    ours = {
        (task, metric): values
        for evaluation, _ in parts
        for (system, task, metric), values in evaluation.values.items()
        if system == OURS
    }
    unit_values = UnitValues(units=units, values=ours)
    return Measured(rows=rows, differences=differences, listed=listed, unit_values=unit_values)


def _recommendation(
    data: EvaluationData, log: Log, served: ServedModel, last: ServedModel | None, max_ease_items: int
) -> tuple[Evaluation, dict[str, ScoreFunction]]:
    num_items = len(data.items.ids)

    def users_of(queries: Queries) -> list[str]:
        return [log.user_ids[row] if row >= 0 else "" for row in queries.user_rows]

    def answers(model: ServedModel, *, exclude_seen: bool, diversity: float = 0.0) -> ScoreFunction:
        def score(queries: Queries) -> Array:
            listed = model.recommend(
                queries,
                exclude_seen=exclude_seen,
                user_ids=users_of(queries),
                now=log.test_start,
                diversity=diversity,
            )
            return listed.as_scores(num_items)

        # A model of an earlier version does not know what its users disliked since.
        return without_disliked(score, log.disliked)

    item_vectors = served.item_vectors()
    popular = RecentPopularity().fit(log.past, now=log.test_start)
    baselines: dict[str, ScoreFunction] = {
        POPULAR: popular.score,
        ITEM_KNN: ItemKnn().fit(log.past).score,
        OWN_COUNT: Repeat().fit(popular.item_scores).score,
    }
    if num_items <= max_ease_items:
        baselines[EASE] = Ease(max_items=max_ease_items).fit(log.past).score
    channels: dict[str, ScoreFunction] = {
        DENSE: lambda queries: served.query_vectors(queries, users_of(queries)) @ item_vectors.T
    }
    if served.channel_names:
        channels |= _channels_alone(served, users_of, log.test_start)
    baselines, channels = (
        {name: without_disliked(score, log.disliked) for name, score in systems.items()}
        for systems in (baselines, channels)
    )
    listed = {name: as_listed(score) for name, score in (channels | baselines).items()}
    models = {OURS: served} | ({BLESSED: last} if last else {})

    def evaluate(systems: dict[str, ScoreFunction]) -> Evaluation:
        return evaluate_recommendation(
            past=log.past,
            histories=log.histories,
            future=log.future,
            systems=systems,
            item_vectors=data.items.text_vectors,
            user_groups=log.groups,
            chunk_size=_CHUNK,
            seed=_BOOTSTRAP_SEED,
        )

    # A caller who wants discovery says so in the request; one who wants a reorder page does not.
    diverse = {
        diverse_row(share): answers(served, exclude_seen=True, diversity=share) for share in _DIVERSITIES
    }
    novel = evaluate({name: answers(model, exclude_seen=True) for name, model in models.items()} | diverse)
    repeats = evaluate({name: answers(model, exclude_seen=False) for name, model in models.items()})
    others = evaluate(listed)
    ours = {name: answers(model, exclude_seen=True) for name, model in models.items()}
    cold = evaluate_cold_start(
        past=log.past,
        histories=log.histories,
        future=log.future,
        systems=ours | listed,
        chunk_size=_CHUNK,
        seed=_BOOTSTRAP_SEED,
    )
    merged = Evaluation(
        rows=(
            *(row for row in novel.rows if row.task == NOVEL),
            *(row for row in repeats.rows if row.task == ALL),
            *others.rows,
            *cold,
            *filter(None, [evaluate_reasons(log, served, seed=_BOOTSTRAP_SEED)]),
        ),
        values={key: v for key, v in novel.values.items() if key[1] == NOVEL}
        | {key: v for key, v in repeats.values.items() if key[1] == ALL}
        | dict(others.values),
        units=others.units,
    )
    return merged, {OURS: answers(served, exclude_seen=True), **baselines}


def _channels_alone(
    served: ServedModel, users_of: Callable[[Queries], list[str]], now: int
) -> dict[str, ScoreFunction]:
    """Each channel that answers without a query; the systems are asked in turn for the same queries."""
    last: list[tuple[Queries, dict[str, Array]]] = []

    def scores_of(name: str) -> ScoreFunction:
        def score(queries: Queries) -> Array:
            if not last or last[0][0] is not queries:
                last[:] = [(queries, served.channel_scores(queries, users_of(queries), now))]
            return last[0][1][name]

        return score

    return {channel_row(name): scores_of(name) for name in served.channel_names}


def _search(
    data: EvaluationData,
    judged: Judged,
    served: ServedModel,
    last: ServedModel | None,
    encoder: Encoder,
) -> tuple[Evaluation, dict[str, ScoreFunction]]:
    num_items = len(data.items.ids)

    def answers(model: ServedModel, *, spell: bool = True) -> ScoreFunction:
        return lambda queries: model.search(list(queries.texts), spell=spell).as_scores(num_items)

    index = LexicalIndex(data.items.columns, data.items.language)
    bm25 = _remembered(lambda queries: index.bm25(queries.texts))
    zero_shot = _remembered(_zero_shot(encoder, data.items.text_vectors))
    listed = {BM25: bm25, ZERO_SHOT: zero_shot, SUM_OF_BOTH: sum_of_shares(bm25, zero_shot)}
    systems = {OURS: answers(served), AS_TYPED: answers(served, spell=False)}
    systems |= {BLESSED: answers(last)} if last else {}
    systems |= {name: as_listed(score) for name, score in listed.items()}
    evaluation = evaluate_search(
        queries=judged.queries,
        gains=judged.gains,
        systems=systems,
        mistyped=[with_one_error(judged.queries, seed=seed) for seed in range(_NUM_DRAWS)],
        seed=_BOOTSTRAP_SEED,
    )
    reasons = filter(None, [evaluate_matches(judged, served, seed=_BOOTSTRAP_SEED)])
    evaluation = dataclasses.replace(evaluation, rows=(*evaluation.rows, *reasons))
    return evaluation, {OURS: answers(served), **listed}


def sum_of_shares(*systems: ScoreFunction) -> ScoreFunction:
    """The sum over systems of the scores, each divided by its maximum for the query."""

    def score(queries: Queries) -> Array:
        parts = [system(queries) for system in systems]
        shares = [part / np.maximum(part.max(axis=1, keepdims=True), 1e-9) for part in parts]
        total: Array = np.sum(shares, axis=0)
        return total

    return score


def _remembered(score: ScoreFunction) -> ScoreFunction:
    """A score function that several systems are made of: what it said of a text is kept."""
    said: dict[str, Array] = {}

    def remembered(queries: Queries) -> Array:
        new = [text for text in dict.fromkeys(queries.texts) if text not in said]
        if new:
            said.update(zip(new, score(Queries.of_texts(new, queries.num_items)), strict=True))
        return np.stack([said[text] for text in queries.texts])

    return remembered


def _zero_shot(baseline: Encoder, text_vectors: Array) -> ScoreFunction:
    """Cosine of query and item text by the encoder as it came."""
    from models.encoding import encode_tokens
    from models.text_encoder import TextEncoder
    from models.tokenizer import Tokenizer

    tokenizer = Tokenizer.from_pretrained(baseline.name)
    encoder = TextEncoder.from_pretrained(baseline.name, pooling=baseline.pooling)

    def score(queries: Queries) -> Array:
        tokens = tokenizer.queries(tf.constant(list(queries.texts)), length=baseline.max_query_tokens)
        return encode_tokens(encoder, tokens.numpy()) @ text_vectors.T

    return score
