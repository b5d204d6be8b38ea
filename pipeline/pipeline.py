"""The pipeline, top to bottom as in the diagram of the README."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import Channel, standard_artifacts
from tfx.utils import io_utils

from components.curated_schema import CuratedSchema
from components.example_validator import ExampleValidator
from components.index_builder import IndexBuilder
from components.interaction_builder.component import InteractionBuilder
from components.last_served import PushedModel
from components.latest_blessed import BlessedTrainedOnOther, LatestOtherBlessedModel
from components.model_gate import ModelGate
from components.pusher import Pusher
from components.retrieval_evaluator.component import RetrievalEvaluator
from components.serving_validator import ServingValidator
from components.table_example_gen.component import TableExampleGen
from components.text_embedder.component import TextEmbedder
from components.trainer import Trainer
from dataset import features
from dataset.errors import DataError
from dataset.manifest import TABLES, Manifest
from models.preprocessing import interaction_settings, item_settings
from models.training import Settings
from pipeline.config import Config
from pipeline.drift import drift_nodes, is_compared, skew_nodes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Locations:
    """Where a pipeline keeps its things; local paths or any filesystem TFX opens.

    All but `root` and `schemas` are only needed when the pipeline runs and may be runtime parameters.

    Attributes:
        root: Artifacts.
        data: The dataset's folder.
        serving: The folder that holds one folder a model, which TF Serving watches.
        cache: Text vectors, kept from run to run.
        schemas: The dataset's folder of curated schemas, ``NAME.pbtxt``; those win over inferred ones.
        forgotten: The SHA-256 of the ids of users whom what is served must not know.
    """

    root: str
    data: str | RuntimeParameter
    serving: str | RuntimeParameter
    cache: str | RuntimeParameter
    schemas: str
    forgotten: tuple[str, ...] = ()


def create_pipeline(
    manifest: Manifest,
    config: Config,
    *,
    locations: Locations,
    has_metadata: bool = True,
    replaces: int | None = None,
    pushes: bool = True,
    metadata_connection_config: Any = None,
) -> tfx.dsl.Pipeline:
    """Builds the pipeline of a dataset.

    Args:
        manifest: The dataset.
        config: Everything else.
        locations: Where to put what.
        has_metadata: Whether the orchestrator can look up the last blessed model in ML Metadata; if not, the
            model that is served now stands in for it.
        replaces: The version that is served now, where it is known when the pipeline is built.
        pushes: Whether a blessed model is pushed. A model that is only measured is not held against the last
            blessed one either.
        metadata_connection_config: Of ML Metadata; None where the orchestrator brings its own.
    """
    # What a node is given is part of its cache key: it gets what it reads, and runs again when that changes.
    dataset, model, train, serve = manifest.to_json(), config.model, config.train, config.serve
    evaluation = config.evaluation

    # Every table: read, measured, compared with its schema.
    tables = [name for name in TABLES if getattr(manifest, name) is not None]
    raw: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    nodes: list[Any] = []
    for name in tables:
        max_drift = evaluation.max_drift if has_metadata else None
        raw[name], schemas[name], table_nodes = read_table(manifest, name, locations, max_drift=max_drift)
        nodes += table_nodes
    validators = [node for node in nodes if isinstance(node, ExampleValidator)]

    # Items: tokenised, then encoded once each.
    item_transform = tfx.components.Transform(
        examples=raw["items"],
        schema=schemas["items"],
        preprocessing_fn="models.preprocessing.preprocess_items",
        splits_config=tfx.proto.SplitsConfig(analyze=[features.ALL], transform=[features.ALL]),
        custom_config=item_settings(manifest.items, model),
        # The tables have been measured; nothing reads the statistics of what a Transform reads and writes.
        disable_statistics=True,
    ).with_id("Transform.items")
    embedder = TextEmbedder(
        examples=item_transform.outputs["transformed_examples"],
        transform_graph=item_transform.outputs["transform_graph"],
        encoder=model.encoder,
        pooling=model.pooling,
        cache_dir=locations.cache,
    )

    # Events, users and judgments: joined, split, the newest window compared with training, tokenised.
    builder = InteractionBuilder(raw, manifest=dataset, max_history=model.max_history)
    for gate in (item_transform, builder):
        gate.add_upstream_nodes(validators)
    splits = (features.EVENT_SPLITS if manifest.events else ()) + (
        features.JUDGMENT_SPLITS if manifest.judgments else ()
    )
    skew: list[Any] = []
    if manifest.events is not None:
        skew = skew_nodes(manifest, builder.outputs["examples"], splits, evaluation.max_drift)
    # Vocabularies and scales come from the training splits alone.
    analyse = [features.TRAIN] * bool(manifest.events) + [features.JUDGED_TRAIN] * bool(manifest.judgments)
    transform = tfx.components.Transform(
        examples=builder.outputs["examples"],
        schema=builder.outputs["schema"],
        preprocessing_fn="models.preprocessing.preprocess_interactions",
        splits_config=tfx.proto.SplitsConfig(analyze=analyse, transform=list(splits)),
        custom_config=interaction_settings(manifest, model),
        disable_statistics=True,
    ).with_id("Transform.interactions")

    # MlmPretrainer's place is here: it would hand the Trainer, the TextEmbedder and the servable an encoder
    # adapted to the catalogue's text. Tuner's is beside it: it would hand the Trainer its best settings.
    base_model = _base_model(transform, has_metadata) if train.warm_start else None
    trainer = Trainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        splits=analyse,
        custom_config=Settings(manifest=manifest, model=model, train=train).custom_config(),
        base_model=base_model.outputs["model"] if base_model else None,
        further={
            "item_examples": item_transform.outputs["transformed_examples"],
            "item_transform_graph": item_transform.outputs["transform_graph"],
            "text_embeddings": embedder.outputs["embeddings"],
            "summary": builder.outputs["summary"],
            **({"events": raw["events"]} if manifest.events else {}),
        },
    )
    index = IndexBuilder(
        model=trainer.outputs["model"],
        raw_items=raw["items"],
        item_examples=item_transform.outputs["transformed_examples"],
        item_transform_graph=item_transform.outputs["transform_graph"],
        text_embeddings=embedder.outputs["embeddings"],
        interactions=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        manifest=dataset,
        num_candidates=serve.num_candidates,
        max_users=serve.max_users,
        exploration_share=serve.exploration_share,
        query_encoder=serve.query_encoder,
        max_quality_loss=serve.max_quality_loss,
        index=serve.index,
        min_index_recall=serve.min_index_recall,
        forgotten=json.dumps(locations.forgotten),
        **({"events": raw["events"]} if manifest.events else {}),
    )

    # Measured beside baselines and the last blessed model; two gates, the second behind a real server.
    servable = index.outputs["servable"]
    blessed: Any = None
    if pushes and has_metadata:
        blessed = tfx.dsl.Resolver(
            strategy_class=LatestOtherBlessedModel,
            current=servable,
            model=Channel(type=standard_artifacts.Model),
            model_blessing=Channel(type=standard_artifacts.ModelBlessing),
        ).with_id("Resolver.latest_blessed")
    elif pushes:
        blessed = PushedModel(destination=locations.serving)
    baseline = {"baseline_model": blessed.outputs["model"]} if blessed else {}
    retrieval_evaluator = RetrievalEvaluator(
        {
            "model": servable,
            **baseline,
            **{name: raw[name] for name in ("items", "users", "events") if name in raw},
            "interactions": builder.outputs["examples"],
            "summary": builder.outputs["summary"],
            "text_embeddings": embedder.outputs["embeddings"],
        },
        manifest=dataset,
        encoder=model.encoder,
        pooling=model.pooling,
        max_query_tokens=model.max_query_tokens,
        max_ease_items=evaluation.max_ease_items,
        learns_from_judgments=model.trainable != "frozen",
    )
    evaluator = tfx.components.Evaluator(
        examples=retrieval_evaluator.outputs["candidates"],
        example_splits=[features.ALL],
        eval_config=_ranking_metrics(),
    )
    model_gate = ModelGate(
        evaluation=retrieval_evaluator.outputs["evaluation"],
        model=servable,
        task=evaluation.task,
        min_ratio_to_best_baseline=evaluation.min_ratio_to_best_baseline,
        min_cold_ratio=evaluation.min_cold_ratio,
        min_ratio_to_zero_shot=evaluation.min_ratio_to_zero_shot,
        max_loss_to_blessed=evaluation.max_loss_to_blessed,
        allow_unmeasured=evaluation.allow_unmeasured,
        **baseline,
        **({"events": raw["events"]} if manifest.events else {}),
    )
    serving_validator = ServingValidator(
        model=servable,
        max_latency_ms=serve.max_latency_ms,
        tf_serving_version=serve.tf_serving_version,
    )
    pusher = None
    if pushes:
        pusher = Pusher(
            model=servable,
            model_blessing=model_gate.outputs["blessing"],
            infra_blessing=serving_validator.outputs["blessing"],
            destination=locations.serving,
            replaces=replaces,
        )
    nodes += [item_transform, embedder, builder, *skew, transform, base_model, trainer]
    nodes += [index, blessed, retrieval_evaluator, evaluator, model_gate, serving_validator, pusher]
    return tfx.dsl.Pipeline(
        pipeline_name=manifest.name,
        pipeline_root=locations.root,
        components=[node for node in nodes if node is not None],
        enable_cache=True,
        metadata_connection_config=metadata_connection_config,
        beam_pipeline_args=config.beam.args(),
    )


def read_table(
    manifest: Manifest, name: str, locations: Locations, *, max_drift: float | None = None
) -> tuple[Any, Any, list[Any]]:
    """A table read, measured, and compared with its schema and with its last span.

    Args:
        manifest: The dataset.
        name: The table.
        locations: Where it is, and its schema.
        max_drift: Distance from the last span above which a column is named; ``None`` to leave that out.

    Returns:
        The channels of its examples and its schema, and the nodes.
    """
    example_gen = TableExampleGen(manifest, table=name, folder=locations.data)
    example_gen = example_gen.with_id(f"ExampleGen.{name}")
    statistics = tfx.components.StatisticsGen(examples=example_gen.outputs["examples"]).with_id(
        f"StatisticsGen.{name}"
    )
    schema = _schema(name, statistics, locations)
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    ).with_id(f"ExampleValidator.{name}")
    nodes = [example_gen, statistics, schema, validator]
    if max_drift is not None and is_compared(manifest, name):
        nodes += drift_nodes(manifest, name, statistics, max_drift)
    return example_gen.outputs["examples"], schema.outputs["schema"], nodes


def _base_model(transform: Any, has_metadata: bool) -> Any:
    """Finds the model to begin from."""
    if not has_metadata:
        raise DataError(
            "train.warm_start must be false on an orchestrator without ML Metadata. Got true; the last "
            "model's weights cannot be looked up there."
        )
    return tfx.dsl.Resolver(
        strategy_class=BlessedTrainedOnOther,
        examples=transform.outputs["transformed_examples"],
        model=Channel(type=standard_artifacts.Model),
        model_blessing=Channel(type=standard_artifacts.ModelBlessing),
    ).with_id("Resolver.warm_start")


def _schema(table: str, statistics: Any, locations: Locations) -> Any:
    """The dataset's own schema of a table if there is one, else what the statistics say."""
    curated = os.path.join(locations.schemas, f"{table}.pbtxt")
    if tfx.dsl.io.fileio.exists(curated):
        return CuratedSchema(text=io_utils.read_string_file(curated)).with_id(f"SchemaGen.{table}")
    return tfx.components.SchemaGen(
        statistics=statistics.outputs["statistics"], infer_feature_shape=False
    ).with_id(f"SchemaGen.{table}")


def _ranking_metrics() -> tfma.EvalConfig:
    """How good the ranker's probabilities are over the candidates it really ranks, by head and by slice."""
    names = ("AUC", "Calibration", "MeanLabel", "MeanPrediction", "ExampleCount", "BinaryCrossEntropy")
    slices = [["head"], ["head", "item_popularity"], ["head", "is_repeat"], ["head", "is_cold_user"]]
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(label_key="label", prediction_key="prediction")],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[tfma.MetricConfig(class_name=name) for name in names]
                + [tfma.MetricConfig(class_name="CalibrationPlot", config='"num_buckets": 10')]
            )
        ],
        slicing_specs=[tfma.SlicingSpec(), *(tfma.SlicingSpec(feature_keys=keys) for keys in slices)],
    )
