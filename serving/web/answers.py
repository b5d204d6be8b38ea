"""Results as the API shows them: with what brought each, and with the item's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from serving.client.results import Result
from serving.web.schemas import Item, Part, PartName

# The order of channel_scores.
PARTS: tuple[PartName, ...] = ("text", "behaviour")
# A part with less than this share did not bring an item.
_MIN_SHARE = 0.1
_UNKNOWN_SCORE = float(np.finfo(np.float32).min)


def shown(results: Sequence[Result], columns: Mapping[str, Mapping[str, float | str]]) -> list[Item]:
    """The results of one row.

    Args:
        results: Best first.
        columns: Of each item that has any.
    """
    items = []
    for rank, result in enumerate(results, start=1):
        is_known = result.score != _UNKNOWN_SCORE
        parts = split(result.channel_scores) if is_known else {}
        items.append(
            Item(
                rank=rank,
                item_id=result.item_id,
                title=result.title,
                score=result.score if is_known else None,
                parts=parts,
                brought_by=brought_by(parts),
                columns=dict(columns.get(result.item_id, {})),
            )
        )
    return items


def split(channel_scores: Sequence[float]) -> dict[PartName, Part]:
    """Each part's score, and its share of what speaks for the item; one that speaks against it has none."""
    total = sum(max(score, 0.0) for score in channel_scores)
    return {
        name: Part(score=score, share=max(score, 0.0) / total if total > 0 else None)
        for name, score in zip(PARTS, channel_scores, strict=False)
    }


def brought_by(parts: Mapping[PartName, Part]) -> Literal["text", "behaviour", "both"] | None:
    """The part that an item is in the answer for, both when neither is negligible, ``None`` when none is."""
    names = [name for name, part in parts.items() if part.share is not None and part.share >= _MIN_SHARE]
    if len(names) == len(PARTS):
        return "both"
    return names[0] if names else None
