from __future__ import annotations

import pytest

from components.retrieval_evaluator.evaluation import MetricRow
from components.retrieval_evaluator.gate import decide
from components.retrieval_evaluator.systems import Measured
from pipeline.config import EvaluationConfig

STRICT = EvaluationConfig(min_ratio_to_popularity=1.0, min_ratio_to_zero_shot=0.9, max_loss_to_blessed=0.05)


def _measured(**values: float) -> Measured:
    """From ``task__system=value``; a slice and another metric stand beside it and must not be looked at."""
    rows = []
    for name, value in values.items():
        task, system = name.split("__")
        for metric, slice_, shown in (
            ("recall@20", "", 0.0),
            ("ndcg@10", "user=cold", 0.0),
            ("ndcg@10", "", value),
        ):
            rows.append(
                MetricRow(
                    system=system.replace("_", " "),
                    task=task,
                    metric=metric,
                    value=shown,
                    low=None,
                    high=None,
                    num=10,
                    slice=slice_,
                )
            )
    return Measured(rows=tuple(rows), differences=(), listed={})


@pytest.mark.parametrize(
    ("values", "is_blessed"),
    [
        ({"novel__tandem": 0.2, "novel__popular": 0.2}, True),
        ({"novel__tandem": 0.19, "novel__popular": 0.2}, False),
        ({"search__tandem": 0.46, "search__zero-shot_encoder": 0.5}, True),
        ({"search__tandem": 0.44, "search__zero-shot_encoder": 0.5}, False),
        ({"novel__tandem": 0.2, "novel__popular": 0.1, "novel__last_blessed": 0.21}, True),
        ({"novel__tandem": 0.2, "novel__popular": 0.1, "novel__last_blessed": 0.22}, False),
        (
            {
                "novel__tandem": 0.2,
                "novel__popular": 0.1,
                "search__tandem": 0.1,
                "search__zero-shot_encoder": 0.5,
            },
            False,
        ),
        ({"novel__tandem": 0.0, "novel__popular": 0.0}, True),
        ({}, True),
    ],
)
def test_model_is_blessed_if_it_holds_every_floor(values: dict[str, float], is_blessed: bool) -> None:
    assert decide(_measured(**values), STRICT).is_blessed is is_blessed


def test_reasons_say_what_was_compared() -> None:
    gate = decide(_measured(novel__tandem=0.19, novel__popular=0.2, novel__last_blessed=0.1), STRICT)

    assert gate.reasons == (
        "Recommendation of new items: nDCG@10 is 0.190, below 1 × 0.200 (popular).",
        "Recommendation of new items: nDCG@10 is 0.190, at least 0.95 × 0.100 (last blessed).",
    )


def test_nothing_measured_is_said() -> None:
    assert decide(_measured(), STRICT).reasons == ("There was nothing to measure in the test split.",)


def test_floors_of_zero_bless_anything() -> None:
    lenient = EvaluationConfig(min_ratio_to_popularity=0, min_ratio_to_zero_shot=0, max_loss_to_blessed=1)

    assert decide(
        _measured(novel__tandem=0.0, novel__popular=0.9, novel__last_blessed=0.9), lenient
    ).is_blessed
