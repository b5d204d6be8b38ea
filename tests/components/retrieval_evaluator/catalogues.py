"""The catalogue that a served model of the tests is asked with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.retrieval_evaluator.evaluation_data import Items


def items_of(ids: Sequence[str]) -> Items:
    """Items whose titles are their ids."""
    return Items(
        ids=tuple(ids),
        titles=tuple(ids),
        columns={"title": list(ids)},
        language="english",
        text_vectors=np.zeros((len(ids), 2), np.float32),
    )
