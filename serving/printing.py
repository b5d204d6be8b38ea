"""Printed forms of results: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence

from serving.client import Result, Results

_WORDS = {"again": "you had it", "popular": "popular now", "new": "new"}
# What breaks a line or moves the cursor of a terminal, with the space around it.
_CONTROLS = re.compile(r"\s*[\x00-\x1f\x7f-\x9f\u2028\u2029]+\s*")


def as_table(results: Sequence[Result]) -> str:
    """A table of aligned columns: rank, score, item id, title, and because if there is a because."""
    if not results:
        return "no results"
    rows = [("", "score", "item", "title", "because")]
    for rank, result in enumerate(results, start=1):
        score = f"{result.score:.4f}" if result.is_known else "not known"
        item_id, title, because = map(one_line, (result.item_id, result.title, _because(result)))
        rows.append((str(rank), score, item_id, title, because))
    if not any(row[-1] for row in rows[1:]):
        rows = [(*row[:-1], "") for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        (
            f"{rank:>{widths[0]}}  {score:>{widths[1]}}  {item_id:<{widths[2]}}  "
            f"{title:<{widths[3]}}  {reason}"
        ).rstrip()
        for rank, score, item_id, title, reason in rows
    )


def one_line(text: str) -> str:
    """The text without line breaks and other control characters, which a catalogue may have."""
    return _CONTROLS.sub(" ", text)


def _because(result: Result) -> str:
    """Why a result is recommended, in words; empty if the query is the reason."""
    speaker = result.reason_title or result.reason_item_id
    if result.reason == "history":
        return f"because of {speaker}"
    if result.reason == "words":
        return "has " + ", ".join(word for word, _ in result.matches)
    if result.reason == "text" and speaker:
        return f"like {speaker}"
    return _WORDS.get(result.reason, "")


def as_json(results: Results) -> str:
    """One JSON document: ``{"results": [{"rank": 1, "item_id": …, …}, …], "corrected_query": …}``."""
    entries = [{"rank": rank, **dataclasses.asdict(result)} for rank, result in enumerate(results, start=1)]
    document = {"results": entries, "corrected_query": results.corrected_query}
    return json.dumps(document, ensure_ascii=False, indent=2)
