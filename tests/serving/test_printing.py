from __future__ import annotations

import json

import numpy as np

from serving.client import Result
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


def test_empty_table_says_so() -> None:
    assert as_table([]) == "no results"


def test_json_is_one_document_with_every_field() -> None:
    document = json.loads(as_json(_RESULTS[:1]))

    assert document == {
        "results": [
            {
                "rank": 1,
                "item_id": "21210",
                "score": 10.25,
                "title": "SET OF 72 RETROSPOT PAPER DOILIES",
                "channel_scores": [1.0],
            }
        ]
    }
