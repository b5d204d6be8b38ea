"""Drift: how far the columns of a table have moved since its last span, by TFX's DistributionValidator."""

from __future__ import annotations

from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2, path_pb2, schema_pb2
from tfx import v1 as tfx
from tfx.dsl.io import fileio
from tfx.proto import distribution_validator_pb2
from tfx.types import Channel, standard_artifacts

from components.drift_validator import DriftValidator
from components.last_span import LastSpan
from pipeline import features
from pipeline.manifest import Manifest
from pipeline.report.data import Drift
from pipeline.spans import has_spans

_PAIR = f"SplitPair-{features.ALL}_{features.ALL}"


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
        config=_comparators(manifest, table, max_drift),
    ).with_id(f"DriftValidator.{table}")
    return [last, validator]


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


def _comparators(
    manifest: Manifest, table: str, max_drift: float
) -> distribution_validator_pb2.DistributionValidatorConfig:
    categories, numbers = compared_columns(manifest, table)
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
    """What DriftValidator wrote; nothing where there was no earlier span."""
    path = f"{folder}/{_PAIR}/SchemaDiff.pb"
    if not fileio.exists(path):
        return ()
    with fileio.open(path, "rb") as file:
        anomalies = anomalies_pb2.Anomalies.FromString(file.read())
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
