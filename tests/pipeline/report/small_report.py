"""A report with something in every section."""

from __future__ import annotations

from components.retrieval_evaluator.evaluation import Difference, MetricRow
from components.retrieval_evaluator.record import Example, ExampleList, ListedItem
from components.verdict import Verdict
from dataset.findings import Example as WrongValue
from dataset.findings import Finding, Findings
from pipeline.report.report import (
    Calibration,
    CalibrationBin,
    Curve,
    Drift,
    NodeCost,
    ReportData,
)

OURS = "tandem"
_VALUES = {
    ("novel", "recall@20"): {OURS: 0.1234, "ease": 0.0812, "popular": 0.0492},
    ("novel", "ndcg@10"): {OURS: 0.1311, "ease": 0.0847, "popular": 0.0606},
    ("novel", "mrr"): {OURS: 0.2713, "ease": 0.1993, "popular": 0.1571},
    ("all", "recall@20"): {OURS: 0.2187, "ease": 0.1601, "popular": 0.0642, "repeat": 0.2177},
    ("all", "ndcg@10"): {OURS: 0.3284, "ease": 0.2441, "popular": 0.1175, "repeat": 0.3327},
    ("search", "ndcg@10"): {OURS: 0.6512, "lexical": 0.6185},
    ("search", "recall@100"): {OURS: 0.9127, "lexical": 0.8719},
}


def _rows() -> tuple[MetricRow, ...]:
    rows = [
        MetricRow(
            system=system,
            task=task,
            metric=metric,
            value=value,
            low=value * 0.93,
            high=value * 1.08,
            num=105 if task == "search" else 1296,
            slice=slice_,
        )
        for (task, metric), values in _VALUES.items()
        for slice_, factor in (("", 1.0), ("user=cold", 0.8), ("country=France", 1.1))
        for system, value in ((name, factor * value) for name, value in values.items())
    ]
    coverage = [
        MetricRow(
            system=system, task="novel", metric="coverage@20", value=value, low=None, high=None, num=1296
        )
        for system, value in ((OURS, 0.4812), ("ease", 0.3141), ("popular", 0.0233))
    ]
    return (*rows, *coverage)


def _items(relevant: int) -> tuple[ListedItem, ...]:
    titles = (
        "REGENCY CAKESTAND 3 TIER",
        "<script>alert('1')</script> & a title that is much too long for one line of a narrow list",
        "JUMBO BAG RED RETROSPOT",
        "",
    )
    return tuple(
        ListedItem(item_id=f"2242{n}", title=title, score=0.93 - 0.1 * n, is_relevant=n == relevant)
        for n, title in enumerate(titles)
    )


def small_report() -> ReportData:
    wrong = WrongValue(file="items.csv", row=17, value="")
    return ReportData(
        dataset="online-retail",
        created="2025-01-31T12:30:00",
        summary={"items": "4,544", "users": "5,761", "events": "757,307", "test from": "2011-10-16"},
        ours=OURS,
        rows=_rows(),
        differences=(
            Difference(
                system=OURS,
                baseline="ease",
                task="novel",
                metric="recall@20",
                value=0.042,
                low=0.035,
                high=0.049,
                num=1296,
            ),
            Difference(
                system=OURS,
                baseline="repeat",
                task="all",
                metric="recall@20",
                value=0.001,
                low=-0.005,
                high=0.007,
                num=1387,
            ),
            Difference(
                system=OURS,
                baseline="lexical",
                task="search",
                metric="ndcg@10",
                value=-0.033,
                low=-0.05,
                high=-0.01,
                num=105,
            ),
        ),
        curves=(
            Curve(phase="train", metric="loss", steps=(0, 100, 200, 300), values=(6.2, 4.1, 3.3, 3.0)),
            Curve(phase="validation", metric="loss", steps=(100, 200, 300), values=(4.4, 3.8, 3.7)),
            Curve(phase="validation", metric="recall@20", steps=(100, 200, 300), values=(0.05, 0.09, 0.11)),
        ),
        calibrations=(
            Calibration(
                head="purchase",
                bins=tuple(
                    CalibrationBin(mean_predicted=p, mean_label=p * 0.9 + 0.01, count=int(4000 * (0.5 - p)))
                    for p in (0.02, 0.08, 0.15, 0.24, 0.38)
                ),
            ),
        ),
        findings=Findings(
            rows={"items": 4544},
            findings=(
                Finding(
                    rule="empty_text",
                    table="items",
                    column="Description",
                    expected="have text in at least one text column",
                    count=3,
                    examples=(wrong,),
                ),
            ),
        ),
        drift=(
            Drift(table="events", column="item_id", is_categorical=True, distance=0.213, limit=0.1),
            Drift(table="items", column="Price", is_categorical=False, distance=0.012, limit=0.1),
        ),
        skew=(
            Drift(table="interactions", column="query", is_categorical=True, distance=0.004, limit=0.1),
            Drift(table="interactions", column="value", is_categorical=False, distance=0.31, limit=0.1),
        ),
        choices=("The token table encodes queries: nDCG@10 is 0.612 with it & 0.615 with the encoder.",),
        examples=(
            Example(
                query="cake stand",
                lists=(
                    ExampleList(system=OURS, items=_items(0)),
                    ExampleList(system="lexical", items=_items(2)),
                ),
            ),
            Example(
                user_id="12471",
                history=("PACK OF 72 RETROSPOT CAKE CASES", "HANGING HEART T-LIGHT HOLDER"),
                lists=(ExampleList(system=OURS, items=_items(1)), ExampleList(system="ease", items=())),
            ),
        ),
        configuration={"model": {"encoder": "minilm", "lora_rank": 8}, "metrics": ["recall@20", "ndcg@10"]},
        versions={"python": "3.11.7", "tensorflow": "2.21.0"},
        nodes=(
            NodeCost(node="CsvExampleGen", wall_time_s=8.2, peak_memory_mb=812.0, is_cached=True),
            NodeCost(node="Trainer", wall_time_s=93.4, peak_memory_mb=3120.5, is_cached=False),
            NodeCost(node="Pusher", wall_time_s=0.3, peak_memory_mb=None, is_cached=False),
        ),
        gate=Verdict(is_blessed=True, reasons=("NOVEL recall@20 is 0.042 above the best baseline.",)),
    )
