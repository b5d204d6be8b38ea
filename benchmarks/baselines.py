"""The benchmark of every baseline on data sets: ``python -m benchmarks.baselines FOLDER...``.

Recommendation baselines are fitted on all events before the test window and measured on that window. Search
baselines are fitted on the catalogue only, so they are measured on all queries.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.dataset import Dataset, Events, Judgments, load_dataset
from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.baselines.ease import Ease
from components.retrieval_evaluator.baselines.item_knn import ItemKnn
from components.retrieval_evaluator.baselines.popular import RecentPopularity
from components.retrieval_evaluator.baselines.repeat import Repeat
from components.retrieval_evaluator.evaluation import Array, Evaluation, ScoreFunction, as_listed
from components.retrieval_evaluator.names import ALL, NOVEL, SEARCH
from components.retrieval_evaluator.recommendation import evaluate_recommendation
from components.retrieval_evaluator.search import evaluate_search
from dataset.errors import DataError

_COLUMNS = {
    SEARCH: ("ndcg@10", "recall@100", "mrr"),
    NOVEL: ("recall@20", "ndcg@10", "mrr", "coverage@20", "novelty@20"),
    ALL: ("recall@20", "ndcg@10", "mrr", "coverage@20", "novelty@20"),
}


def recommendation_baselines(events: Events) -> Evaluation:
    """Measures popularity, item-kNN, EASE and own purchase count on the test window, fitted before it."""
    past = events.interactions.between(None, events.test_start)
    popular = RecentPopularity().fit(past, now=events.test_start)
    systems = {
        "popular": popular.score,
        "item_knn": ItemKnn().fit(past).score,
        "ease": Ease().fit(past).score,
        "repeat": Repeat().fit(popular.item_scores).score,
    }
    future = events.interactions.between(events.test_start, None)
    return evaluate_recommendation(
        past=past, future=future, systems={name: as_listed(score) for name, score in systems.items()}
    )


def search_baselines(
    judgments: Judgments, columns: dict[str, list[str]], language: str, *, encoder: str | None = None
) -> Evaluation:
    """Measures BM25 on the first text column, and on all columns with the first one four times.

    With an encoder, it also measures the encoder's cosine on the first column and two fusions of it with
    BM25.
    """
    # TensorFlow takes seconds to import, and the other baselines do not need it.
    from models.lexical.index import LexicalIndex

    name, first = next(iter(columns.items()))
    of_first, of_all = LexicalIndex({name: first}, language), LexicalIndex(columns, language)

    def lexical(queries: Queries) -> Array:
        return of_all.bm25(queries.texts)

    systems: dict[str, ScoreFunction] = {
        "lexical, first column": lambda queries: of_first.bm25(queries.texts),
        "lexical": lexical,
    }
    if encoder is not None:
        from benchmarks.zero_shot import ZeroShot, reciprocal_rank_fusion
        from components.retrieval_evaluator.systems import sum_of_shares

        dense = ZeroShot(encoder, first).score
        systems |= {
            encoder: dense,
            f"lexical, {encoder}: RRF": reciprocal_rank_fusion(lexical, dense),
            f"lexical, {encoder}: sum": sum_of_shares(lexical, dense),
        }
    listed = {name: as_listed(score) for name, score in systems.items()}
    return evaluate_search(queries=judgments.queries, gains=judgments.gains, systems=listed)


def measure(dataset: Dataset, *, encoder: str | None = None) -> dict[str, Evaluation]:
    """Measures every baseline that the dataset has data for, by task."""
    measured = {}
    if dataset.events is not None:
        measured[NOVEL] = measured[ALL] = recommendation_baselines(dataset.events)
    if dataset.judgments is not None:
        measured[SEARCH] = search_baselines(
            dataset.judgments, dataset.columns, dataset.language, encoder=encoder
        )
    return measured


def print_table(evaluation: Evaluation, task: str) -> None:
    """Prints one task's systems as an aligned table, with 95 % intervals."""
    rows = [row for row in evaluation.rows if row.task == task and not row.slice]
    print(f"\n{task}, {len(evaluation.units[task]):,} {'queries' if task == SEARCH else 'users'}")
    print(f"{'':26}" + "".join(f"{metric:>22}" for metric in _COLUMNS[task]))
    for system in dict.fromkeys(row.system for row in rows):
        cells = {row.metric: row for row in rows if row.system == system}
        line = f"{system:26}"
        for metric in _COLUMNS[task]:
            row = cells[metric]
            interval = "" if row.low is None else f" [{row.low:.3f}, {row.high:.3f}]"
            line += f"{f'{row.value:.3f}{interval}':>22}"
        print(line)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.baselines", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a data set")
    parser.add_argument("--encoder", help="also measure this encoder without training, such as minilm")
    options = parser.parse_args(arguments)
    for folder in options.folders:
        started = time.monotonic()
        try:
            dataset = load_dataset(folder)
        except DataError as error:
            print(error, file=sys.stderr)
            return 2
        measured = measure(dataset, encoder=options.encoder)
        print(f"\n# {dataset.name} ({time.monotonic() - started:.0f} s)")
        for task, evaluation in measured.items():
            print_table(evaluation, task)
    return 0


if __name__ == "__main__":
    sys.exit(main())
