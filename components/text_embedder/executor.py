"""Encodes item texts on Beam workers."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.text_embedder.cache import VectorCache, encoder_fingerprint, text_keys
from pipeline import features

EMBEDDINGS_FILE = "embeddings.npy"
_BATCH = 1024


class Executor(BaseBeamExecutor):
    """Writes ``embeddings.npy``, float32 ``[num_items, text_dim]`` in item row order."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:  # noqa: N802 (TFX's name)
        """Encodes what is new, takes the rest from the cache, and sorts by item id."""
        uri = artifact_utils.get_single_uri(output_dict["embeddings"])
        parts = os.path.join(self._get_tmp_dir(), "parts")
        fileio.makedirs(parts)
        encoder, pooling = exec_properties["encoder"], exec_properties["pooling"]
        folder = os.path.join(exec_properties["cache_dir"], encoder_fingerprint(encoder, pooling))
        graph = tft.TFTransformOutput(artifact_utils.get_single_uri(input_dict["transform_graph"]))
        pattern = os.path.join(artifact_utils.get_split_uri(input_dict["examples"], features.ALL), "*")
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Read" >> beam.io.ReadFromTFRecord(pattern)
                | "Batch" >> beam.BatchElements(min_batch_size=_BATCH, max_batch_size=_BATCH)
                | "Encode"
                >> beam.ParDo(_Encode(encoder, pooling, folder, graph.transformed_feature_spec(), parts))
            )
        _gather(parts, uri)


class _Encode(beam.DoFn):
    def __init__(self, encoder: str, pooling: str, cache_folder: str, spec: dict[str, Any], parts: str):
        self._encoder_name, self._pooling, self._parts = encoder, pooling, parts
        self._cache_folder = cache_folder
        self._spec = {name: spec[name] for name in (features.ITEM_ID, features.TOKENS)}

    def setup(self) -> None:
        self._cache = VectorCache(self._cache_folder)
        self._known = self._cache.load()
        self._encoder: Any = None

    def process(self, batch: list[bytes]) -> Iterator[None]:
        parsed = tf.io.parse_example(batch, self._spec)
        tokens = parsed[features.TOKENS].numpy().astype(np.int32)
        keys = text_keys(tokens)
        names = keys.tolist()
        _, first = np.unique(keys, return_index=True)
        new = np.array([i for i in np.sort(first) if names[i] not in self._known], np.int64)
        if len(new):
            vectors = self._encode(tokens[new])
            self._cache.add(keys[new], vectors)
            self._known.update(zip((names[i] for i in new), vectors, strict=True))
        buffer = io.BytesIO()
        np.savez(
            buffer,
            ids=parsed[features.ITEM_ID].numpy().astype("S"),
            vectors=np.stack([self._known[name] for name in names]),
        )
        with fileio.open(os.path.join(self._parts, f"{uuid.uuid4().hex}.npz"), "wb") as file:
            file.write(buffer.getvalue())
        yield from ()

    def _encode(self, tokens: np.ndarray) -> np.ndarray:
        # Not at module level: a run whose texts are all known never loads the network.
        from models.encoding import encode_tokens
        from models.text_encoder import TextEncoder

        if self._encoder is None:
            self._encoder = TextEncoder.from_pretrained(self._encoder_name, pooling=self._pooling)
        return encode_tokens(self._encoder, tokens)


def _gather(parts: str, uri: str) -> None:
    """Joins the parts in item row order; of a repeated id one is kept."""
    ids, vectors = [], []
    for name in sorted(fileio.listdir(parts)):
        with fileio.open(os.path.join(parts, name), "rb") as file:
            part = np.load(io.BytesIO(file.read()))
        ids.append(part["ids"].astype(object))
        vectors.append(part["vectors"])
    _, order = np.unique(np.concatenate(ids), return_index=True)
    fileio.makedirs(uri)
    with fileio.open(os.path.join(uri, EMBEDDINGS_FILE), "wb") as file:
        np.save(file, np.concatenate(vectors)[order])
