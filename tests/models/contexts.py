"""Query contexts made of plain lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.interactions import Contexts


def make_contexts(
    *,
    targets: Sequence[Sequence[int]],
    histories: Sequence[Sequence[int]] | None = None,
    weights: Sequence[Sequence[float]] | None = None,
    kinds: Sequence[Sequence[str]] | None = None,
    values: Sequence[Sequence[float]] | None = None,
    inputs: dict[str, Any] | None = None,
) -> Contexts:
    """Weights are one, kinds empty and values missing unless given."""
    past = histories or [[] for _ in targets]
    return Contexts(
        inputs={name: np.asarray(value) for name, value in (inputs or {}).items()},
        user_ids=np.array([f"user-{i}".encode() for i in range(len(targets))], object),
        times=np.zeros(len(targets), np.int64),
        queries=np.full(len(targets), b"", object),
        histories=[np.array(row, np.int64) for row in past],
        targets=[np.array(row, np.int64) for row in targets],
        weights=[np.array(row, np.float32) for row in weights or [[1.0] * len(row) for row in targets]],
        kinds=[
            np.array([kind.encode() for kind in row], object)
            for row in kinds or [[""] * len(row) for row in targets]
        ],
        values=[np.array(row, np.float32) for row in values or [[np.nan] * len(row) for row in targets]],
    )
