"""ModelGate: holds what RetrievalEvaluator measured against thresholds, and blesses the model or not."""

import os

from tfx.dsl.io import fileio
from tfx.types import standard_artifacts
from tfx.utils import io_utils, path_utils
from tfx.v1.dsl.components import InputArtifact, OutputArtifact, Parameter, component

from components.artifacts import RetrievalEvaluation
from components.retrieval_evaluator.config import EvaluationConfig
from components.retrieval_evaluator.record import EVALUATION_FILE, EvaluationRecord
from components.verdict import VERDICT_FILE, decide
from serving.servable.extra_assets import ExtraAssets


@component
def ModelGate(
    evaluation: InputArtifact[RetrievalEvaluation],
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    task: Parameter[str],
    min_ratio_to_best_baseline: Parameter[float],
    min_cold_ratio: Parameter[float],
    min_ratio_to_zero_shot: Parameter[float],
    max_loss_to_blessed: Parameter[float],
    allow_unmeasured: Parameter[bool],
    # Optional inputs are spelt so; `Optional` TFX does not know here.
    baseline_model: InputArtifact[standard_artifacts.Model] = None,
    events: InputArtifact[standard_artifacts.Examples] = None,
) -> None:
    """Writes what TFX's own Evaluator would, so that every Resolver and Pusher understands it, and reasons.

    Args:
        evaluation: Of the model.
        model: The servable.
        blessing: Standard ModelBlessing, and the reasons in words.
        task: As in `EvaluationConfig`.
        min_ratio_to_best_baseline: As in `EvaluationConfig`.
        min_cold_ratio: As in `EvaluationConfig`.
        min_ratio_to_zero_shot: As in `EvaluationConfig`.
        max_loss_to_blessed: As in `EvaluationConfig`.
        allow_unmeasured: As in `EvaluationConfig`.
        baseline_model: The last blessed one, as it was measured beside; none, or empty, if there is none.
        events: The log that the model was trained on.
    """
    if baseline_model and not fileio.exists(path_utils.serving_model_dir(baseline_model.uri)):
        baseline_model = None
    record = EvaluationRecord.from_json(
        io_utils.read_string_file(os.path.join(evaluation.uri, EVALUATION_FILE))
    )
    span = events.get_int_custom_property("span") if events else 0
    thresholds = EvaluationConfig(
        task=task,
        min_ratio_to_best_baseline=min_ratio_to_best_baseline,
        min_cold_ratio=min_cold_ratio,
        min_ratio_to_zero_shot=min_ratio_to_zero_shot,
        max_loss_to_blessed=max_loss_to_blessed,
        allow_unmeasured=allow_unmeasured,
    )
    is_new_span = bool(baseline_model) and span > _span_of(baseline_model.uri)
    verdict = decide(record, thresholds, is_new_span=is_new_span)
    blessing.set_int_custom_property("blessed", int(verdict.is_blessed))
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    if baseline_model:
        blessing.set_string_custom_property("baseline_model", baseline_model.uri)
        blessing.set_int_custom_property("baseline_model_id", baseline_model.id)
    fileio.makedirs(blessing.uri)
    name = "BLESSED" if verdict.is_blessed else "NOT_BLESSED"
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    io_utils.write_string_file(os.path.join(blessing.uri, VERDICT_FILE), verdict.to_json())


def _span_of(uri: str) -> int:
    """The span of the events that a servable's model was trained on."""
    extra = ExtraAssets(path_utils.serving_model_path(uri), open_file=fileio.open)
    return extra.read_span() if fileio.exists(extra.span_path) else 0
