"""The catalogues that serving is measured on: that of a pushed model, and synthetic ones made from it.

Each is a folder with ``ids.npy``, ``titles.npy`` and ``vectors.npy`` (the encoder's own vectors of the texts,
float32 ``[num_items, dim]``) for the peer. A synthetic one also has a model in ``model/1``, and one with an
approximate index in ``approximate/1``.
``python -m benchmarks.serving.catalogue`` makes one in a process of its own, which then gives its memory
back.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)

import numpy as np
import tensorflow as tf

from models.categories import CategoryColumn, Lists
from models.item_table import ItemTable
from models.lexical.index import LexicalIndex
from models.pretrained import DEFAULT_ENCODER, resolve_encoder
from models.text_encoder import TextEncoder
from models.tokenizer import Tokenizer
from models.trained import TrainedModel
from models.two_tower import TwoTower
from models.vocabularies import Vocabularies
from pipeline.config import Config
from serving.servable.approximation import approximate
from serving.servable.extra_assets import ExtraAssets
from serving.servable.histories import UserTable
from serving.servable.query_encoder import query_vectors
from serving.servable.saving import save_servable
from serving.servable.searching import Searching
from serving.servable.servable import Servable
from serving.servable.warmup_requests import write_warmup_requests

Array = np.ndarray[Any, Any]

_ENCODE_BATCH = 64
_NUM_USERS = 10_000
_NUM_CATEGORIES = 20
_HISTORY = 20
# With this spread the cosine of an item and its real item is about 0.9, as between variants of one product.
_SPREAD = 0.5
_PART = 50_000


def write_real(version_dir: Path, folder: Path) -> None:
    """Reads the catalogue that a model holds, and encodes every title."""
    from benchmarks.serving.onnx import OnnxEncoder

    checkpoint = tf.train.load_checkpoint(str(version_dir / "variables" / "variables"))
    ids, titles = (
        checkpoint.get_tensor(f"_listing/answers/{name}/.ATTRIBUTES/VARIABLE_VALUE")
        for name in ("_ids", "_titles")
    )
    encoder = OnnxEncoder(resolve_encoder(DEFAULT_ENCODER))
    tokens = [encoder.tokenise(title.decode()) for title in titles]
    order = np.argsort([len(row) for row in tokens], kind="stable")
    parts = [order[i : i + _ENCODE_BATCH] for i in range(0, len(ids), _ENCODE_BATCH)]
    vectors = np.concatenate([encoder.encode([tokens[row] for row in part]) for part in parts])
    _write(folder, ids[order], titles[order], vectors)


def write_synthetic(num_items: int, base: Path, version_dir: Path, folder: Path) -> None:
    """Draws items around the real ones of ``base``, and exports an untrained model of real size over them.

    Args:
        num_items: The number of items.
        base: A folder that `write_real` wrote.
        version_dir: The model that the folder was written from; its examples have the queries.
        folder: The folder to write.
    """
    rng = np.random.default_rng(11)
    titles, vectors = np.load(base / "titles.npy"), np.load(base / "vectors.npy")
    rows = rng.integers(0, len(titles), num_items)
    new_ids = np.array([b"item-%07d" % i for i in range(num_items)], object)
    new_titles = np.array([f"{titles[row]} No. {i}".encode() for i, row in enumerate(rows)], object)
    drawn = vectors[rows]
    # Part by part and in place, because every copy of a million vectors takes 1.5 GB.
    for part in np.array_split(drawn, max(num_items // _PART, 1)):
        part += rng.standard_normal(part.shape, np.float32) * (_SPREAD / np.sqrt(drawn.shape[1]))
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    _write(folder, new_ids, new_titles, drawn)
    _export(_item_table(new_ids, new_titles, drawn, rng), version_dir, folder, rng)


def _write(folder: Path, ids: Array, titles: Array, vectors: Array) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "ids.npy", np.char.decode(ids.astype("S"), "utf-8"))
    np.save(folder / "titles.npy", np.char.decode(titles.astype("S"), "utf-8"))
    np.save(folder / "vectors.npy", vectors)


def _item_table(ids: Array, titles: Array, vectors: Array, rng: np.random.Generator) -> ItemTable:
    codes = rng.integers(0, _NUM_CATEGORIES, len(ids)).astype(np.int32)
    numbers = np.stack([rng.normal(size=len(ids)), np.zeros(len(ids))], axis=1).astype(np.float32)
    names = np.array([b"category-%02d" % i for i in range(_NUM_CATEGORIES)], object)
    return ItemTable(
        ids=ids,
        titles=titles,
        # The texts are encoded already. The model is frozen and does not look at their tokens.
        tokens=np.zeros((len(ids), 3), np.int32),
        text_vectors=vectors,
        categories=(
            CategoryColumn(
                name="category",
                size=_NUM_CATEGORIES + 1,
                texts=names,
                positions=np.arange(_NUM_CATEGORIES, dtype=np.int32),
                codes=Lists.of(codes, np.ones(len(ids), np.int64)),
            ),
        ),
        numbers=numbers,
        available=np.ones(len(ids), bool),
    )


def _export(items: ItemTable, version_dir: Path, folder: Path, rng: np.random.Generator) -> None:
    config = Config()
    encoder = resolve_encoder(DEFAULT_ENCODER)
    two_tower = TwoTower(
        items,
        TextEncoder.from_pretrained(encoder),
        config=config.model,
        train=config.train,
        num_users=_NUM_USERS,
    )
    two_tower.item_tower.set_projection(items.text_vectors)
    popularity = rng.normal(size=two_tower.item_tower.popularity.embeddings.shape)
    two_tower.item_tower.popularity.embeddings.assign(popularity)
    model = TrainedModel(
        two_tower=two_tower,
        tokenizer=Tokenizer.from_pretrained(encoder),
        num_user_numbers=0,
        vocabularies=Vocabularies(items=items.ids, users=np.zeros(0, object)),
    )
    histories = rng.integers(0, len(items), (_NUM_USERS, _HISTORY)).astype(np.int32)
    titles = [title.decode() for title in items.titles]
    searching = Searching(LexicalIndex({"title": titles}), items.text_vectors)
    servable = Servable(
        model,
        items,
        _user_table(histories, config.model.max_history),
        searching,
        max_history=config.model.max_history,
        max_query_tokens=config.model.max_query_tokens,
        max_text_tokens=config.model.max_text_tokens,
        num_candidates=config.serve.num_candidates,
    )
    examples = ExtraAssets(version_dir).read_examples() | _examples(items, histories[:20])
    _save(servable, folder / "model" / "1", examples)
    started = time.monotonic()
    recall, _ = approximate(
        searching,
        servable.likeness,
        items,
        text_vectors=items.text_vectors,
        titles=titles,
        encode=lambda texts: query_vectors(texts, model, None, config.model.max_query_tokens),
        num_candidates=config.serve.num_candidates,
        min_recall=config.serve.min_index_recall,
    )
    measured = dataclasses.asdict(recall) | {"seconds": time.monotonic() - started}
    (folder / "recall.json").write_text(json.dumps(measured))
    _save(servable, folder / "approximate" / "1", examples)


def _save(servable: Servable, path: Path, examples: dict[str, list[Any]]) -> None:
    partial = path.with_name(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    save_servable(servable, str(partial), servable.signatures())
    extra = ExtraAssets(partial)
    Path(extra.folder).mkdir()
    extra.write_examples(examples)
    write_warmup_requests(extra.warmup_path, examples)
    partial.rename(path)


def _user_table(histories: Array, max_history: int) -> UserTable:
    missing = ((0, 0), (0, max_history - histories.shape[1]))
    return UserTable(
        ids=np.array([b"user-%05d" % i for i in range(len(histories))], object),
        history_rows=np.pad(histories, missing, constant_values=-1),
        history_counts=np.pad(np.ones(histories.shape, np.float32), missing),
        seen=list(histories),
        user_rows=np.arange(len(histories), dtype=np.int32),
        categories=np.zeros((len(histories), 0), np.int32),
        numbers=np.zeros((len(histories), 0), np.float32),
        unknown_row=len(histories),
        unknown_categories=np.zeros(0, np.int32),
    )


def _examples(items: ItemTable, histories: Array) -> dict[str, list[Any]]:
    def named(row: int) -> dict[str, str]:
        return {"item_id": items.ids[row].decode(), "title": items.titles[row].decode()}

    users = [
        {"user_id": f"user-{i:05d}", "history": [named(row) for row in history[:5]]}
        for i, history in enumerate(histories)
    ]
    return {"users": users, "items": [named(row) for row in range(0, len(items), len(items) // 20)]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.catalogue", description=__doc__)
    parser.add_argument("version_dir", type=Path, help="a pushed model")
    parser.add_argument("folder", type=Path, help="where to")
    parser.add_argument("--synthetic", type=int, metavar="N", help="draw N items around those of --base")
    parser.add_argument("--base", type=Path, help="what was written of the pushed model before")
    options = parser.parse_args(arguments)
    if options.synthetic:
        write_synthetic(options.synthetic, options.base, options.version_dir, options.folder)
    else:
        write_real(options.version_dir, options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
