"""The numbers of a variant whose nodes have run, gathered from their artifacts."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

from tfx.utils import path_utils

from components.retrieval_evaluator.unit_values import VALUES_FILE, UnitValues
from components.serving_validator import REASON_FILE
from components.verdict import VERDICT_FILE, Verdict
from dataset import features
from dataset.manifest import Manifest
from models.item_table import load_item_table, load_text_vectors
from models.trained import TrainedModel
from pipeline.comparison.record import VariantRecord
from pipeline.config import Config
from pipeline.run_results import Artifacts


def gather(manifest: Manifest, config: Config, metadata_path: Path) -> VariantRecord:
    """Reads the artifacts that the last run used, whichever run made them.

    Args:
        manifest: The dataset.
        config: As the run had it.
        metadata_path: The SQLite file of ML Metadata.
    """
    artifacts = Artifacts(metadata_path)
    evaluation = artifacts.newest("components.RetrievalEvaluation")
    gate = Verdict.from_json((artifacts.newest("ModelBlessing", node="ModelGate") / VERDICT_FILE).read_text())
    infra = json.loads((artifacts.newest("InfraBlessing") / REASON_FILE).read_text())
    return VariantRecord(
        configuration=dataclasses.asdict(config),
        trained_parameters=_trained_parameters(manifest, artifacts),
        training_min=artifacts.making_s("Model", node="Trainer") / 60,
        servable_mb=_num_bytes(_model(artifacts, "IndexBuilder")) / 1e6,
        request_costs=infra["costs"],
        is_blessed=gate.is_blessed and not infra["reasons"],
        reasons=(*gate.reasons, *infra["reasons"]),
        values=UnitValues.from_bytes((evaluation / VALUES_FILE).read_bytes()),
    )


def _trained_parameters(manifest: Manifest, artifacts: Artifacts) -> int:
    transformed = artifacts.newest("Examples", node="Transform.items") / f"Split-{features.ALL}"
    items = load_item_table(
        manifest.items,
        examples_pattern=str(transformed / "*"),
        transform_graph=str(artifacts.newest("TransformGraph", node="Transform.items")),
        text_vectors=load_text_vectors(str(artifacts.newest("components.TextEmbeddings"))),
    )
    model = TrainedModel.load(_model(artifacts, "Trainer"), items)
    trained = list(model.two_tower.trainable_variables)
    if model.recommender is not None:
        trained += model.recommender.ranker.trainable_variables
    return sum(math.prod(variable.shape) for variable in trained)


def _model(artifacts: Artifacts, node: str) -> str:
    folder: str = path_utils.serving_model_path(str(artifacts.newest("Model", node=node)))
    return folder


def _num_bytes(folder: str) -> int:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
