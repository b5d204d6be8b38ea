from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from dataset.contract import Limits
from dataset.errors import DataError
from dataset.findings import Example, Finding, Findings


def _finding(rule: str = "bad_times", count: int = 1, row: int = 1, file: str = "a.csv") -> Finding:
    example = Example(file=file, row=row, value=f"v{row}")
    return Finding(
        rule=rule, table="events", column="at", expected="be a time", count=count, examples=(example,)
    )


def test_sum_adds_counts_and_keeps_the_first_three_examples() -> None:
    total = Findings()
    for row in (5, 3, 9, 1):
        total += Findings(rows={"events": 10}, findings=(_finding(row=row),))

    (finding,) = total.findings
    assert total.rows == {"events": 40}
    assert finding.count == 4
    assert [example.row for example in finding.examples] == [1, 3, 5]


def test_json_round_trip_is_the_identity() -> None:
    findings = Findings(rows={"events": 3}, findings=(_finding(),))

    assert Findings.from_json(findings.to_json()) == findings


def test_share_at_the_limit_passes_and_above_it_stops() -> None:
    findings = Findings(rows={"events": 100}, findings=(_finding(count=2),))

    findings.raise_past(Limits(bad_times=0.02))
    with pytest.raises(DataError, match=r"2 of 100 rows, limits.bad_times allows 0.019"):
        findings.raise_past(Limits(bad_times=0.019))


def test_sentence_names_every_file() -> None:
    both = Findings(findings=(_finding(),)) + Findings(findings=(_finding(file="b.csv", row=7),))

    assert both.findings[0].sentence() == (
        'a.csv, row 1 and b.csv, row 7: column "at" must be a time. Got "v1", "v7"'
    )


def test_docs_have_every_limit_with_its_default() -> None:
    table = (Path(__file__).parents[2] / "docs" / "data.md").read_text().partition("## Findings")[2]
    documented = {
        name: float(limit)
        for names, limit in re.findall(r"^\| (`.+?) \|.*\| ([\d.]+) \|$", table, re.MULTILINE)
        for name in re.findall(r"\w+", names)
    }

    assert documented == dataclasses.asdict(Limits())
