"""The API's form of results: each item with the part of the model that brought it, and with its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from serving.client.results import CHANNELS, Result
from serving.web.schemas import Item, Part, PartName

PARTS: tuple[PartName, ...] = ("text", "behaviour")
# The channels that look at words alone; what the others say comes from what people choose.
_TEXT_CHANNELS = ("dense_text", "words", "grams", "negation", "text")
# A part with less than this share did not bring an item.
_MIN_SHARE = 0.1


def shown(results: Sequence[Result], columns: Mapping[str, Mapping[str, float | str]]) -> list[Item]:
    """The results of one row as the API shows them.

    Args:
        results: The results, best first.
        columns: The columns of each item that has any, by item id.
    """
    items = []
    for rank, result in enumerate(results, start=1):
        parts = split(result.channel_scores) if result.is_known else {}
        items.append(
            Item(
                rank=rank,
                item_id=result.item_id,
                title=result.title,
                score=result.score if result.is_known else None,
                probability=result.probability if result.is_known else None,
                reason=result.reason,
                reason_item_id=result.reason_item_id,
                reason_title=result.reason_title,
                matches=list(result.matches),
                parts=parts,
                brought_by=brought_by(parts),
                columns=dict(columns.get(result.item_id, {})),
            )
        )
    return items


def split(channel_scores: Sequence[float]) -> dict[PartName, Part]:
    """Each part's score, which is the sum of its channels', and its share of the sum of the positive scores.

    Args:
        channel_scores: In the order of `CHANNELS`; a model without events has only the first five.

    Returns:
        The parts by name. One with a negative score has the share 0.
    """
    scores: dict[PartName, float] = dict.fromkeys(PARTS, 0.0)
    for channel, score in zip(CHANNELS, channel_scores, strict=False):
        scores["text" if channel in _TEXT_CHANNELS else "behaviour"] += score
    total = sum(max(score, 0.0) for score in scores.values())
    return {
        name: Part(score=score, share=max(score, 0.0) / total if total > 0 else None)
        for name, score in scores.items()
    }


def brought_by(parts: Mapping[PartName, Part]) -> Literal["text", "behaviour", "both"] | None:
    """The part that brought an item; ``"both"`` if neither is negligible, ``None`` if no score is above 0."""
    names = [name for name, part in parts.items() if part.share is not None and part.share >= _MIN_SHARE]
    if len(names) == len(PARTS):
        return "both"
    return names[0] if names else None
