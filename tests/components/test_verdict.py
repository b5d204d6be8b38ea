from __future__ import annotations

import dataclasses

import pytest

from components.retrieval_evaluator.config import EvaluationConfig
from components.retrieval_evaluator.evaluation import Difference, MetricRow
from components.retrieval_evaluator.record import EvaluationRecord
from components.verdict import decide

STRICT = EvaluationConfig(
    min_ratio_to_best_baseline=1.0, min_ratio_to_zero_shot=0.9, max_loss_to_blessed=0.05
)


def _measured(**values: float) -> EvaluationRecord:
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
    differences = []
    for task in ("novel", "search"):
        ours, blessed = values.get(f"{task}__tandem"), values.get(f"{task}__last_blessed")
        if ours is not None and blessed is not None:
            gain = ours - blessed
            differences.append(
                Difference(
                    system="tandem",
                    baseline="last blessed",
                    task=task,
                    metric="ndcg@10",
                    value=gain,
                    low=gain - 0.1,
                    high=gain + 0.1,
                    num=10,
                )
            )
    return EvaluationRecord(ours="tandem", rows=tuple(rows), differences=tuple(differences))


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
        ({}, False),
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


def test_best_baseline_counts_and_no_channel() -> None:
    values = {"novel__popular": 0.1, "novel__EASE": 0.3, "novel__channel_next": 0.9}

    assert decide(_measured(novel__tandem=0.3, **values), STRICT).is_blessed
    assert not decide(_measured(novel__tandem=0.29, **values), STRICT).is_blessed


def test_task_is_what_the_owner_says() -> None:
    measured = _measured(novel__tandem=0.1, novel__popular=0.2, all__tandem=0.2, all__popular=0.1)

    assert not decide(measured, STRICT).is_blessed
    assert decide(measured, EvaluationConfig(task="reorder")).is_blessed


@pytest.mark.parametrize(
    ("num", "ours", "is_blessed"), [(50, 0.15, False), (50, 0.17, True), (49, 0.1, True)]
)
def test_users_with_little_history_have_a_floor_where_there_are_many(
    num: int, ours: float, is_blessed: bool
) -> None:
    measured = _measured(novel__tandem=0.3, novel__popular=0.2)
    cold = tuple(
        dataclasses.replace(row, value=ours if row.system == "tandem" else 0.2, num=num)
        if row.slice == "user=cold"
        else row
        for row in measured.rows
    )

    assert decide(dataclasses.replace(measured, rows=cold), STRICT).is_blessed is is_blessed


def test_nothing_measured_is_not_blessed_and_says_why() -> None:
    verdict = decide(dataclasses.replace(_measured(), tasks=("novel", "all")), STRICT)

    assert not verdict.is_blessed
    assert verdict.reasons == (
        "Recommendation of new items was not measured, as no user of the test window chose something before "
        "it and something new to them in it; give the window more, or say evaluation.allow_unmeasured = "
        "true.",
    )


def test_one_task_that_was_not_measured_is_enough() -> None:
    measured = _measured(**{"search__tandem": 0.3, "search__zero-shot_encoder": 0.2})

    assert decide(dataclasses.replace(measured, tasks=("search",)), STRICT).is_blessed
    assert not decide(dataclasses.replace(measured, tasks=("novel", "all", "search")), STRICT).is_blessed


def test_repeats_alone_measure_a_reorder_page() -> None:
    measured = dataclasses.replace(_measured(all__tandem=0.3, all__popular=0.2), tasks=("novel", "all"))

    assert not decide(measured, EvaluationConfig()).is_blessed
    assert decide(measured, EvaluationConfig(task="reorder")).is_blessed


def test_unmeasured_model_is_blessed_where_the_configuration_says_so() -> None:
    unmeasured = dataclasses.replace(_measured(), tasks=("novel", "all"))

    verdict = decide(unmeasured, EvaluationConfig(allow_unmeasured=True))

    assert verdict.is_blessed
    assert verdict.reasons[0].endswith("which evaluation.allow_unmeasured accepts.")


def test_floors_of_zero_bless_anything() -> None:
    lenient = EvaluationConfig(min_ratio_to_best_baseline=0, min_ratio_to_zero_shot=0, max_loss_to_blessed=1)

    assert decide(
        _measured(novel__tandem=0.0, novel__popular=0.9, novel__last_blessed=0.9), lenient
    ).is_blessed


@pytest.mark.parametrize(("blessed", "is_blessed"), [(0.199, True), (0.2, False), (0.201, False)])
def test_model_must_be_better_than_the_blessed_one_on_a_new_span(blessed: float, is_blessed: bool) -> None:
    lenient = EvaluationConfig(max_loss_to_blessed=1)

    gate = decide(_measured(novel__tandem=0.2, novel__last_blessed=blessed), lenient, is_new_span=True)

    assert gate.is_blessed is is_blessed


def test_reason_on_a_new_span_is_the_paired_difference() -> None:
    gate = decide(_measured(novel__tandem=0.2, novel__last_blessed=0.25), STRICT, is_new_span=True)

    assert gate.reasons == (
        "Recommendation of new items on the new span: nDCG@10 is 0.200 against 0.250 (last blessed), not "
        "better: -0.0500, paired over the same 10 users, 95 % interval -0.1500 to +0.0500.",
    )


def test_search_is_held_to_the_same_on_a_new_span_as_queries_have_none() -> None:
    measured = _measured(search__tandem=0.2, search__last_blessed=0.205)

    assert decide(measured, STRICT, is_new_span=True).is_blessed
