"""Records of variants with known numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.retrieval_evaluator.names import NOVEL, SEARCH
from components.retrieval_evaluator.unit_values import UnitValues
from pipeline.comparison.record import VariantRecord


def make_record(
    search: Sequence[float],
    novel: Sequence[float] = (),
    *,
    training_min: float = 2.0,
    is_blessed: bool = True,
) -> VariantRecord:
    """A record whose nDCG@10 of each query and each user is given."""
    units = {
        SEARCH: np.array([f"query {n}" for n in range(len(search))], str),
        NOVEL: np.arange(len(novel), dtype=np.int32),
    }
    return VariantRecord(
        configuration={"model": {"trainable": "frozen"}},
        trained_parameters=1_234_567,
        training_min=training_min,
        servable_mb=88.25,
        request_costs={
            "search": {"latency_ms": 12.0, "cpu_ms": 9.5},
            "recommend": {"latency_ms": 10.0, "cpu_ms": 7.25},
        },
        is_blessed=is_blessed,
        reasons=("Search: nDCG@10 is good.",),
        values=UnitValues(
            units=units,
            values={(SEARCH, "ndcg@10"): np.array(search), (NOVEL, "ndcg@10"): np.array(novel)},
        ),
    )
