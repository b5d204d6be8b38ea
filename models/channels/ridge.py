"""Ridge regressions over items in closed form: EASE, and its kin that predicts the next window."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from models.event_log import DAY_S, EventLog

Array = np.ndarray[Any, Any]


def logarithmic(decayed: sparse.csr_matrix) -> sparse.csr_matrix:
    """``log(1 + 3 · x)`` of each entry."""
    matrix = decayed.copy()
    matrix.data = np.log1p(3.0 * matrix.data)
    return matrix


def normed(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows divided by the square root of their length."""
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sparse.diags((1.0 / np.sqrt(np.maximum(norms, 1e-12))).astype(np.float32)) @ matrix


def ease(users_items: sparse.csr_matrix, regularisation: float) -> Array:
    """Predicts each item of a user from the others.

    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.

    Args:
        users_items: CSR ``[num_users, num_items]``.
        regularisation: Added to the diagonal of the Gram matrix.

    Returns:
        float32 ``[num_items, num_items]``, from an item of the history to a candidate, with a zero diagonal.
    """
    gram = _gram(users_items)
    gram[np.diag_indices_from(gram)] += np.float32(regularisation)
    inverse = _inverse(gram)
    inverse /= -np.diagonal(inverse).copy()
    np.fill_diagonal(inverse, 0.0)
    return inverse


def next_window(
    log: EventLog,
    now: int,
    *,
    window_days: float,
    half_life_days: float,
    num_windows: int,
    regularisation: float,
    half_weight_windows: float | None,
) -> Array | None:
    """Predicts what is bought in the window after a moment from the history at that moment.

    The rows of the regression are users at past cuts, ``window_days`` apart: their history at the cut, and
    the items of the window after it, those they had before too. It learns trend, season and repeats at once.

    Args:
        log: Events; none at or after ``now`` is looked at.
        now: Epoch seconds.
        window_days: Length of a window.
        half_life_days: Of the weights in a history.
        num_windows: Cuts, the last of them one window before ``now``.
        regularisation: Added to the diagonal of the Gram matrix.
        half_weight_windows: Windows after which a cut counts half; ``None`` for all alike.

    Returns:
        float32 ``[num_items, num_items]``, or ``None`` where no past window has users with a history.
    """
    num_items, window = log.num_items, int(window_days * DAY_S)
    gram, target = (np.zeros((num_items, num_items), np.float32) for _ in range(2))
    has_users = False
    for k in range(num_windows):
        cut = now - (k + 1) * window
        history = logarithmic(log.between(None, cut).decayed(cut, half_life_days))
        bought = log.between(cut, cut + window).binary()
        counts = (np.diff(history.indptr) > 0) & (np.diff(bought.indptr) > 0)
        if not counts.any():
            continue
        has_users = True
        weight = 1.0 if half_weight_windows is None else 0.5 ** (k / half_weight_windows)
        x, y = normed(history[counts]), bought[counts]
        gram += np.float32(weight) * _gram(x)
        target += np.float32(weight) * (x.T @ y).toarray()
    if not has_users:
        return None
    gram[np.diag_indices_from(gram)] += np.float32(regularisation)
    factor, failed = lapack.spotrf(np.asfortranarray(gram), lower=1, clean=1, overwrite_a=1)
    weights, failed_too = lapack.spotrs(factor, np.asfortranarray(target), lower=1, overwrite_b=1)
    _require_solved(failed or failed_too)
    return np.ascontiguousarray(weights)


def _gram(matrix: sparse.csr_matrix) -> Array:
    return (matrix.T @ matrix).toarray().astype(np.float32)


def _inverse(matrix: Array) -> Array:
    """The inverse of a symmetric positive definite matrix, through its Cholesky factor."""
    factor, failed = lapack.spotrf(np.asfortranarray(matrix), lower=1, clean=1, overwrite_a=1)
    half, failed_too = lapack.spotri(factor, lower=1, overwrite_c=1)
    _require_solved(failed or failed_too)
    inverse = np.tril(half)
    inverse += np.tril(half, -1).T
    return np.ascontiguousarray(inverse)


def _require_solved(failed: int) -> None:
    if failed:
        raise np.linalg.LinAlgError("the Gram matrix must be positive definite: is regularisation above 0?")
