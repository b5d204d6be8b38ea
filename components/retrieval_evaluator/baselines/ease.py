"""EASE: a linear item-item model in closed form."""

from __future__ import annotations

from typing import Self

import numpy as np

from components.retrieval_evaluator.baselines.base import Array, Channel, Interactions, Queries
from dataset.errors import DataError
from models.channels.ridge import ease


class Ease(Channel):
    """Predicts a user's items from their other items, by ridge regression with a zero diagonal.

    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019. Fitting inverts a float32
    `[num_items, num_items]` matrix: 4 bytes and about `num_items` multiplications for each entry.

    Attributes:
        weights: float32 `[num_items, num_items]` from an item of the history to a candidate, set by `fit`.
        is_known: bool `[num_items]`, the items with events, set by `fit`.
    """

    name = "ease"

    def __init__(self, *, regularisation: float = 500.0, max_items: int = 20_000) -> None:
        self.regularisation = regularisation
        self.max_items = max_items

    def fit(self, interactions: Interactions) -> Self:
        """Solves for the weights of all items at once.

        Raises:
            DataError: The catalogue is larger than `max_items`.
        """
        num_items = interactions.num_items
        if num_items > self.max_items:
            gigabytes = num_items**2 * 4 / 1e9
            raise DataError(
                f"EASE inverts a matrix over all items and must have at most {self.max_items:,} of them. Got "
                f"{num_items:,}, a matrix of {gigabytes:,.1f} GB; use item neighbours, or raise the limit."
            )
        users_items = interactions.binary()
        self.is_known = np.asarray(users_items.sum(axis=0)).ravel() > 0
        self.weights = ease(users_items, self.regularisation)
        return self

    def score(self, queries: Queries) -> Array:
        """Predicted interest: float32 `[num_queries, num_items]`; items without events are ``-inf``."""
        histories = queries.history_counts().astype(np.float32)
        histories.data[:] = 1.0
        scores: Array = histories @ self.weights
        scores[:, ~self.is_known] = -np.inf
        return scores
