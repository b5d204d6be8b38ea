from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
from tfx.types import standard_artifacts

import models.encoding
from components.artifacts import TextEmbeddings
from components.text_embedder.executor import Executor
from dataset import features
from models.item_table import EMBEDDINGS_FILE, read_item_features
from models.text_encoder import TextEncoder
from tests.components.in_memory import artifact, context, write_records

LENGTH, DIM, VOCABULARY = 6, 8, 20
# Item ids whose order by bytes is not the file's, two items with the same text, and one without any.
TEXTS = {
    "é": [2, 5, 6, 3, 0, 0],
    "9": [2, 7, 3, 0, 0, 0],
    "10": [2, 8, 9, 10, 11, 3],
    "a": [2, 7, 3, 0, 0, 0],
    "Z": [0, 0, 0, 0, 0, 0],
}


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Folders of two encoders that differ in their weights."""
    folders = []
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        backbone = keras_hub.models.BertBackbone(
            vocabulary_size=VOCABULARY,
            num_layers=1,
            num_heads=2,
            hidden_dim=DIM,
            intermediate_dim=16,
            max_sequence_length=LENGTH,
            dropout=0.0,
        )
        folder = str(tmp_path_factory.mktemp("preset") / str(seed))
        backbone.save_to_preset(folder)
        Path(folder, "vocab.txt").touch()
        folders.append(folder)
    return folders


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each call of the encoder got."""
    calls: list[int] = []
    real = models.encoding.encode_tokens

    def counting(encoder: TextEncoder, tokens: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        calls.append(len(tokens))
        return real(encoder, tokens)

    monkeypatch.setattr(models.encoding, "encode_tokens", counting)
    return calls


class Catalogue:
    """Embeds texts with one cache, each time as a new run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._num_runs = folder, 0

    def embed(self, texts: dict[str, list[int]], encoder: str, pooling: str = "mean") -> np.ndarray[Any, Any]:
        return self.embed_files([texts], encoder, pooling)

    def embed_files(
        self, files: list[dict[str, list[int]]], encoder: str, pooling: str = "mean"
    ) -> np.ndarray[Any, Any]:
        self._num_runs += 1
        folder = self.folder / str(self._num_runs)
        for i, texts in enumerate(files):
            write_records(folder / "items" / str(i), [_example(*item) for item in texts.items()])
            (written,) = (folder / "items" / str(i)).glob("*/*")
            target = folder / "items" / f"Split-{features.ALL}" / f"items-{i:05}.gz"
            target.parent.mkdir(exist_ok=True)
            written.rename(target)
        spec = {
            features.ITEM_ID: tf.io.FixedLenFeature([], tf.string),
            features.TOKENS: tf.io.FixedLenFeature([LENGTH], tf.int64),
        }
        metadata = dataset_metadata.DatasetMetadata.from_feature_spec(spec)
        metadata_io.write_metadata(metadata, str(folder / "graph" / "transformed_metadata"))
        inputs = {
            "examples": [artifact(standard_artifacts.Examples, folder / "items", [features.ALL])],
            "transform_graph": [artifact(standard_artifacts.TransformGraph, folder / "graph")],
        }
        outputs = {"embeddings": [artifact(TextEmbeddings, folder / "embeddings")]}
        properties = {"encoder": encoder, "pooling": pooling, "cache_dir": str(self.folder / "cache")}
        Executor(context(folder)).Do(inputs, outputs, properties)
        return np.load(folder / "embeddings" / EMBEDDINGS_FILE)


def _example(item_id: str, tokens: list[int]) -> bytes:
    feature = {
        features.ITEM_ID: tf.train.Feature(bytes_list=tf.train.BytesList(value=[item_id.encode()])),
        features.TOKENS: tf.train.Feature(int64_list=tf.train.Int64List(value=tokens)),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


def test_vectors_are_in_item_row_order(catalogue: Catalogue, presets: list[str]) -> None:
    vectors = catalogue.embed(TEXTS, presets[0])

    encoder = TextEncoder.from_pretrained(presets[0], pooling="mean")
    rows = sorted(TEXTS, key=str.encode)
    for row, item_id in enumerate(rows):
        tokens = [token for token in TEXTS[item_id] if token]
        expected = encoder(tf.constant([tokens])).numpy()[0] if tokens else np.zeros(DIM)
        np.testing.assert_allclose(vectors[row], expected, atol=1e-5)
    assert vectors.shape == (len(TEXTS), DIM)
    assert vectors.dtype == np.float32


def test_equal_texts_are_encoded_once_and_known_ones_never_again(
    catalogue: Catalogue, presets: list[str], encoded: list[int]
) -> None:
    first = catalogue.embed(TEXTS, presets[0])
    assert encoded == [4]

    second = catalogue.embed(TEXTS, presets[0])

    assert encoded == [4]
    np.testing.assert_array_equal(second, first)


def test_only_the_changed_text_is_encoded(
    catalogue: Catalogue, presets: list[str], encoded: list[int]
) -> None:
    before = catalogue.embed(TEXTS, presets[0])
    encoded.clear()

    after = catalogue.embed(TEXTS | {"a": [2, 12, 3, 0, 0, 0], "new": [2, 7, 3, 0, 0, 0]}, presets[0])

    assert encoded == [1]
    rows = sorted(TEXTS, key=str.encode)
    changed = [
        item for row, item in enumerate(rows) if not np.array_equal(before[row], np.delete(after, 4, 0)[row])
    ]
    assert changed == ["a"]
    np.testing.assert_array_equal(after[sorted([*TEXTS, "new"], key=str.encode).index("new")], before[1])


def test_repeated_id_has_the_vector_of_the_row_that_the_item_table_keeps(
    catalogue: Catalogue, presets: list[str]
) -> None:
    files = [{"a": [2, token, 3, 0, 0, 0], "b": [2, 3, 0, 0, 0, 0]} for token in range(5, 11)]

    vectors = catalogue.embed_files(files, presets[0])

    run = catalogue.folder / "1"
    table = read_item_features(str(run / "items" / "Split-all" / "*"), str(run / "graph"))
    tokens = table[features.TOKENS][0]
    encoder = TextEncoder.from_pretrained(presets[0], pooling="mean")
    np.testing.assert_allclose(vectors[0], encoder(tf.constant([tokens[tokens != 0]])).numpy()[0], atol=1e-5)
    assert len(vectors) == 2


@pytest.mark.parametrize(("encoder", "pooling"), [(1, "mean"), (0, "cls")])
def test_another_encoder_or_pooling_uses_no_vector_of_this_one(
    catalogue: Catalogue, presets: list[str], encoded: list[int], encoder: int, pooling: str
) -> None:
    first = catalogue.embed(TEXTS, presets[0])
    encoded.clear()

    second = catalogue.embed(TEXTS, presets[encoder], pooling)

    assert encoded == [4]
    assert not np.allclose(first[0], second[0])
