"""The benchmark of training: ``python -m benchmarks.training [FOLDER...] [--events N...]``.

It runs the pipeline up to the Trainer on data sets, or on made logs of a grocer with so many events, and
prints what the Trainer cost and how well its two parts rank the test window. The test split chooses nothing.
A second run with other ``train`` settings runs the Trainer alone. Its stages are in its log.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)

import numpy as np

from benchmarks.dataset import find_manifest
from benchmarks.grocery import write_grocer
from benchmarks.machine import machine
from components.retrieval_evaluator.baselines.base import Interactions, Queries
from components.retrieval_evaluator.baselines.popular import RecentPopularity
from components.retrieval_evaluator.baselines.repeat import Repeat
from components.retrieval_evaluator.evaluation import ScoreFunction, as_listed
from components.retrieval_evaluator.names import ALL, NOVEL
from components.retrieval_evaluator.recommendation import evaluate_recommendation
from dataset import features
from dataset.errors import DataError
from dataset.manifest import Manifest
from pipeline.config import Config, load_config

_TRAINER = "Trainer"
_NUM_UNSEEN = 200
_OURS, _OWN = "recommender", "own"
_CHUNK = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """A training, and what became of it.

    Attributes:
        num_events: Positive events of known items.
        minutes: Wall time of the Trainer.
        cpu_minutes: Its processor time.
        peak_gb: The largest resident memory of the process, in 1e9 bytes.
        towers: nDCG@10 of the towers on new items of the test window.
        novel: The same of the recommender.
        repeats: nDCG@10 of the recommender on all items of the test window.
        own: The same of a user's own counts, the baseline.
        cuts: What was left out for lack of time.
    """

    num_events: int
    minutes: float
    cpu_minutes: float
    peak_gb: float
    towers: float
    novel: float
    repeats: float
    own: float
    cuts: tuple[str, ...]


def train(manifest: Manifest, config: Config, workdir: Path) -> Result:
    """Runs the nodes up to the Trainer that have not run yet, and measures what it trained."""
    from tfx import v1 as tfx

    from pipeline.local import DURATIONS_FILE, METADATA_FILE, held, locations_in, logged_to
    from pipeline.nodes import run_nodes
    from pipeline.pipeline import create_pipeline

    metadata = workdir / METADATA_FILE
    with held(workdir), logged_to(workdir):
        connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(metadata))
        whole = create_pipeline(
            manifest,
            config,
            locations=locations_in(workdir, manifest),
            metadata_connection_config=connection,
        )
        pipeline = tfx.dsl.Pipeline(
            pipeline_name=whole.pipeline_info.pipeline_name,
            pipeline_root=whole.pipeline_info.pipeline_root,
            components=_up_to(_TRAINER, whole.components),
            enable_cache=True,
            metadata_connection_config=connection,
        )
        monitor = _cpu_monitor(len(pipeline.components), workdir / DURATIONS_FILE)
        run_nodes(pipeline, monitor)
        [cost] = [cost for cost in monitor.costs if cost.node == _TRAINER]
        return _measured(manifest, config, metadata, cost, monitor.cpu_s)


def _cpu_monitor(num_nodes: int, previous: Path) -> Any:
    from pipeline.nodes import NodeMonitor

    class Monitor(NodeMonitor):
        """Notes the processor time of the last node too, which is the Trainer."""

        def begin(self, node: str) -> None:
            self._begun_s = time.process_time()
            super().begin(node)

        def end(self) -> None:
            super().end()
            self.cpu_s = time.process_time() - self._begun_s

    return Monitor(num_nodes=num_nodes, previous=previous)


def _up_to(name: str, nodes: list[Any]) -> list[Any]:
    """The node of that name and those it waits for, in their order."""
    wanted = {name}
    for node in reversed(nodes):
        if node.id in wanted:
            wanted |= {before.id for before in node.upstream_nodes}
    kept = [node for node in nodes if node.id in wanted]
    for node in kept:
        for after in [after for after in node.downstream_nodes if after.id not in wanted]:
            node.remove_downstream_node(after)
    return kept


def _measured(manifest: Manifest, config: Config, metadata: Path, cost: Any, cpu_s: float) -> Result:
    from models.event_log import read_event_log
    from models.interaction_summary import Summary
    from models.interactions import InteractionSource
    from models.item_table import load_item_table, load_text_vectors
    from models.phases import with_targets
    from models.text_encoder import TextEncoder
    from models.trained import TrainedModel, encoder_settings
    from models.training import CURVES_FILE
    from models.validation import mean_measure, novel_ndcg
    from pipeline.run_results import Artifacts

    artifacts = Artifacts(metadata)
    every = f"Split-{features.ALL}"
    item_examples = artifacts.newest("Examples", node="Transform.items") / every / "*"
    items = load_item_table(
        manifest.items,
        examples_pattern=str(item_examples),
        transform_graph=str(artifacts.newest("TransformGraph", node="Transform.items")),
        text_vectors=load_text_vectors(str(artifacts.newest("components.TextEmbeddings"))),
    )
    trained = TrainedModel.load(str(artifacts.newest("Model", node=_TRAINER) / "Format-Serving"), items)
    encoder = TextEncoder.from_pretrained(config.model.encoder, **encoder_settings(config.model))
    source = InteractionSource(
        str(artifacts.newest("Examples", node="Transform.interactions")),
        transform_graph=str(artifacts.newest("TransformGraph", node="Transform.interactions")),
        manifest=manifest,
        model=config.model,
        encoder=encoder if config.model.trainable == "frozen" else None,
    )
    contexts = with_targets(source.load(features.USERS_AT_TEST), of_new=True)
    assert manifest.events is not None
    events = artifacts.newest("Examples", node="ExampleGen.events") / every / "*"
    log, _ = read_event_log(str(events), manifest.events, items.ids)
    _, start = Summary.load(str(artifacts.newest("components.InteractionSummary"))).starts
    ranked = _ranked(trained.recommender, log, start, items.text_vectors)
    told = json.loads((artifacts.newest("ModelRun") / CURVES_FILE).read_text())
    return Result(
        num_events=len(log),
        minutes=cost.wall_time_s / 60,
        cpu_minutes=cpu_s / 60,
        peak_gb=(cost.peak_memory_mb or 0) / 1000,
        towers=mean_measure(trained.two_tower, contexts, len(items), novel_ndcg),
        novel=ranked[_OURS, NOVEL],
        repeats=ranked[_OURS, ALL],
        own=ranked[_OWN, ALL],
        cuts=tuple(told["cuts"]),
    )


def _ranked(recommender: Any, log: Any, start: int, text_vectors: np.ndarray) -> dict[tuple[str, str], float]:
    """nDCG@10 of the test window by system and task."""
    every = Interactions(
        user_rows=log.user_rows,
        item_rows=log.item_rows,
        times=log.times,
        num_users=log.num_users,
        num_items=log.num_items,
    )
    past = every.between(None, start)
    systems: dict[str, ScoreFunction] = {
        _OWN: as_listed(Repeat().fit(RecentPopularity().fit(past, now=start).item_scores).score)
    }
    if recommender is not None:
        systems[_OURS] = _scores_of(recommender, log.between(None, start), start, text_vectors)
    evaluation = evaluate_recommendation(
        past=past, future=every.between(start, None), systems=systems, chunk_size=_CHUNK
    )
    found = {
        (row.system, row.task): row.value
        for row in evaluation.rows
        if row.metric == "ndcg@10" and not row.slice
    }
    return {(s, t): found.get((s, t), math.nan) for s in (_OURS, _OWN) for t in (NOVEL, ALL)}


def _scores_of(recommender: Any, past: Any, now: int, text_vectors: np.ndarray) -> ScoreFunction:
    """The recommender's order of its candidates; what it does not name has no score."""
    import tensorflow as tf

    from models.channels.event_store import EventStore, history_at
    from models.event_log import places_of
    from models.list_ranker import LOGIT

    tables = recommender.tables
    channels, store = recommender.channels(text_vectors), EventStore(past, np.arange(past.num_users))
    is_known = np.bincount(past.item_rows, minlength=past.num_items) > 0

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)] * 2, autograph=False)
    def asked(users: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, ...]:
        moment = tf.fill(tf.shape(users), np.int64(now))
        found = channels.candidates(
            history_at(*store(users), moment, tables.horizon),
            positions,
            tf.constant(is_known[None]),
            num_unseen=tf.fill(tf.shape(users), _NUM_UNSEEN),
        )
        return found.rows, found.is_valid, recommender.ranker(found.features)[LOGIT]

    def score(queries: Queries) -> np.ndarray:
        users = queries.user_rows.astype(np.int32)
        positions = places_of(users, tables.neighbours.user_rows).astype(np.int32)
        rows, is_valid, logits = (values.numpy() for values in asked(users, positions))
        scores = np.full((len(users), past.num_items), -np.inf, np.float32)
        lines, places = np.nonzero(is_valid)
        scores[lines, rows[lines, places]] = logits[lines, places]
        return scores

    return score


def _print(name: str, result: Result) -> None:
    print(
        f"| {name} | {result.num_events:,} | {result.minutes:.1f} | {result.cpu_minutes:.1f} "
        f"| {result.peak_gb:.1f} | {result.towers:.3f} | {result.novel:.3f} | {result.repeats:.3f} "
        f"| {result.own:.3f} |",
        flush=True,
    )
    for cut in result.cuts:
        print(f"  {cut}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="a data set with events")
    parser.add_argument("--events", nargs="*", type=int, default=[], help="sizes of made logs")
    parser.add_argument("--workdir", type=Path, default=Path("runs/benchmarks/training"))
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as for tandem run"
    )
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    workdir = options.workdir.resolve()
    try:
        config = load_config(None, options.set)
        manifests = [find_manifest(folder) for folder in options.folders]
        manifests += [write_grocer(workdir / "data" / f"grocer-{n}", n) for n in options.events]
        results = {m.name: train(m, config, workdir / m.name) for m in manifests}
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"\n{machine()}. {' '.join(options.set) or 'The default settings'}.\n")
    print(
        "| log | events | Trainer, minutes | CPU minutes | peak GB | towers, novel nDCG@10 "
        "| recommender, novel | recommender, all | own counts, all |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, result in results.items():
        _print(name, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
