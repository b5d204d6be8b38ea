"""Drift and skew, by TFX's DistributionValidator.

Drift is how far the columns of a table have moved since its last span; skew, how far what a model is asked
now is from what it was fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, path_pb2, schema_pb2
from tfx import v1 as tfx
from tfx.dsl.io import fileio
from tfx.proto import distribution_validator_pb2
from tfx.types import Channel, standard_artifacts

from components.drift_validator import DriftValidator
from components.last_span import LastSpan
from dataset import features
from dataset.manifest import Manifest
from dataset.span_paths import has_spans
from pipeline.report.report import Drift

# Items are rows of the catalogue in an interaction: numbers, and yet ids.
_ROWS = (features.TARGET_ROWS, features.HISTORY_ROWS)


def drift_nodes(manifest: Manifest, table: str, statistics: Any, max_drift: float) -> list[Any]:
    """Compares the statistics of a table with those of its last span; stops nothing.

    Args:
        manifest: The dataset.
        table: One that comes in spans.
        statistics: Its StatisticsGen.
        max_drift: Distance above which a column is named.
    """
    last = tfx.dsl.Resolver(
        strategy_class=LastSpan,
        current=statistics.outputs["statistics"],
        statistics=Channel(type=standard_artifacts.ExampleStatistics),
    ).with_id(f"Resolver.last_span.{table}")
    validator = DriftValidator(
        statistics=statistics.outputs["statistics"],
        baseline_statistics=last.outputs["statistics"],
        config=_comparators(*compared_columns(manifest, table), max_drift),
    ).with_id(f"DriftValidator.{table}")
    return [last, validator]


def skew_nodes(manifest: Manifest, interactions: Any, splits: Sequence[str], max_drift: float) -> list[Any]:
    """Compares what the model is asked in the newest window with what it is fitted on; stops nothing.

    No log of requests holds what was in them, so the contexts of the test window stand for serving. They are
    compared as InteractionBuilder writes them: from there on training and serving share one graph.

    Args:
        manifest: A dataset with events.
        interactions: InteractionBuilder's examples.
        splits: Theirs.
        max_drift: Distance above which a column is named.
    """
    categories, numbers = _compared_features(manifest)
    schema = schema_pb2.Schema()
    for name in _ROWS:
        schema.feature.add(name=name, type=schema_pb2.INT).int_domain.is_categorical = True
    statistics = tfx.components.StatisticsGen(
        examples=interactions,
        stats_options=tfdv.StatsOptions(schema=schema, feature_allowlist=[*categories, *numbers]),
        exclude_splits=[split for split in splits if split not in (features.TRAIN, features.TEST)],
    ).with_id("StatisticsGen.interactions")
    validator = DriftValidator(
        statistics=statistics.outputs["statistics"],
        baseline_statistics=statistics.outputs["statistics"],
        config=_comparators(categories, numbers, max_drift),
        split_pairs=[(features.TEST, features.TRAIN)],
    ).with_id("SkewValidator.interactions")
    return [statistics, validator]


def is_compared(manifest: Manifest, table: str) -> bool:
    """Whether a table comes in spans and has a column to compare."""
    described = getattr(manifest, table)
    return bool(described and has_spans(described.path) and any(compared_columns(manifest, table)))


def compared_columns(manifest: Manifest, table: str) -> tuple[list[str], list[str]]:
    """The columns whose distribution means something: categories and ids that repeat, and numbers."""
    described = getattr(manifest, table)
    if table == "events":
        has_value = bool(described.value)
        return [features.USER_ID, features.ITEM_ID, features.KIND], [features.VALUE] * has_value
    return list(described.categorical), list(described.numeric)


def _compared_features(manifest: Manifest) -> tuple[list[str], list[str]]:
    """Of an interaction, likewise; time, which always moves on, and what the log does not have are not."""
    events, users = manifest.events, manifest.users
    categories = [features.USER_ID, features.KIND, *_ROWS]
    categories += [features.QUERY] * bool(events and events.query)
    numbers = [features.HISTORY_COUNTS] + [features.VALUE] * bool(events and events.value)
    if users is not None:
        categories += [features.user_feature(column) for column in users.categorical]
        numbers += [features.user_feature(column) for column in users.numeric]
    return categories, numbers


def _comparators(
    categories: list[str], numbers: list[str], max_drift: float
) -> distribution_validator_pb2.DistributionValidatorConfig:
    config = distribution_validator_pb2.DistributionValidatorConfig()
    for name in (*categories, *numbers):
        comparator = schema_pb2.FeatureComparator()
        if name in categories:
            comparator.infinity_norm.threshold = max_drift
        else:
            comparator.jensen_shannon_divergence.threshold = max_drift
        config.default_slice_config.feature.add(
            path=path_pb2.Path(step=[name]), distribution_comparator=comparator
        )
    return config


def read_drift(table: str, folder: str) -> tuple[Drift, ...]:
    """What DriftValidator wrote of its one pair of splits; nothing where there was no earlier span."""
    anomalies = anomalies_pb2.Anomalies()
    for path in fileio.glob(f"{folder}/SplitPair-*/SchemaDiff.pb"):
        with fileio.open(path, "rb") as file:
            anomalies.MergeFromString(file.read())
    return tuple(
        Drift(
            table=table,
            column=".".join(info.path.step),
            is_categorical=measured.type == anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY,
            distance=float(measured.value),
            limit=float(measured.threshold),
        )
        for info in anomalies.drift_skew_info
        for measured in info.drift_measurements
    )
