from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from components.text_embedder.cache import VectorCache, encoder_fingerprint, text_keys


def test_key_of_a_text_does_not_depend_on_its_padding() -> None:
    short, long = np.array([[2, 7, 3]], np.int32), np.array([[2, 7, 3, 0, 0]], np.int64)

    assert text_keys(short)[0] == text_keys(long)[0]
    assert text_keys(short)[0] != text_keys(np.array([[2, 3, 7]]))[0]


def test_vectors_come_back_by_key(tmp_path: Path) -> None:
    keys, vectors = text_keys(np.array([[1], [2]])), np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    cache = VectorCache(str(tmp_path / "new"))
    assert len(cache.keys()) == 0
    assert not list(cache.shards())

    cache.add(keys[:1], vectors[:1])
    cache.add(keys[1:], vectors[1:])

    cache = VectorCache(str(tmp_path / "new"))
    found = {key: vector.tolist() for shard in cache.shards() for key, vector in zip(*shard, strict=True)}
    assert found == {keys[0]: [1, 2], keys[1]: [3, 4]}
    np.testing.assert_array_equal(cache.keys(), np.sort(keys))


def test_repeated_write_changes_nothing(tmp_path: Path) -> None:
    keys, vectors = text_keys(np.array([[1], [2]])), np.ones((2, 3), np.float32)
    cache = VectorCache(str(tmp_path))
    for _ in range(2):
        cache.add(keys, vectors)

    assert len(list(tmp_path.iterdir())) == 1


def test_runs_that_write_the_same_at_once_do_not_meet(tmp_path: Path) -> None:
    keys, vectors = text_keys(np.arange(1, 200)[:, None]), np.ones((199, 64), np.float32)

    with ThreadPoolExecutor(8) as runs:
        writes = [runs.submit(VectorCache(str(tmp_path)).add, keys, vectors) for _ in range(200)]

    assert [write.exception() for write in writes] == [None] * 200
    ((found, _),) = VectorCache(str(tmp_path)).shards()
    np.testing.assert_array_equal(found, keys)
    assert len(list(tmp_path.iterdir())) == 1


def test_half_a_shard_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "killed.part").write_bytes(b"PK half")

    assert len(VectorCache(str(tmp_path)).keys()) == 0


@pytest.mark.parametrize("file", ["config.json", "model.weights.h5", "model.safetensors"])
def test_fingerprint_changes_with_the_encoder(tmp_path: Path, file: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = encoder_fingerprint(str(tmp_path), "mean")
    assert encoder_fingerprint(str(tmp_path), "mean") == before

    (tmp_path / file).write_bytes(b"other")

    assert encoder_fingerprint(str(tmp_path), "mean") != before


def test_fingerprint_changes_with_preset_and_pooling() -> None:
    names = {
        encoder_fingerprint(e, p) for e in ("bert_tiny_en_uncased", "bert_base_zh") for p in ("mean", "cls")
    }

    assert len(names) == 4
