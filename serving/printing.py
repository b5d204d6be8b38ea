"""Printed forms of results: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

from serving.client import Result, Results

_WORDS = {"again": "you had it", "popular": "popular now", "new": "new"}
_UNKNOWN_SCORE = float(np.finfo(np.float32).min)


def as_table(results: Sequence[Result]) -> str:
    """A table of aligned columns: rank, score, item id, title, and because if there is a because."""
    if not results:
        return "no results"
    rows = [("", "score", "item", "title", "because")]
    for rank, result in enumerate(results, start=1):
        score = "not known" if result.score == _UNKNOWN_SCORE else f"{result.score:.4f}"
        rows.append((str(rank), score, result.item_id, result.title, _because(result)))
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
