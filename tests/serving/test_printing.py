from __future__ import annotations

import dataclasses
import json

import numpy as np

from serving.client import Result, Results
from serving.printing import as_json, as_table

_RESULTS = [
    Result(item_id="21210", score=10.25, title="SET OF 72 RETROSPOT PAPER DOILIES", channel_scores=(1.0,)),
    Result(item_id="7", score=-0.5, title="", channel_scores=(0.5,)),
    Result(item_id="new", score=float(np.finfo(np.float32).min), title="", channel_scores=(0.0,)),
]


def test_table_aligns_its_columns() -> None:
    assert as_table(_RESULTS).splitlines() == [
        "       score  item   title",
        "1    10.2500  21210  SET OF 72 RETROSPOT PAPER DOILIES",
        "2    -0.5000  7",
        "3  not known  new",
    ]


def test_table_says_because_of_what_each_is_recommended() -> None:
    reasons = [
        ("5", "Mug", "again", "5", "Mug"),
        ("6", "Teapot", "history", "5", "Mug"),
        ("7", "Spoon", "history", "404", ""),
        ("8", "Tray", "popular", "", ""),
        ("9", "Jar", "new", "", ""),
        ("10", "Lid", "text", "", ""),
        ("11", "Bowl", "text", "5", "Mug"),
    ]
    results = [
        Result(
            item_id=item_id,
            score=1.0,
            title=title,
            channel_scores=(),
            reason=reason,
            reason_item_id=speaker,
            reason_title=speaker_title,
        )
        for item_id, title, reason, speaker, speaker_title in reasons
    ]

    lines = as_table(results).splitlines()

    assert lines[0] == "    score  item  title   because"
    assert [line[25:] for line in lines[1:]] == [
        "you had it",
        "because of Mug",
        "because of 404",
        "popular now",
        "new",
        "",
        "like Mug",
    ]


def test_every_result_has_one_line() -> None:
    title = "RED\r\nLAMP \u2028 with\ta \x1b[31mswitch  of brass"
    result = Result(
        item_id="a\nb", score=1.0, title=title, channel_scores=(), reason="history", reason_title="two\nlines"
    )

    assert as_table([result]).splitlines() == [
        "    score  item  title                                 because",
        "1  1.0000  a b   RED LAMP with a [31mswitch  of brass  because of two lines",
    ]


def test_empty_table_says_so() -> None:
    assert as_table([]) == "no results"


def test_json_is_one_document_with_every_field() -> None:
    (result, *_) = _RESULTS
    explained = dataclasses.replace(result, probability=0.25, reason="history", reason_item_id="7")

    document = json.loads(as_json(Results([explained])))

    assert document == {
        "results": [
            {
                "rank": 1,
                "item_id": "21210",
                "score": 10.25,
                "title": "SET OF 72 RETROSPOT PAPER DOILIES",
                "channel_scores": [1.0],
                "probability": 0.25,
                "reason": "history",
                "reason_item_id": "7",
                "reason_title": "",
                "matches": [],
            }
        ],
        "corrected_query": "",
    }
