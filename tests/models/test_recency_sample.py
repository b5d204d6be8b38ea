from __future__ import annotations

import numpy as np
import pytest

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
