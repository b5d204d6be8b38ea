"""Encodes item texts on Beam workers into the cache, and reads the matrix of the items from there."""

from __future__ import annotations

import io
import os
import tempfile
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
from dataset import features
from models.encoder_usage import EncoderUsage
from models.item_table import EMBEDDINGS_FILE
from models.pretrained import resolve_encoder

# Some ten seconds of work, which is what a killed run loses.
_BATCH = 1024


class Executor(BaseBeamExecutor):
    """Writes ``embeddings.npy``, float32 ``[num_items, text_dim]`` in item row order.

    A worker holds a batch and the keys of the cache; this process, which joins, ids, keys and one shard.
    """

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: dict[str, Any]) -> None:
        """Encodes what is new, takes the rest from the cache, and sorts by item id."""
        uri = artifact_utils.get_single_uri(output_dict["embeddings"])
        # Not in the temporary folder: on a cluster that is a disk of this machine, and workers have others.
        parts = os.path.join(uri, "parts")
        fileio.makedirs(parts)
        encoder, pooling = exec_properties["encoder"], exec_properties["pooling"]
        name = resolve_encoder(encoder)
        fingerprint = encoder_fingerprint(name, EncoderUsage.of_folder(name).pooled_by(pooling))
        folder = os.path.join(exec_properties["cache_dir"], fingerprint)
        graph = tft.TFTransformOutput(artifact_utils.get_single_uri(input_dict["transform_graph"]))
        pattern = os.path.join(artifact_utils.get_split_uri(input_dict["examples"], features.ALL), "*")
        with self._make_beam_pipeline() as pipeline:
            _ = (
                pipeline
                | "Files" >> beam.Create(list(enumerate(sorted(fileio.glob(pattern)))))
                | "Spread files" >> beam.Reshuffle()
                | "Read" >> beam.FlatMapTuple(_read_batches)
                # A file is read by one worker; its batches are for all.
                | "Spread" >> beam.Reshuffle()
                | "Encode"
                >> beam.ParDo(_Encode(encoder, pooling, folder, graph.transformed_feature_spec(), parts))
            )
        _write_matrix(_item_keys(parts), VectorCache(folder), uri)
        fileio.rmtree(parts)


def _read_batches(position: int, file: str) -> Iterator[tuple[str, list[bytes]]]:
    """The batches of a file, each with a name; names sort as `read_item_features` reads."""
    batches = tf.data.TFRecordDataset(file, "GZIP").batch(_BATCH)
    for i, batch in enumerate(batches.as_numpy_iterator()):
        yield f"{position:06}-{i:09}", batch.tolist()


class _Encode(beam.DoFn):
    """Fills the cache, and writes each batch's item ids with the keys of their texts."""

    def __init__(
        self, encoder: str, pooling: str, cache_folder: str, spec: dict[str, Any], parts: str
    ) -> None:
        self._encoder_name, self._pooling, self._parts = encoder, pooling, parts
        self._cache_folder = cache_folder
        self._spec = {name: spec[name] for name in (features.ITEM_ID, features.TOKENS)}

    def setup(self) -> None:
        self._cache = VectorCache(self._cache_folder)
        self._cached, self._added = self._cache.keys(), set[bytes]()
        self._encoder: Any = None

    def process(self, element: tuple[str, list[bytes]]) -> Iterator[None]:
        name, batch = element
        parsed = tf.io.parse_example(batch, self._spec)
        tokens = parsed[features.TOKENS].numpy().astype(np.int32)
        keys = text_keys(tokens)
        is_new = ~_is_in(keys, self._cached)
        _, first = np.unique(keys, return_index=True)
        new = np.array([i for i in np.sort(first) if is_new[i] and keys[i] not in self._added], np.int64)
        if len(new):
            self._cache.add(keys[new], self._encode(tokens[new]))
            self._added.update(keys[new].tolist())
        buffer = io.BytesIO()
        np.savez(buffer, ids=parsed[features.ITEM_ID].numpy().astype("S"), keys=keys)
        with fileio.open(os.path.join(self._parts, f"{name}.npz"), "wb") as file:
            file.write(buffer.getvalue())
        yield from ()

    def _encode(self, tokens: np.ndarray) -> np.ndarray:
        # Not at module level: a run whose texts are all known never loads the network.
        from models.encoding import encode_tokens
        from models.text_encoder import TextEncoder

        if self._encoder is None:
            self._encoder = TextEncoder.from_pretrained(self._encoder_name, pooling=self._pooling)
        return encode_tokens(self._encoder, tokens)


def _is_in(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which keys are among the sorted known ones; NumPy's own would sort those once more a batch."""
    if not len(known):
        return np.zeros(len(keys), bool)
    positions = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return known[positions] == keys


def _item_keys(parts: str) -> np.ndarray:
    """The key of each item's text in item row order; of a repeated id the first, as in the item table."""
    ids, keys = [], []
    for name in sorted(fileio.listdir(parts)):
        with fileio.open(os.path.join(parts, name), "rb") as file, np.load(file) as part:
            ids.append(part["ids"].astype(object))
            keys.append(part["keys"])
    _, rows = np.unique(np.concatenate(ids), return_index=True)
    return np.concatenate(keys)[rows]


def _write_matrix(item_keys: np.ndarray, cache: VectorCache, uri: str) -> None:
    """Writes the vector of each item's key, one shard of the cache in memory at a time.

    Args:
        item_keys: ``[num_items]``, all of them in the cache.
        cache: Where the vectors are.
        uri: The folder of the matrix.
    """
    fileio.makedirs(uri)
    order = np.argsort(item_keys)
    in_order = item_keys[order]
    matrix: Any = None
    with tempfile.TemporaryDirectory() as folder:
        # On a local disk first: few filesystems let a file be written out of order.
        path = os.path.join(folder, EMBEDDINGS_FILE)
        for keys, vectors in cache.shards():
            begins, ends = (np.searchsorted(in_order, keys, side=side) for side in ("left", "right"))
            if matrix is None:
                shape = (len(item_keys), vectors.shape[1])
                matrix = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            counts = ends - begins
            positions = np.repeat(begins, counts) + _ranges(counts)
            matrix[order[positions]] = np.repeat(vectors, counts, axis=0)
        matrix.flush()
        fileio.copy(path, os.path.join(uri, EMBEDDINGS_FILE), overwrite=True)


def _ranges(counts: np.ndarray) -> np.ndarray:
    """0, 1, … up to each count, one after another."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
