"""Reasons of results in words, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serving.client import Client, Result

_WORDS = {"again": "you had it", "popular": "popular now", "new": "new"}


def because(result: Result, titles: Mapping[str, str]) -> str:
    """Why a result is recommended, in words; empty if the query is the reason.

    Args:
        result: The result.
        titles: Known titles by item id; an item without one is called by its id.
    """
    speaker = titles.get(result.reason_item_id) or result.reason_item_id
    if result.reason == "history":
        return f"because of {speaker}"
    if result.reason == "text" and speaker:
        return f"like {speaker}"
    return _WORDS.get(result.reason, "")


def titles_of_reasons(client: Client, results: Sequence[Result]) -> dict[str, str]:
    """The titles of the items that the reasons name, by item id.

    An answer mostly leaves out the history, and so the titles of its items. If so, the model is asked for
    them: `rank` knows the title of every item.
    """
    titles = {result.item_id: result.title for result in results}
    missing = sorted({result.reason_item_id for result in results} - {"", *titles})
    if missing:
        titles |= {result.item_id: result.title for result in client.rank([missing])[0]}
    return titles
