"""Lists of near vectors: what a search in the nearest of them finds, and what the rules leave it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.inverted_lists import InvertedLists, fit_centroids, nearest_lists

NUM_ITEMS, DIM, KEPT = 600, 16, 30


def units(rng: np.random.Generator, *shape: int) -> Any:
    drawn = rng.normal(size=shape).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def vectors() -> Any:
    """Twenty groups of near vectors."""
    rng = np.random.default_rng(3)
    drawn = units(rng, 20, DIM)[rng.integers(0, 20, NUM_ITEMS)] + 0.3 * units(rng, NUM_ITEMS, DIM)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def queries(vectors: Any) -> Any:
    return vectors[::60]


def make_lists(vectors: Any, *, num_probed: int, available: Any = None) -> InvertedLists:
    if available is None:
        available = np.ones(len(vectors), bool)
    centroids = fit_centroids(vectors, num_lists=20)
    return InvertedLists(vectors, centroids, available=available, num_probed=num_probed, num_kept=KEPT)


def best_of(scores: Any, k: int = KEPT) -> list[set[int]]:
    return [set(row.tolist()) for row in np.argsort(-scores, axis=1)[:, :k]]


def found(answer: tuple[tf.Tensor, tf.Tensor]) -> list[set[int]]:
    rows, _ = answer
    return [set(row[row >= 0].tolist()) for row in rows.numpy()]


def test_centres_are_means_of_what_is_nearest_to_them(vectors: Any) -> None:
    centroids = fit_centroids(vectors, num_lists=20)
    lists = nearest_lists(vectors, centroids)

    random = vectors[:20]
    assert (vectors * centroids[lists]).sum() > 1.05 * (vectors @ random.T).max(axis=1).sum()
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(lists, np.argmax(vectors @ centroids.T, axis=1))


def test_more_lists_than_items_are_not_made(vectors: Any) -> None:
    assert len(fit_centroids(vectors[:3], num_lists=20)) == 3
    assert len(fit_centroids(vectors[:9])) == 6


def test_whole_catalogue_is_exact(vectors: Any, queries: Any) -> None:
    lists = make_lists(vectors, num_probed=NUM_ITEMS)
    said = np.random.default_rng(0).normal(size=(len(queries), NUM_ITEMS)).astype(np.float32)

    rows, cosines = lists(tf.constant(queries), tf.constant(said))

    assert found((rows, cosines)) == best_of(queries @ vectors.T + said)
    assert (np.diff(rows.numpy(), axis=1) > 0).all()
    np.testing.assert_allclose(
        cosines, np.take_along_axis(queries @ vectors.T, rows.numpy(), axis=1), atol=1e-6
    )


def test_few_lists_have_most_of_the_nearest(vectors: Any, queries: Any) -> None:
    rows = make_lists(vectors, num_probed=NUM_ITEMS // 5)(tf.constant(queries), tf.zeros([10, NUM_ITEMS]))

    shared = [len(a & b) for a, b in zip(found(rows), best_of(queries @ vectors.T), strict=True)]
    assert np.mean(shared) > 0.9 * KEPT


def test_what_is_said_far_away_is_found(vectors: Any, queries: Any) -> None:
    farthest = np.argsort(queries @ vectors.T, axis=1)[:, :2]
    said = np.zeros((len(queries), NUM_ITEMS), np.float32)
    np.put_along_axis(said, farthest[:, :1], 3.0, axis=1)
    further = np.concatenate([farthest[:, 1:], np.full((len(queries), 1), -1)], axis=1).astype(np.int32)
    lists = make_lists(vectors, num_probed=10)

    rows = found(lists(tf.constant(queries), tf.constant(said), further=tf.constant(further)))
    alone = found(lists(tf.constant(queries), tf.zeros([10, NUM_ITEMS])))

    few = make_lists(vectors, num_probed=1)
    assert all(
        far[0] in row and far[0] not in other for far, row, other in zip(farthest, rows, alone, strict=True)
    )
    looked_at = found(few(tf.constant(queries), tf.constant(said), further=tf.constant(further)))
    assert all(len(row) == KEPT or far[1] in row for far, row in zip(farthest, looked_at, strict=True))


@pytest.mark.parametrize("num_open", [0, 1, 5, 40])
def test_rule_that_leaves_few_far_away_leaves_all_of_them(vectors: Any, queries: Any, num_open: int) -> None:
    cosines = queries @ vectors.T
    farthest = np.argsort(cosines, axis=1)[:, :num_open]
    said = np.full(cosines.shape, -np.inf, np.float32)
    np.put_along_axis(said, farthest, 0.0, axis=1)

    rows = make_lists(vectors, num_probed=60)(tf.constant(queries), tf.constant(said), is_narrow=True)

    assert found(rows) == [
        best & set(far.tolist())
        for best, far in zip(best_of(cosines + said, min(num_open, KEPT)), farthest, strict=True)
    ]


def test_rows_of_a_batch_do_not_change_each_other(vectors: Any, queries: Any) -> None:
    lists = make_lists(vectors, num_probed=60)
    said = np.zeros((len(queries), NUM_ITEMS), np.float32)
    said[1, 10:] = -np.inf
    is_narrow = np.arange(len(queries)) == 1

    together = lists(tf.constant(queries), tf.constant(said), is_narrow=tf.constant(is_narrow))

    for row in range(len(queries)):
        alone = lists(queries[row : row + 1], said[row : row + 1], is_narrow=is_narrow[row : row + 1])
        np.testing.assert_array_equal(together[0][row], alone[0][0])
    assert found(together)[1] == set(range(10))


def test_unavailable_items_take_no_place_of_what_is_looked_at(vectors: Any, queries: Any) -> None:
    available = np.arange(NUM_ITEMS) % 10 == 0
    said = np.where(available, 0.0, -np.inf).astype(np.float32)[None].repeat(len(queries), axis=0)

    rows = make_lists(vectors, num_probed=60, available=available)(tf.constant(queries), tf.constant(said))

    assert found(rows) == best_of(queries @ vectors.T + said)


def test_cosines_come_in_the_order_of_the_catalogue(vectors: Any, queries: Any) -> None:
    lists = make_lists(vectors, num_probed=60)
    rows = np.arange(7, dtype=np.int32)[None].repeat(len(queries), axis=0) * 80

    np.testing.assert_allclose(lists.cosines(tf.constant(queries)), queries @ vectors.T, atol=1e-6)
    here = lists.cosines_of(tf.constant(queries), tf.constant(rows))
    np.testing.assert_allclose(here, (queries @ vectors.T)[:, rows[0]], atol=1e-6)
    np.testing.assert_array_equal(lists.vectors_of(tf.constant([5, 3])), vectors[[5, 3]])
