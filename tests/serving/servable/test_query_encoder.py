"""What encodes a query when it is served."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from models.encoding import encode_tokens
from models.item_table import ItemTable
from models.query_table import QueryTable
from models.trained import TrainedModel
from serving.servable.query_encoder import choose_query_table
from serving.servable.search_quality import JudgedQueries
from serving.servable.servable import Servable
from tests import tiny

NONE = JudgedQueries(queries=[], gains=sparse.csr_matrix((0, len(tiny.IDS))))
LENGTH = tiny.CONFIG.model.max_query_tokens


def choose(
    choice: str, items: ItemTable, trained: TrainedModel, judged: JudgedQueries = NONE, max_loss: float = 0.0
) -> tuple[QueryTable | None, str]:
    return choose_query_table(
        choice,
        trained,
        tiny.make_searching(items, trained),
        tiny.TITLES,
        judged,
        max_query_tokens=LENGTH,
        max_loss=max_loss,
    )


@pytest.mark.parametrize(
    ("choice", "max_loss", "is_table"),
    [("encoder", 1.0, False), ("table", 0.0, True), ("auto", 1.0, True), ("auto", -1.0, False)],
)
def test_table_is_taken_where_it_loses_no_more_than_it_may(
    items: ItemTable, trained: TrainedModel, choice: str, max_loss: float, is_table: bool
) -> None:
    chosen, about = choose(choice, items, trained, max_loss=max_loss)

    assert (chosen is not None) == is_table
    assert about.startswith("The token table ") == (choice == "auto")


def test_judged_queries_decide_where_there_are_enough(items: ItemTable, trained: TrainedModel) -> None:
    gains = sparse.csr_matrix(np.eye(len(tiny.IDS))[np.arange(24) % len(tiny.IDS)])
    judged = JudgedQueries(queries=tiny.TITLES * 2, gains=gains)

    _, first = choose("auto", items, trained, judged)
    _, second = choose("auto", items, trained)

    assert first.endswith(" on 24 queries.")
    assert second.endswith(f" on {4 * len(tiny.IDS)} queries.")


def test_search_looks_up_what_the_table_knows_and_encodes_the_rest(
    items: ItemTable, trained: TrainedModel
) -> None:
    table, _ = choose_query_table(
        "table",
        trained,
        tiny.make_searching(items, trained),
        tiny.TITLES,
        NONE,
        max_query_tokens=LENGTH,
        max_loss=0.0,
    )
    model = dataclasses.replace(trained, recommender=None)
    servable = Servable(
        model,
        items,
        tiny.make_users(),
        tiny.make_searching(items, trained),
        query_table=table,
        max_history=tiny.CONFIG.model.max_history,
        max_query_tokens=LENGTH,
        max_text_tokens=tiny.CONFIG.model.max_text_tokens,
        num_candidates=len(items),
    )
    search = servable.signatures()["search"]
    queries = ["red teapot", "teapot zzz"]
    tokens = tiny.make_tokenizer()(tf.constant(queries), length=LENGTH)
    assert table is not None
    expected = np.stack([table(tokens)[0], encode_tokens(trained.two_tower.encoder, tokens.numpy())[1]])
    for batch in ([0], [1], [0, 1]):
        lists = tf.zeros([len(batch), 0], tf.string)
        answer = search(
            query=tf.constant([queries[row] for row in batch]),
            user_id=tf.fill([len(batch)], ""),
            history=lists,
            history_times=tf.zeros([len(batch), 0], tf.int64),
            now=tf.zeros([len(batch)], tf.int64),
            exclude=lists,
            filters=lists,
            k=tf.fill([len(batch)], 5),
            exclude_seen=tf.fill([len(batch)], False),
            diversity=tf.zeros([len(batch)]),
            boost=lists,
            pin=lists,
            spell=tf.fill([len(batch)], False),
            offset=tf.fill([len(batch)], 0),
            sort=tf.fill([len(batch)], ""),
        )
        for place, row in enumerate(batch):
            rows = [tiny.IDS.index(item_id) for item_id in answer["item_ids"].numpy()[place]]
            np.testing.assert_allclose(
                answer["channel_scores"].numpy()[place, :, 0],
                items.text_vectors[rows] @ expected[row],
                atol=1e-5,
            )
