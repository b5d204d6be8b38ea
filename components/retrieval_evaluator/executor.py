"""Unwraps artifacts and measures."""

from __future__ import annotations

import os
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.retrieval_evaluator.evaluation_data import load_evaluation_data
from components.retrieval_evaluator.names import ALL, NOVEL, OURS, SEARCH
from components.retrieval_evaluator.record import EVALUATION_FILE, EvaluationRecord
from components.retrieval_evaluator.servable_caller import ServedModel
from components.retrieval_evaluator.systems import Encoder, measure
from components.retrieval_evaluator.transcripts import write_candidates, write_examples
from components.retrieval_evaluator.unit_values import VALUES_FILE
from dataset import features
from dataset.manifest import Manifest
from models.item_table import load_text_vectors


class Executor(BaseExecutor):
    """Writes ``evaluation.json``, ``values.npz``, and the labelled candidates for the Evaluator."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:
        """Measures the servable, the last blessed one and the baselines."""
        manifest = Manifest.from_json(exec_properties["manifest"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        blessed = [
            other
            for other in input_dict.get("baseline_model") or []
            if fileio.exists(path_utils.serving_model_dir(other.uri))
        ]
        uris = {name: artifacts[0].uri for name, artifacts in input_dict.items() if artifacts}
        data = load_evaluation_data(
            manifest,
            uris=uris,
            text_vectors=load_text_vectors(uris["text_embeddings"]),
            learns_from_judgments=bool(exec_properties["learns_from_judgments"])
            # IndexBuilder says so of weights that it has learnt.
            or any(m.get_int_custom_property("learns_from_judgments") for m in (model, *blessed)),
        )
        served = ServedModel(path_utils.serving_model_path(model.uri), data.items)
        last = ServedModel(path_utils.serving_model_path(blessed[0].uri), data.items) if blessed else None
        encoder = Encoder(
            name=exec_properties["encoder"],
            pooling=exec_properties["pooling"],
            max_query_tokens=exec_properties["max_query_tokens"],
        )
        measured = measure(data, served, last, encoder, max_ease_items=exec_properties["max_ease_items"])

        examples = artifact_utils.get_single_instance(output_dict["candidates"])
        examples.split_names = artifact_utils.encode_split_names([features.ALL])
        write_candidates(data, served, artifact_utils.get_split_uri([examples], features.ALL))
        record = EvaluationRecord(
            ours=OURS,
            rows=measured.rows,
            differences=measured.differences,
            examples=tuple(write_examples(data, served, measured)),
            tasks=(*((NOVEL, ALL) if manifest.events else ()), *((SEARCH,) if manifest.judgments else ())),
        )
        uri = artifact_utils.get_single_uri(output_dict["evaluation"])
        io_utils.write_string_file(os.path.join(uri, EVALUATION_FILE), record.to_json())
        with fileio.open(os.path.join(uri, VALUES_FILE), "wb") as file:
            file.write(measured.unit_values.to_bytes())
