from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from models.channels.ridge import ease, logarithmic, next_window, normed
from tests.models.logs import DAY, NOW, decayed, met, random_log

WINDOW, HALF_LIFE = 20.0, 30.0


def test_ease_minimises_the_squared_error_with_a_zero_diagonal() -> None:
    x = np.random.default_rng(0).random((30, 7)) * (np.random.default_rng(1).random((30, 7)) < 0.4)

    weights = ease(sparse.csr_matrix(x.astype(np.float32)), 2.0)

    # Column by column: item j from all the others.
    expected = np.zeros((7, 7))
    for j in range(7):
        others = np.arange(7) != j
        gram = x[:, others].T @ x[:, others] + 2.0 * np.eye(6)
        expected[others, j] = np.linalg.solve(gram, x[:, others].T @ x[:, j])
    np.testing.assert_allclose(weights, expected, atol=1e-4)
    assert (np.diagonal(weights) == 0.0).all()


@pytest.mark.parametrize("half_weight_windows", [1.0, None])
def test_next_window_is_the_regression_of_windows_on_the_histories_before_them(
    half_weight_windows: float | None,
) -> None:
    log = random_log(num_users=12, num_events=260)

    weights = next_window(
        log,
        NOW,
        window_days=WINDOW,
        half_life_days=HALF_LIFE,
        num_windows=4,
        regularisation=3.0,
        half_weight_windows=half_weight_windows,
    )

    gram, target = 3.0 * np.eye(log.num_items), np.zeros((log.num_items, log.num_items))
    for k in range(4):
        cut = NOW - int((k + 1) * WINDOW * DAY)
        past, window = log.between(None, cut), log.between(cut, cut + int(WINDOW * DAY))
        history, bought = np.log(1 + 3 * decayed(past, cut, HALF_LIFE)), met(window)
        importance = 0.5 ** (k / half_weight_windows) if half_weight_windows else 1.0
        for x, y in zip(history, bought, strict=True):
            if x.any() and y.any():
                x = x / np.sqrt(np.linalg.norm(x))
                gram += importance * np.outer(x, x)
                target += importance * np.outer(x, y)
    assert weights is not None
    np.testing.assert_allclose(weights, np.linalg.solve(gram, target), atol=1e-4)


def test_next_window_without_a_user_who_came_back_is_none() -> None:
    log = random_log(days=15)

    assert (
        next_window(
            log,
            NOW,
            window_days=WINDOW,
            half_life_days=HALF_LIFE,
            num_windows=3,
            regularisation=1.0,
            half_weight_windows=None,
        )
        is None
    )


def test_gram_matrix_must_be_positive_definite() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="must be positive definite"):
        ease(sparse.csr_matrix(np.zeros((3, 2), np.float32)), 0.0)


def test_rows_are_divided_by_the_root_of_their_length_and_empty_ones_stay() -> None:
    matrix = sparse.csr_matrix(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))

    np.testing.assert_allclose(
        normed(matrix).toarray(), [[3 / np.sqrt(5), 4 / np.sqrt(5)], [0.0, 0.0]], rtol=1e-6
    )
    np.testing.assert_allclose(
        logarithmic(matrix).toarray(), [[np.log(10), np.log(13)], [0.0, 0.0]], rtol=1e-6
    )
