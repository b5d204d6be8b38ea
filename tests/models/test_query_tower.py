from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from models.query_tower import QueryTower
from tests.tiny import randomise

TEXT_DIM, BEHAVIOUR_DIM, HISTORY_DIM, NUM_USERS, LENGTH = 5, 4, 3, 6, 4


def make_inputs(
    batch: int = 3, *, text: bool = True, history: bool = True, user: bool = True
) -> dict[str, Any]:
    """Random inputs; what is not asked for is absent as the tower's documentation says."""
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(batch, TEXT_DIM))
    inputs = {
        "query_vectors": vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * text,
        "history_values": rng.normal(size=(batch, LENGTH, HISTORY_DIM)),
        "history_counts": rng.integers(1, 4, (batch, LENGTH)) * history,
        "user_rows": rng.integers(0, NUM_USERS, batch) if user else np.full(batch, NUM_USERS),
        "user_categories": rng.integers(0, 2, (batch, 1)),
        "user_numbers": rng.normal(size=(batch, 2)),
    }
    whole = ("user_rows", "user_categories")
    return {name: value.astype(np.int32 if name in whole else np.float32) for name, value in inputs.items()}


def make_tower(**dropout: Any) -> QueryTower:
    tower = QueryTower(
        num_items=8,
        num_users=NUM_USERS,
        text_dim=TEXT_DIM,
        behaviour_dim=BEHAVIOUR_DIM,
        history_dim=HISTORY_DIM,
        history_heads=2,
        category_sizes=(2,),
        **dropout,
    )
    tower(**make_inputs())
    return tower


@pytest.fixture(scope="module")
def tower() -> QueryTower:
    """Trained, not to be changed."""
    tower = make_tower()
    randomise(tower, scale=0.5)
    return tower


def parts(vectors: Any) -> list[np.ndarray]:
    return np.split(np.asarray(vectors), [TEXT_DIM, TEXT_DIM + BEHAVIOUR_DIM], axis=1)


@pytest.mark.parametrize(("text", "history", "user"), list(itertools.product([False, True], repeat=3)))
def test_every_part_may_be_absent(tower: QueryTower, text: bool, history: bool, user: bool) -> None:
    found = tower(**make_inputs(text=text, history=history, user=user))

    assert found.shape == (3, TEXT_DIM + BEHAVIOUR_DIM + 1)
    assert np.isfinite(found).all()
    said_by_text, said_by_behaviour, _ = parts(found)
    assert said_by_text.any(axis=1).all() == text
    assert said_by_behaviour.any(axis=1).all() == (history or user or not text)


def test_text_of_an_unknown_asker_is_answered_by_the_text_alone(tower: QueryTower) -> None:
    _, behaviour, _ = parts(tower(**make_inputs(history=False, user=False)))

    np.testing.assert_array_equal(behaviour, 0.0)


def test_untrained_text_part_points_where_the_encoder_does() -> None:
    inputs = make_inputs()
    text, _, _ = parts(make_tower()(**inputs))

    np.testing.assert_allclose(text, np.exp(2.7) * inputs["query_vectors"], rtol=1e-5)


def test_score_is_the_sum_of_what_the_parts_say(tower: QueryTower) -> None:
    inputs = make_inputs()
    alone = make_inputs(text=False), make_inputs(history=False, user=False)
    text, behaviour, popularity = parts(tower(**inputs))

    by_asker, by_text = (parts(tower(**one)) for one in alone)

    np.testing.assert_allclose(text, by_text[0], atol=1e-5)
    np.testing.assert_allclose(behaviour, by_asker[1], atol=1e-5)
    np.testing.assert_allclose(popularity, by_text[2], atol=1e-6)


def test_parts_have_the_length_of_their_scales(tower: QueryTower) -> None:
    text, behaviour, popularity = parts(tower(**make_inputs()))

    np.testing.assert_allclose(np.linalg.norm(text, axis=1), np.exp(tower.log_text_scale.numpy()), rtol=1e-5)
    np.testing.assert_allclose(
        np.linalg.norm(behaviour, axis=1), np.exp(tower.log_behaviour_scale.numpy()), rtol=1e-5
    )
    np.testing.assert_allclose(popularity, tower.query_popularity.numpy(), rtol=1e-6)


def test_popularity_counts_fully_without_a_query(tower: QueryTower) -> None:
    _, _, popularity = parts(tower(**make_inputs(text=False)))

    np.testing.assert_array_equal(popularity, 1.0)


def test_nothing_is_hidden_outside_training() -> None:
    tower = make_tower(user_dropout=0.9, history_dropout=0.9)
    inputs = make_inputs()

    np.testing.assert_array_equal(tower(**inputs), tower(**inputs))


def test_users_and_histories_are_hidden_in_training() -> None:
    tower = make_tower(user_dropout=0.5, history_dropout=0.5)
    randomise(tower, scale=0.5)
    inputs = {name: np.repeat(value[:1], 300, axis=0) for name, value in make_inputs(text=True).items()}
    inputs["history_counts"][:, 1:] = 0.0

    _, behaviour, _ = parts(tower(**inputs, training=True))

    distinct = np.unique(behaviour.round(3), axis=0)
    assert len(distinct) == 4
    assert (~behaviour.any(axis=1)).mean() == pytest.approx(0.25, abs=0.1)


def test_weights_exist_whatever_columns_a_dataset_has() -> None:
    tower = QueryTower(
        num_items=8, num_users=0, text_dim=TEXT_DIM, behaviour_dim=4, history_dim=HISTORY_DIM, history_heads=1
    )
    inputs = make_inputs(user=False) | {
        "user_rows": np.zeros(3, np.int32),
        "user_categories": np.zeros((3, 0), np.int32),
        "user_numbers": np.zeros((3, 0), np.float32),
    }

    assert np.isfinite(tower(**inputs)).all()
