"""Printed forms of results: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

from serving.client import Result

_UNKNOWN_SCORE = float(np.finfo(np.float32).min)


def as_table(results: Sequence[Result]) -> str:
    """A table of aligned columns: rank, score, item id, title."""
    if not results:
        return "no results"
    rows = [("", "score", "item", "title")]
    for rank, result in enumerate(results, start=1):
        score = "not known" if result.score == _UNKNOWN_SCORE else f"{result.score:.4f}"
        rows.append((str(rank), score, result.item_id, result.title))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"{rank:>{widths[0]}}  {score:>{widths[1]}}  {item_id:<{widths[2]}}  {title}".rstrip()
        for rank, score, item_id, title in rows
    )


def as_json(results: Sequence[Result]) -> str:
    """One JSON document: ``{"results": [{"rank": 1, "item_id": …, "score": …, …}]}``."""
    entries = [{"rank": rank, **dataclasses.asdict(result)} for rank, result in enumerate(results, start=1)]
    return json.dumps({"results": entries}, ensure_ascii=False, indent=2)
