from __future__ import annotations

from typing import Any

import pytest

from serving.web.answers import brought_by, split


@pytest.mark.parametrize(
    ("scores", "shares", "part"),
    [
        ((3.0, 1.0), [0.75, 0.25], "both"),
        ((3.0, 0.0), [1.0, 0.0], "text"),
        ((0.0, 0.2), [0.0, 1.0], "behaviour"),
        # What speaks against an item did not bring it.
        ((-2.0, 5.0), [0.0, 1.0], "behaviour"),
        ((9.5, 0.5), [0.95, 0.05], "text"),
        ((-1.0, -2.0), [None, None], None),
        ((0.0, 0.0), [None, None], None),
        ((), [], None),
    ],
)
def test_share_is_of_what_speaks_for_the_item(
    scores: tuple[float, ...], shares: list[Any], part: Any
) -> None:
    parts = split(scores)

    assert [found.share for found in parts.values()] == shares
    assert [found.score for found in parts.values()] == list(scores)
    assert list(parts) == ["text", "behaviour"][: len(scores)]
    assert brought_by(parts) == part
