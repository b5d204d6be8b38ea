"""What holds for every signature, and the vectors of embed_item."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.item_table import ItemTable
from models.matrices import item_matrix
from models.trained import TrainedModel
from serving.compatibility.check import check_compatibility
from serving.server.status_error import StatusError
from serving.server.versions.loaded_model import LoadedModel
from tests import tiny
from tests.serving.servable.asking import ALL, Ask, name


@pytest.mark.parametrize("signature", ["search", "recommend", "similar", "complement", "rank", "embed_query"])
def test_batch_answers_as_its_rows_alone(ask: Ask, signature: str) -> None:
    rows: list[dict[str, Any]] = [
        {"query": "red teapot", "user_id": "ann", "history": [], "filters": [], "k": 2, "item_id": name(4)},
        {"query": "", "user_id": "", "history": [name(8), name(2)], "filters": ["room=hall"], "k": 12},
        {"query": "a set of glass cups", "user_id": "nobody", "history": ["?"], "filters": [], "k": 0},
        {"query": "box", "user_id": "bob", "history": [name(1)] * 6, "filters": ["x=y"], "k": 5},
    ]
    for row in rows:
        row.setdefault("item_id", name(6))
        row |= {"exclude": [name(3)], "exclude_seen": row["user_id"] == "ann"}
        row["candidates"] = [name(1), "?", "", name(row["k"] % 10)]
        row |= {"item_ids": [name(row["k"] % 10), "?", name(5)], "diversity": row["k"] / 12}
        row |= {"boost": ["room=hall:2"] * (row["k"] == 12), "pin": [name(row["k"] % 7)] * (row["k"] < 5)}
        row["now"] = tiny.LOG_START + 170 * tiny.DAY * (row["k"] % 2)
        row["history_times"] = [tiny.LOG_START + n * tiny.DAY for n in range(len(row["history"]))]
    asker = ("user_id", "history", "history_times", "now")
    wishes = ("diversity", "boost", "pin")
    wanted = {
        "search": ("query", *asker, "filters", "k", "exclude", "exclude_seen", *wishes),
        "recommend": (*asker, "filters", "k", "exclude", "exclude_seen", *wishes),
        "similar": ("item_id", "now", "filters", "k", "exclude"),
        "complement": ("item_ids", "now", "filters", "k", "exclude"),
        "rank": ("query", *asker, "candidates"),
        "embed_query": ("query", *asker),
    }[signature]
    together = ask(signature, **{column: [row[column] for row in rows] for column in wanted})

    for i, row in enumerate(rows):
        alone = ask(signature, **{column: [row[column]] for column in wanted})
        for output, values in alone.items():
            mine = together[output][i : i + 1]
            mine = mine[:, : values.shape[1]] if values.ndim > 1 else mine
            if values.dtype == object:
                np.testing.assert_array_equal(mine, values, err_msg=output)
            else:
                # Other widths are other orders of summation.
                np.testing.assert_allclose(mine, values, atol=1e-4, err_msg=output)


def test_input_of_another_rank_is_refused_and_does_not_reach_the_ops(saved: Path) -> None:
    """As a server feeds it, which does not look at shapes; lookups abort on a third axis of length 0."""
    model = LoadedModel(saved)
    signatures = [name for name in model.signatures if not name.startswith("__")]
    assert len(signatures) == 10
    for signature in signatures:
        inputs = model.signatures[signature].inputs
        good = {
            tensor.name: np.full(
                [1] * len(tensor.tensor_shape.dim),
                b"" if tensor.dtype == tf.string else 0,
                tf.as_dtype(tensor.dtype).as_numpy_dtype,
            )
            for tensor in inputs.values()
        }
        fetches = [tensor.name for tensor in model.signatures[signature].outputs.values()]
        model.run(good, fetches)
        for tensor, array in good.items():
            with pytest.raises(StatusError, match="is not compatible with expected shape"):
                model.run(good | {tensor: array.reshape([1, 1, 1])[:, :, :0]}, fetches)


def test_embedding_of_a_stored_item_is_the_index(ask: Ask, trained: TrainedModel) -> None:
    found = ask("embed_item", item_id=[name(row) for row in range(ALL)], text=[""] * ALL)["embedding"]

    np.testing.assert_allclose(found, item_matrix(trained.two_tower, ALL), atol=1e-6)


def test_embedding_of_a_new_item_is_the_towers_of_its_text(ask: Ask, trained: TrainedModel) -> None:
    text = " big red lamp "
    found = ask("embed_item", item_id=["new", name(0)], text=[text, text])["embedding"]

    tower = trained.two_tower
    tokens = trained.tokenizer(tf.constant([text]), length=tiny.CONFIG.model.max_text_tokens)
    # Categories outside the vocabularies, and a number that is missing.
    expected = tower.item_tower(
        None, tower.encoder(tokens), np.array([[[3], [3]]]), np.array([[0.0, 1.0]], np.float32)
    )
    np.testing.assert_allclose(found, np.repeat(expected, 2, axis=0), atol=1e-5)


def test_empty_batch_is_no_rows(signatures: Any) -> None:
    none, lists = tf.zeros([0], tf.string), tf.zeros([0, 0], tf.string)
    now, k = tf.zeros([0], tf.int64), tf.zeros([0], tf.int32)
    answer = signatures["similar"](item_id=none, now=now, exclude=lists, filters=lists, k=k)

    assert answer["num_results"].shape == (0,)


def test_default_signature_is_search(ask: Ask) -> None:
    request = {"query": ["red cup"], "user_id": ["bob"], "history": [[]], "exclude": [[]], "filters": [[]]}
    request |= {"k": [4], "exclude_seen": [True], "history_times": [[]], "now": [0]}
    request |= {"diversity": [0.0], "boost": [[]], "pin": [[]], "spell": [False], "offset": [0], "sort": [""]}
    search, default = ask("search", **request), ask("serving_default", **request)

    assert search.keys() == default.keys()
    np.testing.assert_array_equal(search["item_ids"], default["item_ids"])


def test_every_stock_server_since_2_16_can_load_it(saved: Path) -> None:
    assert check_compatibility(saved).versions[0] == "2.16"


@pytest.mark.slow
def test_dataset_without_events_is_recommended_from_by_the_towers(
    items: ItemTable, trained: TrainedModel
) -> None:
    bare = dataclasses.replace(items, categories=())
    signatures = tiny.make_servable(bare, trained).signatures()
    lists = tf.zeros([1, 0], tf.string)
    rest = {"exclude": lists, "filters": lists, "exclude_seen": tf.constant([False]), "history": lists}
    rest |= {"user_id": tf.constant(["ann"]), "k": tf.constant([6])}
    rest |= {"history_times": tf.zeros([1, 0], tf.int64), "now": tf.zeros([1], tf.int64)}
    rest |= {"diversity": tf.constant([0.0]), "boost": lists, "pin": lists}
    asker = {name: rest[name] for name in ("user_id", "history", "history_times", "now")}
    query = signatures["embed_query"](query=tf.constant([""]), **asker)["embedding"].numpy()[0]
    expected = item_matrix(trained.two_tower, len(items)) @ query
    expected[tiny.UNAVAILABLE] = -np.inf

    recommended = signatures["recommend"](**rest)
    searched = signatures["search"](
        query=tf.constant([""]),
        spell=tf.constant([True]),
        offset=tf.constant([0]),
        sort=tf.constant([""]),
        **rest,
    )
    ranked = signatures["rank"](query=tf.constant([""]), candidates=recommended["item_ids"], **asker)

    best = np.argsort(-expected)[:6]
    for answer in (recommended, searched, ranked):
        assert answer["item_ids"].numpy()[0].tolist() == items.ids[best].tolist()
        np.testing.assert_allclose(answer["scores"].numpy()[0], expected[best], atol=1e-4)
