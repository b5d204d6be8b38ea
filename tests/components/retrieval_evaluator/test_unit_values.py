from __future__ import annotations

import numpy as np

from components.retrieval_evaluator.names import NOVEL, SEARCH
from components.retrieval_evaluator.unit_values import UnitValues


def of_queries(**values: float) -> UnitValues:
    return UnitValues(
        units={SEARCH: np.array(list(values), str)},
        values={(SEARCH, "ndcg@10"): np.array(list(values.values()))},
    )


def test_pairs_are_of_the_queries_that_both_have() -> None:
    ours = of_queries(lamp=0.5, chair=0.25, table=np.nan, sofa=1.0)
    theirs = of_queries(bed=0.75, sofa=0.5, table=0.5, lamp=0.125)

    paired = ours.paired(theirs, SEARCH, "ndcg@10")

    assert sorted(zip(*(part.tolist() for part in paired), strict=True)) == [(0.5, 0.125), (1.0, 0.5)]


def test_what_one_has_not_measured_has_no_pairs() -> None:
    ours = of_queries(lamp=0.5)

    for metric, task in (("mrr", SEARCH), ("ndcg@10", NOVEL)):
        assert [len(part) for part in ours.paired(ours, task, metric)] == [0, 0]
        assert not len(ours.known(task, metric))


def test_known_values_are_those_that_are_defined() -> None:
    assert of_queries(lamp=0.5, table=np.nan).known(SEARCH, "ndcg@10").tolist() == [0.5]


def test_mean_is_of_each_query_that_all_have() -> None:
    mean = UnitValues.mean([of_queries(lamp=0.5, chair=1.0), of_queries(bed=0.0, chair=0.5, lamp=0.25)])

    found = zip(mean.units[SEARCH].tolist(), mean.values[SEARCH, "ndcg@10"].tolist(), strict=True)
    assert dict(found) == {"chair": 0.75, "lamp": 0.375}


def test_file_holds_texts_and_rows_without_pickles() -> None:
    queries = of_queries(übergröße=0.5, lamp=np.nan)
    users = UnitValues(
        units={NOVEL: np.array([3, 7], np.int32)}, values={(NOVEL, "recall@20"): np.array([0.0, 1.0])}
    )
    both = UnitValues(units={**queries.units, **users.units}, values={**queries.values, **users.values})

    read = UnitValues.from_bytes(both.to_bytes())

    assert read.units.keys() == both.units.keys()
    assert read.values.keys() == both.values.keys()
    for task in both.units:
        np.testing.assert_array_equal(read.units[task], both.units[task])
    for measured in both.values:
        np.testing.assert_array_equal(read.values[measured], both.values[measured])
