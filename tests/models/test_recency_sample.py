from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.recency_sample import RecencySample, recency

DAY = 86_400


def test_recency_halves_with_every_half_life() -> None:
    times = np.array([100 * DAY, 90 * DAY, 70 * DAY, 0], np.int64)

    np.testing.assert_allclose(recency(times, 100 * DAY, 10.0), [1.0, 0.5, 0.125, 1.0])


def test_few_contexts_are_all_drawn_and_weigh_as_ever() -> None:
    recencies = np.array([1.0, 0.25], np.float32)
    sample = RecencySample.of(recencies, 2)

    assert sample.is_all
    assert sample.num_contexts == 2
    np.testing.assert_array_equal(sample.probability(recencies), [1.0, 1.0])
    np.testing.assert_array_equal(sample.weight(recencies), recencies)


@pytest.mark.parametrize("most", [1, 7, 300, 999])
def test_many_contexts_are_drawn_by_recency_as_many_as_there_may_be(most: int) -> None:
    recencies = (0.5 ** np.random.default_rng(0).uniform(0, 30, 1000)).astype(np.float32)
    sample = RecencySample.of(recencies, most)
    probabilities = sample.probability(recencies).numpy()

    assert sample.num_contexts == most
    assert probabilities.sum() == pytest.approx(most, rel=1e-4)
    assert (np.diff(probabilities[np.argsort(recencies)]) >= 0).all()
    # On average each context has the weight that it would have without a sample.
    np.testing.assert_allclose(probabilities * sample.weight(recencies).numpy(), recencies, rtol=1e-5)


def drawn_in_passes(recencies: np.ndarray, most: int, *, seed: int = 3) -> list[int]:
    """The records, whose text is their place, of the first passes."""
    sample = RecencySample.of(recencies, most)
    records = tf.data.Dataset.from_tensor_slices([str(place).encode() for place in range(len(recencies))])
    table = tf.constant(recencies, tf.float32)
    passes = sample.passes(records, lambda r: tf.gather(table, tf.strings.to_number(r, tf.int32)), seed=seed)
    return [int(record) for record in passes.take(4 * most).as_numpy_iterator()]


def test_number_of_contexts_of_an_epoch_does_not_grow_with_the_log() -> None:
    """Each record of a log is as old as its place says, and the first are the newest."""
    recencies = 0.5 ** (np.arange(5000) / 250)
    drawn = drawn_in_passes(recencies, 300)

    # Four epochs' worth of records come from about four passes: nothing twice in one of them.
    counts = np.bincount(drawn, minlength=5000)
    assert counts.max() <= 5
    expected = 4 * RecencySample.of(recencies, 300).probability(recencies.astype(np.float32)).numpy()
    for part in np.split(np.arange(5000), [250, 500, 1000, 2500]):
        assert counts[part].sum() == pytest.approx(
            float(expected[part].sum()), abs=4 * (1.0 + float(expected[part].sum()) ** 0.5)
        )
    assert drawn == drawn_in_passes(recencies, 300)
    assert drawn != drawn_in_passes(recencies, 300, seed=4)


def test_every_context_of_a_small_log_is_in_every_epoch() -> None:
    drawn = drawn_in_passes(np.full(40, 0.5), 40)

    assert sorted(drawn[:40]) == sorted(drawn[40:80]) == list(range(40))
    assert drawn[:40] != drawn[40:80]
