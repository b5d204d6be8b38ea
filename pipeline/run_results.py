"""The results of a finished run, gathered from its nodes for the report."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
import tensorflow_model_analysis as tfma
from ml_metadata.proto import metadata_store_pb2
from tfx.utils import path_utils

from components.last_pushed import maker_of
from components.retrieval_evaluator.record import EVALUATION_FILE, EvaluationRecord
from components.serving_validator import REASON_FILE
from components.verdict import VERDICT_FILE, Verdict
from dataset.manifest import TABLES, Manifest
from models.interaction_summary import Summary
from models.training import CURVES_FILE
from pipeline.config import Config
from pipeline.drift import is_compared, read_drift
from pipeline.report.report import (
    Calibration,
    CalibrationBin,
    Curve,
    NodeCost,
    ReportData,
)
from serving.servable.extra_assets import ExtraAssets

_VERSIONS = (
    "tfx",
    "tensorflow",
    "keras",
    "keras-hub",
    "tensorflow-recommenders",
    "tensorflow-text",
    "apache-beam",
    "tensorflow-serving-api",
)


def build_report(
    manifest: Manifest, config: Config, workdir: Path, metadata_path: Path, costs: Sequence[NodeCost]
) -> ReportData:
    """Reads the newest artifact of each kind.

    Args:
        manifest: The dataset.
        config: As the run had it.
        workdir: The run's folder.
        metadata_path: The SQLite file of ML Metadata.
        costs: What each node took.
    """
    artifacts = Artifacts(metadata_path)
    evaluated = artifacts.newest("components.RetrievalEvaluation") / EVALUATION_FILE
    evaluation = EvaluationRecord.from_json(evaluated.read_text())
    # TFX's Evaluator is a node that could bless too.
    gate = Verdict.from_json((artifacts.newest("ModelBlessing", node="ModelGate") / VERDICT_FILE).read_text())
    findings = Summary.load(str(artifacts.newest("components.InteractionSummary"))).findings
    curves = json.loads((artifacts.newest("ModelRun") / CURVES_FILE).read_text())
    servable = path_utils.serving_model_path(str(artifacts.newest("Model", node="IndexBuilder")))
    infra = json.loads((artifacts.newest("InfraBlessing") / REASON_FILE).read_text())
    return ReportData(
        dataset=manifest.name,
        created=datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        summary={table: f"{rows:,}" for table, rows in findings.rows.items()},
        ours=evaluation.ours,
        rows=evaluation.rows,
        differences=evaluation.differences,
        curves=tuple(_curve(curve) for curve in curves["curves"] if curve["points"]),
        # A Trainer of an earlier version, whose model is still good, wrote none.
        cuts=tuple(curves.get("cuts", ())),
        calibrations=_calibrations(artifacts.newest("ModelEvaluation")),
        findings=findings,
        drift=tuple(
            drift
            for table in TABLES
            if is_compared(manifest, table)
            for drift in read_drift(
                table, str(artifacts.newest("ExampleAnomalies", node=f"DriftValidator.{table}"))
            )
        ),
        skew=read_drift(
            "interactions", str(artifacts.newest("ExampleAnomalies", node="SkewValidator.interactions"))
        )
        if manifest.events
        else (),
        choices=tuple(ExtraAssets(servable).read_choices()),
        examples=evaluation.examples,
        configuration=json.loads(config.to_json()) | {"best_epochs": curves["best_epochs"]},
        versions={name: importlib.metadata.version(name) for name in _VERSIONS},
        nodes=tuple(costs),
        gate=Verdict(
            is_blessed=gate.is_blessed and not infra["reasons"],
            reasons=(*gate.reasons, *infra["reasons"], *infra["facts"]),
        ),
    )


def link_tensorboard(workdir: Path, metadata_path: Path) -> Path:
    """Makes ``WORKDIR/tensorboard`` lead to the logs of the model in the report, and returns it."""
    link, fresh = workdir / "tensorboard", workdir / ".tensorboard"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(Artifacts(metadata_path).newest("ModelRun"), target_is_directory=True)
    fresh.replace(link)
    return link


def read_store(metadata_path: Path) -> mlmd.MetadataStore:
    """The metadata of a working folder, to look at only."""
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(metadata_path)
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    return mlmd.MetadataStore(connection)


class Artifacts:
    """What nodes wrote.

    Args:
        metadata_path: The SQLite file of ML Metadata.
    """

    def __init__(self, metadata_path: Path) -> None:
        self._store = read_store(metadata_path)

    def newest(self, type_name: str, *, node: str = "") -> Path:
        """The folder of the newest finished artifact of a type that the last run used, cached or not.

        Args:
            type_name: Of ML Metadata.
            node: The node that made it, where several make the type.
        """
        return Path(self._newest(type_name, node).uri)

    def making_s(self, type_name: str, *, node: str = "") -> float:
        """The seconds in which that artifact was made, whichever run did it."""
        made_by = maker_of(self._store, self._newest(type_name, node).id).id
        (execution,) = self._store.get_executions_by_id([made_by])
        began, ended = execution.create_time_since_epoch, execution.last_update_time_since_epoch
        return float(ended - began) / 1000

    def _newest(self, type_name: str, node: str) -> Any:
        live = metadata_store_pb2.Artifact.LIVE
        found = [
            artifact
            for artifact in self._store.get_artifacts_by_type(type_name)
            if artifact.state == live and (not node or f"/{node}/" in artifact.uri)
        ]
        ids = {a.id for a in found}
        # A cached run makes no new artifact: the newest event tells which one it used.
        events = [e for e in self._store.get_events_by_artifact_ids(sorted(ids)) if e.type in _OUTPUT_EVENTS]
        newest = max(events, key=lambda event: (event.milliseconds_since_epoch, event.artifact_id))
        return next(a for a in found if a.id == newest.artifact_id)


_OUTPUT_EVENTS = (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.DECLARED_OUTPUT)


def _curve(curve: dict[str, Any]) -> Curve:
    return Curve(
        phase=curve["phase"],
        metric=curve["metric"],
        steps=tuple(int(step) for step, _ in curve["points"]),
        values=tuple(float(value) for _, value in curve["points"]),
    )


def _calibrations(folder: Path) -> tuple[Calibration, ...]:
    """The calibration plot of each head, from what TFMA wrote."""
    result = tfma.load_eval_result(str(folder))
    calibrations = []
    for slice_key, plots in result.plots:
        if len(slice_key) != 1 or slice_key[0][0] != "head":
            continue
        for by_output in plots.values():
            for by_class in by_output.values():
                histogram = by_class.get("calibrationHistogramBuckets")
                if histogram:
                    bins = tuple(_bins(histogram["buckets"]))
                    calibrations.append(Calibration(head=str(slice_key[0][1]), bins=bins))
    return tuple(calibrations)


def _bins(buckets: Sequence[dict[str, Any]]) -> list[CalibrationBin]:
    bins = []
    for bucket in buckets:
        count = float(bucket.get("numWeightedExamples", 0.0))
        if count:
            bins.append(
                CalibrationBin(
                    mean_predicted=float(bucket.get("totalWeightedRefinedPrediction", 0.0)) / count,
                    mean_label=float(bucket.get("totalWeightedLabel", 0.0)) / count,
                    count=round(count),
                )
            )
    return bins
