"""TransformApplier: applies what TFX Transform found earlier to new examples, finding nothing anew."""

import os

import apache_beam as beam
import tensorflow_text  # noqa: F401 (registers the ops of the graph)
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tfx.types import artifact_utils, standard_artifacts
from tfx.v1.dsl.components import BeamComponentParameter, InputArtifact, OutputArtifact, component
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder
from tfx_bsl.public.tfxio import TFExampleRecord

from components.records import clear
from dataset import features


@component(use_beam=True)
def TransformApplier(
    examples: InputArtifact[standard_artifacts.Examples],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    transformed_examples: OutputArtifact[standard_artifacts.Examples],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Transforms examples with the vocabularies and scales of a graph that exists.

    TFX's Transform always analyses what it transforms; a trained model knows the vocabularies it was trained
    with.

    Args:
        examples: Raw rows, in the split ``all``.
        transform_graph: What a model was trained with.
        transformed_examples: Where to, in the same split.
        beam_pipeline: Where it runs.
    """
    transformed_examples.split_names = artifact_utils.encode_split_names([features.ALL])
    source = os.path.join(artifact_utils.get_split_uri([examples], features.ALL), "*")
    target = os.path.join(
        artifact_utils.get_split_uri([transformed_examples], features.ALL), "transformed_examples"
    )
    clear(os.path.dirname(target))
    schema = tft.TFTransformOutput(transform_graph.uri).raw_metadata.schema
    records = TFExampleRecord(source, schema=schema, telemetry_descriptors=["TransformApplier"])
    with beam_pipeline as pipeline:
        graph = pipeline | "Graph" >> tft_beam.ReadTransformFn(transform_graph.uri)
        rows = pipeline | "Read" >> records.BeamSource()
        batches, _ = ((rows, records.TensorAdapterConfig()), graph) | tft_beam.TransformDataset(
            output_record_batches=True
        )
        _ = (
            batches
            | "Encode" >> beam.FlatMapTuple(lambda batch, _: RecordBatchToExamplesEncoder().encode(batch))
            | "Write" >> beam.io.WriteToTFRecord(target, file_name_suffix=".gz")
        )
