from __future__ import annotations

from typing import Any

import pytest

from serving.client.results import CHANNELS
from serving.web.answers import brought_by, split


@pytest.mark.parametrize(
    ("scores", "shares", "part"),
    [
        ({"dense_text": 3.0, "dense_behaviour": 1.0}, [0.75, 0.25], "both"),
        ({"dense_text": 3.0}, [1.0, 0.0], "text"),
        ({"dense_behaviour": 0.2}, [0.0, 1.0], "behaviour"),
        # What speaks against an item did not bring it.
        ({"dense_text": -2.0, "dense_behaviour": 5.0}, [0.0, 1.0], "behaviour"),
        ({"dense_text": 9.5, "dense_behaviour": 0.5}, [0.95, 0.05], "text"),
        ({"dense_text": -1.0, "dense_behaviour": -2.0}, [None, None], None),
        ({}, [None, None], None),
        # A recommendation is brought by the channels, of which one looks at words.
        ({"text": 1.0}, [1.0, 0.0], "text"),
        ({"next": 0.5, "ease": 0.25, "basket": 0.25}, [0.0, 1.0], "behaviour"),
        ({"text": 1.0, "next_long": 1.0, "ease_short": 1.0, "neighbours": 1.0}, [0.25, 0.75], "both"),
    ],
)
def test_share_is_of_what_speaks_for_the_item(scores: dict[str, float], shares: list[Any], part: Any) -> None:
    parts = split([scores.get(channel, 0.0) for channel in CHANNELS])

    assert list(parts) == ["text", "behaviour"]
    assert [found.share for found in parts.values()] == shares
    assert brought_by(parts) == part


def test_score_of_a_part_is_the_sum_of_its_channels() -> None:
    parts = split([2.0**-place for place in range(len(CHANNELS))])

    of_text = ("dense_text", "words", "grams", "negation", "text")
    assert parts["text"].score == sum(2.0 ** -CHANNELS.index(channel) for channel in of_text)
    assert parts["text"].score + parts["behaviour"].score == 2 - 2.0 ** -(len(CHANNELS) - 1)


def test_model_without_events_has_what_a_search_adds_up_alone() -> None:
    parts = split([3.0, 0.5, 0.25, -0.25, 1.0])

    assert (parts["text"].score, parts["behaviour"].score) == (3.5, 1.0)
