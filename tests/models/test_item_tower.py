from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import erf

from models.item_tower import ItemTower
from tests.tiny import randomise

NUM_ITEMS, TEXT_DIM, BEHAVIOUR_DIM = 6, 5, 4


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


RNG = np.random.default_rng(0)
ROWS = np.array([2, 0, 5], np.int32)
TEXT = unit(RNG.normal(size=(3, TEXT_DIM))).astype(np.float32)
CATEGORIES = np.array([[[0], [1]], [[2], [0]], [[1], [1]]], np.int32)
NUMBERS = RNG.normal(size=(3, 2)).astype(np.float32)


def make_tower(*, trained: bool, id_dropout: float = 0.0) -> ItemTower:
    tower = ItemTower(
        NUM_ITEMS,
        text_dim=TEXT_DIM,
        behaviour_dim=BEHAVIOUR_DIM,
        category_sizes=(3, 2),
        id_dropout=id_dropout,
    )
    tower(ROWS, TEXT, CATEGORIES, NUMBERS)
    if trained:
        randomise(tower, scale=1.0)
    return tower


def parts(vectors: tf.Tensor) -> list[np.ndarray]:
    return np.split(vectors.numpy(), [TEXT_DIM, TEXT_DIM + BEHAVIOUR_DIM], axis=1)


def test_untrained_text_part_is_the_encoders_vector() -> None:
    text, _, _ = parts(make_tower(trained=False)(ROWS, TEXT, CATEGORIES, NUMBERS))

    np.testing.assert_allclose(text, TEXT, atol=1e-6)


def test_equals_the_slow_formula() -> None:
    tower = make_tower(trained=True)
    text, behaviour, popularity = parts(tower(ROWS, TEXT, CATEGORIES, NUMBERS))

    for i, row in enumerate(ROWS):
        hidden = TEXT[i] @ tower.text_hidden.kernel.numpy() + tower.text_hidden.bias.numpy()
        hidden = hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
        residual = hidden @ tower.text_residual.kernel.numpy() + tower.text_residual.bias.numpy()
        learnt = TEXT[i] @ tower.text_projection.kernel.numpy()
        learnt = (
            learnt
            + NUMBERS[i] @ tower.number_projection.kernel.numpy()
            + tower.number_projection.bias.numpy()
        )
        for column, embedding in enumerate(tower.category_embeddings):
            learnt = learnt + embedding.embeddings.numpy()[CATEGORIES[i, column, 0]]
        learnt = learnt + tower.id_embedding.embeddings.numpy()[row]
        expected_popularity = tower.popularity.embeddings.numpy()[row, 0]
        np.testing.assert_allclose(text[i], unit(TEXT[i] + residual), atol=1e-5)
        np.testing.assert_allclose(behaviour[i], unit(learnt), atol=1e-5)
        np.testing.assert_allclose(popularity[i], [expected_popularity], atol=1e-6)


def test_of_several_values_the_mean_counts() -> None:
    """As a tower whose vocabulary has the mean in the place of the first."""
    tower = make_tower(trained=True)
    several = np.array([[[0, 2, -1], [1, -1, -1]], [[2, 1, 0], [0, -1, -1]], [[1, -1, -1], [1, 0, -1]]])
    found = tower(ROWS, TEXT, several.astype(np.int32), NUMBERS).numpy()

    tables = [embedding.embeddings.numpy() for embedding in tower.category_embeddings]
    for i in range(len(ROWS)):
        for embedding, table, values in zip(tower.category_embeddings, tables, several[i], strict=True):
            mean = table[values[values >= 0]].mean(axis=0)
            embedding.embeddings.assign(np.repeat(mean[None], len(table), axis=0))
        one = slice(i, i + 1)
        expected = tower(ROWS[one], TEXT[one], CATEGORIES[one], NUMBERS[one]).numpy()
        np.testing.assert_allclose(found[one], expected, atol=1e-6)


def test_one_value_beside_items_of_several_has_the_same_bits() -> None:
    tower = make_tower(trained=True)
    alone = tower(ROWS, TEXT, CATEGORIES, NUMBERS).numpy()
    padded = np.pad(CATEGORIES, [(0, 0), (0, 0), (0, 2)], constant_values=-1)

    np.testing.assert_array_equal(tower(ROWS, TEXT, padded, NUMBERS).numpy(), alone)


def test_values_that_are_padding_are_not_trained() -> None:
    tower = make_tower(trained=True)
    several = np.array([[[1, 2, -1], [1, -1, -1]]], np.int32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tower(ROWS[:1], TEXT[:1], several, NUMBERS[:1])[:, TEXT_DIM])
    gradient = tf.convert_to_tensor(tape.gradient(loss, tower.category_embeddings[0].embeddings)).numpy()

    np.testing.assert_array_equal(gradient[0], 0.0)
    np.testing.assert_array_equal(gradient[1], gradient[2])
    assert np.abs(gradient[1]).max() > 0


def test_unseen_item_has_no_id_and_no_popularity() -> None:
    tower = make_tower(trained=True)
    before = tower(None, TEXT, CATEGORIES, NUMBERS).numpy()
    tower.id_embedding.embeddings.assign(tower.id_embedding.embeddings + 1.0)
    tower.popularity.embeddings.assign(tower.popularity.embeddings + 1.0)
    after = tower(None, TEXT, CATEGORIES, NUMBERS).numpy()

    np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(after[:, -1], 0.0)


def test_id_is_dropped_only_in_training() -> None:
    tower = make_tower(trained=True, id_dropout=0.5)
    rows = np.zeros(400, np.int32)
    rest = [np.repeat(values[:1], 400, axis=0) for values in (TEXT, CATEGORIES, NUMBERS)]
    with_id = tower(rows[:1], *(values[:1] for values in rest)).numpy()
    without_id = tower(None, *(values[:1] for values in rest)).numpy()

    served = tower(rows, *rest).numpy()
    trained = tower(rows, *rest, training=True).numpy()

    behaviour = slice(TEXT_DIM, TEXT_DIM + BEHAVIOUR_DIM)
    np.testing.assert_allclose(served, np.repeat(with_id, 400, axis=0), atol=1e-6)
    is_dropped = np.isclose(trained[:, behaviour], without_id[:, behaviour], atol=1e-5).all(axis=1)
    is_shown = np.isclose(trained[:, behaviour], with_id[:, behaviour], atol=1e-5).all(axis=1)
    assert (is_dropped ^ is_shown).all()
    assert 0.4 < is_dropped.mean() < 0.6


def test_projection_starts_from_the_principal_components() -> None:
    texts = np.random.default_rng(1).normal(size=(40, TEXT_DIM)).astype(np.float32)
    tower = make_tower(trained=False)
    tower.set_projection(texts)

    _, directions = np.linalg.eigh(np.cov(texts.T))
    kernel = tower.text_projection.kernel.numpy()
    cosines = np.abs(np.sum(kernel * directions[:, ::-1][:, :BEHAVIOUR_DIM], axis=0))
    np.testing.assert_allclose(cosines, 1.0, atol=1e-4)


@pytest.mark.parametrize("width", [BEHAVIOUR_DIM, TEXT_DIM + 3])
def test_projection_wider_than_the_texts_keeps_its_random_rest(width: int) -> None:
    tower = ItemTower(NUM_ITEMS, text_dim=TEXT_DIM, behaviour_dim=width)
    tower.set_projection(np.eye(TEXT_DIM, dtype=np.float32))

    assert np.isfinite(tower.text_projection.kernel.numpy()).all()
    assert tower.text_projection.kernel.shape == (TEXT_DIM, width)


def test_item_without_categories_and_numbers_has_a_vector() -> None:
    tower = ItemTower(NUM_ITEMS, text_dim=TEXT_DIM, behaviour_dim=BEHAVIOUR_DIM)
    found = tower(ROWS, TEXT, np.zeros((3, 0, 1), np.int32), np.zeros((3, 0), np.float32))

    assert found.shape == (3, TEXT_DIM + BEHAVIOUR_DIM + 1)
    assert np.isfinite(keras.ops.convert_to_numpy(found)).all()
