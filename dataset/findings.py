"""Findings about a dataset's rows, counted by rule, with the first few examples."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from dataset.contract import Limits
from dataset.errors import DataError

NUM_EXAMPLES = 3


@dataclasses.dataclass(frozen=True, kw_only=True, order=True)
class Example:
    """One wrong value. Row 1 is the first row of data of its file, after the header if there is one."""

    file: str
    row: int
    value: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """The rows of one table that break one rule in one column.

    Attributes:
        rule: The field of `Limits` that bounds it.
        table: ``items``, ``users``, ``events``, ``judgments`` or ``queries``; or a part of one, of which
            `Findings.rows` has the size.
        column: The column as the file names it.
        expected: What must hold, as the end of "column … must …".
        count: How many rows break it.
        examples: The first by file and row, at most `NUM_EXAMPLES`.
        got: What there is instead, for people; empty leaves that to the examples.
    """

    rule: str
    table: str
    column: str
    expected: str
    count: int
    examples: tuple[Example, ...]
    got: str = ""

    def sentence(self) -> str:
        """Names files, rows, column, what is expected and what is there."""
        by_file: dict[str, list[Example]] = {}
        for example in self.examples:
            by_file.setdefault(example.file, []).append(example)
        places = " and ".join(
            f"{file}, row{'s' if len(examples) > 1 else ''} {', '.join(str(e.row) for e in examples)}"
            for file, examples in by_file.items()
        )
        if not self.examples:
            return f'column "{self.column}" must {self.expected}. Got {self.got}'
        values = ", ".join(f'"{value}"' for value in dict.fromkeys(e.value for e in self.examples))
        more = ", …" if self.count > len(self.examples) else ""
        return f'{places}: column "{self.column}" must {self.expected}. Got {self.got or values + more}'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """Counts that merge in any order, so that each batch is looked at on its own.

    Attributes:
        rows: Rows read, by table.
        findings: At most one for each rule, table and column.
    """

    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def __add__(self, other: Findings) -> Findings:
        rows = {
            table: self.rows.get(table, 0) + other.rows.get(table, 0) for table in {**self.rows, **other.rows}
        }
        merged: dict[tuple[str, str, str], Finding] = {}
        for finding in (*self.findings, *other.findings):
            key = (finding.table, finding.rule, finding.column)
            first = merged.get(key)
            if first is not None:
                examples = sorted((*first.examples, *finding.examples))[:NUM_EXAMPLES]
                finding = dataclasses.replace(
                    finding, count=first.count + finding.count, examples=tuple(examples)
                )
            merged[key] = finding
        return Findings(rows=rows, findings=tuple(merged[key] for key in sorted(merged)))

    def share(self, finding: Finding) -> float:
        """The part of its table's rows that a finding concerns, from 0 to 1."""
        return finding.count / max(self.rows.get(finding.table, 0), 1)

    def past_limits(self, limits: Limits) -> list[Finding]:
        """The findings above their limit, the largest share first."""
        past = [f for f in self.findings if self.share(f) > getattr(limits, f.rule)]
        return sorted(past, key=self.share, reverse=True)

    def raise_past(self, limits: Limits) -> None:
        """Stops the run when the data is worse than the manifest allows.

        Raises:
            DataError: A finding is above its limit.
        """
        past = self.past_limits(limits)
        if past:
            worst, more = past[0], len(past) - 1
            rows = self.rows.get(worst.table, 0)
            others = (
                f"; {more} more rule{'s are' if more > 1 else ' is'} broken, see `tandem check`"
                if more
                else ""
            )
            raise DataError(
                f"{worst.sentence()} ({worst.count:,} of {rows:,} rows, limits.{worst.rule} allows "
                f"{getattr(limits, worst.rule):g}{others})."
            )

    def to_json(self) -> str:
        """JSON text that `from_json` turns into equal findings."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Findings:
        """The inverse of `to_json`."""
        document = json.loads(text)
        findings = tuple(
            Finding(**{**entry, "examples": tuple(Example(**example) for example in entry["examples"])})
            for entry in document["findings"]
        )
        return cls(rows=document["rows"], findings=findings)
