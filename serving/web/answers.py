"""The API's form of results: each item with the part of the model that brought it, and with its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from serving.client.results import Result
from serving.web.schemas import Item, Part, PartName

# The parts are in the order of channel_scores.
PARTS: tuple[PartName, ...] = ("text", "behaviour")
# A part with less than this share did not bring an item.
_MIN_SHARE = 0.1
_UNKNOWN_SCORE = float(np.finfo(np.float32).min)


def shown(results: Sequence[Result], columns: Mapping[str, Mapping[str, float | str]]) -> list[Item]:
    """The results of one row as the API shows them.

    Args:
        results: The results, best first.
        columns: The columns of each item that has any, by item id.
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
    """Each part's score, and its share of the sum of the positive scores; a negative one has the share 0."""
    total = sum(max(score, 0.0) for score in channel_scores)
    return {
        name: Part(score=score, share=max(score, 0.0) / total if total > 0 else None)
        for name, score in zip(PARTS, channel_scores, strict=False)
    }


def brought_by(parts: Mapping[PartName, Part]) -> Literal["text", "behaviour", "both"] | None:
    """The part that brought an item; ``"both"`` if neither is negligible, ``None`` if no score is above 0."""
    names = [name for name, part in parts.items() if part.share is not None and part.share >= _MIN_SHARE]
    if len(names) == len(PARTS):
        return "both"
    return names[0] if names else None
