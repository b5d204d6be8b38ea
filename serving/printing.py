"""Printed forms of results: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np

from serving.client import Result
from serving.reasons import because

_UNKNOWN_SCORE = float(np.finfo(np.float32).min)


def as_table(results: Sequence[Result], titles: Mapping[str, str] | None = None) -> str:
    """A table of aligned columns: rank, score, item id, title, and because if there is a because.

    Args:
        results: The results, best first.
        titles: Known titles by item id, besides those of the results.
    """
    if not results:
        return "no results"
    known = {**(titles or {}), **{result.item_id: result.title for result in results}}
    rows = [("", "score", "item", "title", "because")]
    for rank, result in enumerate(results, start=1):
        score = "not known" if result.score == _UNKNOWN_SCORE else f"{result.score:.4f}"
        rows.append((str(rank), score, result.item_id, result.title, because(result, known)))
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


def as_json(results: Sequence[Result]) -> str:
    """One JSON document: ``{"results": [{"rank": 1, "item_id": …, "score": …, …}]}``."""
    entries = [{"rank": rank, **dataclasses.asdict(result)} for rank, result in enumerate(results, start=1)]
    return json.dumps({"results": entries}, ensure_ascii=False, indent=2)
