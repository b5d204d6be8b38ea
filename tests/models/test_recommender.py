from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.channels.event_store import EventStore, history_at
from models.channels.history import History
from models.event_log import places_of
from models.item_table import ItemTable
from models.list_ranker import LOGIT
from models.recommender import Recommender
from models.trained import TrainedModel
from tests import tiny
from tests.models.channels.test_fit import assert_same_bits

NUM_ITEMS = len(tiny.IDS)


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return tiny.shared_recommender()


def history_of_users(recommender: Recommender, rows: np.ndarray) -> History:
    """Of all users of the log, with its items in other rows."""
    log = tiny.make_log()
    moved = rows[log.item_rows]
    gone = moved < 0
    kept = {
        name: getattr(log, name)[~gone]
        for name in ("user_rows", "times", "weights", "kinds", "values", "baskets")
    }
    log = dataclasses.replace(
        log, **kept, item_rows=moved[~gone].astype(np.int32), num_items=int(rows.max()) + 1
    )
    users = np.arange(log.num_users)
    stored = EventStore(log, users)(tf.range(log.num_users))
    now = tf.fill([log.num_users], np.int64(tiny.LOG_START + tiny.LOG_DAYS * tiny.DAY))
    return history_at(*stored, now, recommender.tables.horizon)


def test_saved_recommender_is_the_same_to_the_bit(recommender: Recommender, tmp_path: Path) -> None:
    recommender.save(str(tmp_path))
    loaded = Recommender.load(str(tmp_path))

    assert loaded is not None
    assert_same_bits(loaded.tables, recommender.tables)
    assert loaded.tables.now == recommender.tables.now
    assert loaded.tables.horizon == recommender.tables.horizon
    assert loaded.user_ids.tolist() == recommender.user_ids.tolist()
    assert loaded.ranker.heads == recommender.ranker.heads
    features = np.random.default_rng(0).normal(size=(2, 5, recommender.ranker.num_features))
    expected = recommender.ranker(tf.constant(features, tf.float32))
    for name, values in loaded.ranker(tf.constant(features, tf.float32)).items():
        np.testing.assert_array_equal(values, expected[name])


def test_model_without_a_recommender_has_none(tmp_path: Path) -> None:
    assert Recommender.load(str(tmp_path)) is None


@pytest.mark.slow
def test_trained_model_brings_its_recommender_onto_the_catalogue_it_is_loaded_for(
    recommender: Recommender, items: ItemTable, trained: TrainedModel, tmp_path: Path
) -> None:
    model = dataclasses.replace(trained, recommender=recommender)
    model.save(str(tmp_path), tiny.CONFIG.model, tiny.CONFIG.train)

    loaded = TrainedModel.load(str(tmp_path), items)

    assert loaded.recommender is not None
    assert_same_bits(loaded.recommender.tables.neighbours, recommender.tables.neighbours)
    assert_same_bits(loaded.recommender.tables.statistics, recommender.tables.statistics)


def test_same_catalogue_in_another_order_says_the_same(recommender: Recommender, items: ItemTable) -> None:
    rows = np.random.default_rng(2).permutation(NUM_ITEMS)
    vectors = np.empty_like(items.text_vectors)
    vectors[rows] = items.text_vectors
    positions = recommender.neighbour_positions(recommender.user_ids)
    moved = recommender.on_catalogue(rows, vectors)

    here, there = (
        one.channels(texts).scores(history_of_users(one, order), tf.constant(positions))
        for one, texts, order in (
            (recommender, items.text_vectors, np.arange(NUM_ITEMS)),
            (moved, vectors, rows),
        )
    )

    for name, scores in here.items():
        np.testing.assert_allclose(there[name].numpy()[:, rows], scores, rtol=1e-4, atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(moved.tables.statistics[rows], recommender.tables.statistics)


def test_what_is_gone_says_nothing_and_what_is_new_lives_on_its_text(
    recommender: Recommender, items: ItemTable
) -> None:
    # Item 0 is gone, and the last row is new: the twin of item 3.
    rows = np.append(-1, np.arange(NUM_ITEMS - 1))
    vectors = np.concatenate([items.text_vectors[1:], items.text_vectors[[3]]])
    moved = recommender.on_catalogue(rows, vectors)
    new = NUM_ITEMS - 1

    assert not moved.tables.statistics[new].any()
    for name, links in moved.tables.links.items():
        reaches = {int(i) for i, w in zip(links.items.ravel(), links.weights.ravel(), strict=True) if w}
        assert (new in reaches) == (name == "text"), name
        assert bool(links.weights[new].any()) == (name == "text"), name
    text = moved.tables.links["text"]
    assert text.items[new, np.argmax(text.weights[new])] == rows[3]
    positions = tf.constant(recommender.neighbour_positions(recommender.user_ids))
    found = moved.channels(vectors).candidates(
        history_of_users(moved, rows),
        positions,
        tf.ones([1, NUM_ITEMS], tf.bool),
        num_unseen=tf.fill([19], 12),
    )
    scores = moved.ranker(found.features)[LOGIT].numpy()
    assert np.isfinite(scores[found.is_valid.numpy()]).all()


def test_neighbours_are_known_by_id(recommender: Recommender) -> None:
    asked = np.array([b"u03", b"nobody", b"ann", b"cid"], object)

    found = recommender.neighbour_positions(asked)

    for user, position in zip(asked, found, strict=True):
        row = places_of(np.array([user], object), recommender.user_ids)[0]
        is_neighbour = row >= 0 and row in recommender.tables.neighbours.user_rows
        assert (position >= 0) == is_neighbour
        if is_neighbour:
            assert recommender.user_ids[recommender.tables.neighbours.user_rows[position]] == user
    assert found.dtype == np.int32


def test_refitted_recommender_keeps_its_order_and_knows_the_whole_log(
    recommender: Recommender, items: ItemTable
) -> None:
    log = tiny.make_log()

    later = recommender.refitted(log, tiny.LOG_USER_IDS, items.text_vectors)

    assert later.ranker is recommender.ranker
    assert later.tables.now == log.times.max() + 1
    assert later.tables.horizon == recommender.tables.horizon
    users_ever = np.asarray(log.binary().sum(axis=0)).ravel()
    np.testing.assert_array_equal(later.tables.statistics[:, 2], users_ever)
    assert (recommender.tables.statistics[:, 2] <= users_ever).all()
