"""Unwraps artifacts, measures, decides."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.index_builder import SPAN_FILE
from components.retrieval_evaluator.evaluation_data import load_evaluation_data
from components.retrieval_evaluator.gate import decide
from components.retrieval_evaluator.servable_caller import ServedModel
from components.retrieval_evaluator.systems import OURS, measure
from components.retrieval_evaluator.transcripts import write_candidates, write_examples
from dataset import features
from dataset.manifest import Manifest
from models.item_table import load_text_vectors
from pipeline.config import Config

EVALUATION_FILE = "evaluation.json"


class Executor(BaseExecutor):
    """Writes ``evaluation.json``, the ModelBlessing, and the labelled candidates for the Evaluator."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:
        """Measures the servable and decides whether it is blessed."""
        manifest = Manifest.from_json(exec_properties["manifest"])
        config = Config.from_json(exec_properties["config"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        blessed = [
            other
            for other in input_dict.get("baseline_model") or []
            if fileio.exists(path_utils.serving_model_dir(other.uri))
        ]
        uris = {name: artifacts[0].uri for name, artifacts in input_dict.items() if artifacts}
        data = load_evaluation_data(
            manifest, uris=uris, text_vectors=load_text_vectors(uris["text_embeddings"])
        )
        served = ServedModel(path_utils.serving_model_path(model.uri), data.items)
        last = ServedModel(path_utils.serving_model_path(blessed[0].uri), data.items) if blessed else None
        measured = measure(data, served, last, config, exec_properties["encoder"])
        gate = decide(measured, config.evaluation, is_new_span=_is_new_span(input_dict, blessed))

        examples = artifact_utils.get_single_instance(output_dict["candidates"])
        examples.split_names = artifact_utils.encode_split_names([features.ALL])
        write_candidates(data, served, artifact_utils.get_split_uri([examples], features.ALL))
        written = {
            "ours": OURS,
            "rows": [dataclasses.asdict(row) for row in measured.rows],
            "differences": [dataclasses.asdict(difference) for difference in measured.differences],
            "examples": [dataclasses.asdict(example) for example in write_examples(data, served, measured)],
            "gate": dataclasses.asdict(gate),
        }
        uri = artifact_utils.get_single_uri(output_dict["evaluation"])
        io_utils.write_string_file(os.path.join(uri, EVALUATION_FILE), json.dumps(written, allow_nan=False))
        _bless(artifact_utils.get_single_instance(output_dict["blessing"]), gate.is_blessed, model, blessed)


def _is_new_span(input_dict: Any, blessed: list[Any]) -> bool:
    """Whether the log has a later span than the one the blessed model was trained on."""
    events = input_dict.get("events")
    if not blessed or not events:
        return False
    path = os.path.join(path_utils.serving_model_path(blessed[0].uri), "assets.extra", SPAN_FILE)
    of_blessed = int(io_utils.read_string_file(path)) if fileio.exists(path) else 0
    return bool(events[0].get_int_custom_property("span") > of_blessed)


def _bless(blessing: Any, is_blessed: bool, model: Any, baseline: list[Any]) -> None:
    """Writes what TFX's own Evaluator would, so that every Resolver and Pusher understands it."""
    blessing.set_int_custom_property("blessed", int(is_blessed))
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    if baseline:
        blessing.set_string_custom_property("baseline_model", baseline[0].uri)
        blessing.set_int_custom_property("baseline_model_id", baseline[0].id)
    fileio.makedirs(blessing.uri)
    io_utils.write_string_file(os.path.join(blessing.uri, "BLESSED" if is_blessed else "NOT_BLESSED"), "")
