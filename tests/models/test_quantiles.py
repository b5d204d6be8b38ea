from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import norm

from models.quantiles import QuantileNormalisation

NUM_KNOTS = 16


def by_interpolation(examples: np.ndarray, asked: np.ndarray, num_knots: int) -> np.ndarray:
    """One feature: linear between the distinct knots, whose equal ones share their mean."""
    gauss = norm.ppf((np.arange(num_knots) / (num_knots - 1)) * (1 - 1 / num_knots) + 0.5 / num_knots)
    knots: dict[float, list[float]] = {}
    quantiles = np.quantile(examples, np.linspace(0, 1, num_knots)).astype(np.float32)
    for knot, value in zip(quantiles.tolist(), gauss.tolist(), strict=True):
        knots.setdefault(knot, []).append(value)
    return np.interp(asked, list(knots), [np.mean(values) for values in knots.values()])


@pytest.fixture(scope="module")
def examples() -> np.ndarray:
    """Smooth, mostly zero, a constant, two values, and integers with long tails."""
    rng = np.random.default_rng(0)
    columns = (
        rng.normal(size=500),
        np.where(rng.random(500) < 0.8, 0.0, rng.random(500)),
        np.full(500, 3.0),
        rng.choice([-1.0, 1.0], 500),
        np.floor(rng.exponential(30.0, 500)),
    )
    return np.stack(columns, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def layer(examples: np.ndarray) -> QuantileNormalisation:
    layer = QuantileNormalisation(5, num_knots=NUM_KNOTS)
    layer.adapt(examples)
    return layer


def test_values_are_interpolated_between_the_quantiles(
    examples: np.ndarray, layer: QuantileNormalisation
) -> None:
    rng = np.random.default_rng(1)
    asked = np.concatenate([examples[:100], rng.normal(scale=40, size=(300, 5)).astype(np.float32)])

    found = layer(tf.constant(asked.reshape(20, 20, 5))).numpy().reshape(-1, 5)

    for feature in range(5):
        expected = by_interpolation(examples[:, feature], asked[:, feature], NUM_KNOTS)
        np.testing.assert_allclose(found[:, feature], expected, atol=1e-3, err_msg=str(feature))


def test_beyond_the_outermost_knots_it_is_flat(examples: np.ndarray, layer: QuantileNormalisation) -> None:
    low, high = examples.min(axis=0), examples.max(axis=0)

    np.testing.assert_array_equal(layer(low[None] - 1e6), layer(low[None]))
    np.testing.assert_array_equal(layer(high[None] + 1e6), layer(high[None]))
    assert np.isfinite(layer(np.array([[np.inf, -np.inf, 0, 0, 0]], np.float32))).all()


def test_order_is_kept(layer: QuantileNormalisation) -> None:
    asked = np.linspace(-5, 300, 2000, dtype=np.float32)[:, None].repeat(5, axis=1)

    assert (np.diff(layer(asked), axis=0) >= -1e-6).all()


def test_smooth_feature_becomes_normal() -> None:
    skewed = np.random.default_rng(0).exponential(30.0, (4000, 1)).astype(np.float32)
    layer = QuantileNormalisation(1)
    layer.adapt(skewed)

    found = np.sort(layer(skewed).numpy().ravel())

    expected = norm.ppf((np.arange(4000) + 0.5) / 4000)
    np.testing.assert_allclose(found[200:-200], expected[200:-200], atol=0.1)


def test_constant_feature_is_zero_whatever_it_is(layer: QuantileNormalisation) -> None:
    asked = np.zeros((3, 5), np.float32)
    asked[:, 2] = 2.0, 3.0, 4.0

    np.testing.assert_allclose(layer(asked).numpy()[:, 2], 0.0, atol=1e-6)


def test_config_makes_the_same_layer(layer: QuantileNormalisation, examples: np.ndarray) -> None:
    other = QuantileNormalisation.from_config(layer.get_config())
    other.set_weights(layer.get_weights())

    np.testing.assert_array_equal(other(examples), layer(examples))
    assert not other.trainable_variables
