from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serving.client import Client, calls, tensors
from serving.client.methods import Call, Model

_MODEL = Model(name="tandem")


def _listed(call: Call[Any], name: str) -> list[Any]:
    values: list[Any] = tensors.to_array(call.request.inputs[name]).tolist()
    return values


@pytest.mark.parametrize(
    "text",
    [
        *(
            "room=hall",
            "room=",
            "room=a=b",
            "room=<5>",
            "room!=hall",
            "room!=",
            "room==x",
            "ro!om=x",
            "a b=c\nd=e",
        ),
        *("price<=20", "price>=5", "price<20", "price>5", "price>-.5", "price<1e-3", "price<2.E+05"),
        *("is<18=yes", "is<18!=yes", "is<=18=yes", ""),
    ],
)
def test_forms_of_a_filter_are_sent_as_they_are(text: str) -> None:
    (row,) = _listed(calls.similar(_MODEL, ["a"], filters=[[text]]), "filters")

    assert b"".join(row) == text.encode()


@pytest.mark.parametrize(
    "text",
    [
        *("room", "=hall", "!=hall", "<=20", ">5", "room!hall", "!", "="),
        *(
            "price<=",
            "price<=cheap",
            "price<",
            "price<=+1",
            "price< 1",
            "price<1e9999",
            "price<nan",
            "price<==1",
        ),
        "price<\u0661",
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="A filter must be"):
        calls.similar(_MODEL, ["a"], filters=[[text]])


@pytest.mark.parametrize(
    "build",
    [
        lambda model: calls.search(model, ["a"]),
        lambda model: calls.similar(model, ["a"]),
        lambda model: calls.status(model),
        lambda model: calls.metadata(model),
    ],
    ids=["search", "similar", "status", "metadata"],
)
def test_every_request_names_the_version_or_the_label(build: Callable[[Model], Call[Any]]) -> None:
    newest = build(Model(name="shop")).request.model_spec
    numbered = build(Model(name="shop", version=7)).request.model_spec
    labelled = build(Model(name="shop", version_label="canary")).request.model_spec

    assert (newest.name, newest.WhichOneof("version_choice")) == ("shop", None)
    assert (numbered.name, numbered.version.value) == ("shop", 7)
    assert (labelled.name, labelled.version_label) == ("shop", "canary")


def test_every_list_begins_with_an_empty_text() -> None:
    """What a server fills a request up with, to batch it with wider ones, is its first element."""
    search = calls.search(_MODEL, ["a", "b"], histories=[["x", "y"], []], filters=[["c=d"], []])
    rank = calls.rank(_MODEL, [["x"], ["y", "z"]])

    assert _listed(search, "history") == [[b"", b"x", b"y"], [b"", b"", b""]]
    assert _listed(search, "exclude") == [[b""], [b""]]
    assert _listed(search, "filters") == [[b"", b"c=d"], [b"", b""]]
    assert _listed(rank, "candidates") == [[b"", b"x", b""], [b"", b"y", b"z"]]
    assert _listed(rank, "history") == [[b""], [b""]]


def test_ids_are_sent_as_the_model_has_them() -> None:
    search = calls.search(
        _MODEL,
        ["4.0"],
        user_ids=["12471.0"],
        histories=[["1000.0"]],
        exclude=[["1001.0", " x "]],
        pin=[["7.0"]],
    )
    rank = calls.rank(_MODEL, [["1000.0", "007.0"]])

    assert _listed(search, "query") == [b"4.0"]
    assert _listed(search, "user_id") == [b"12471"]
    assert _listed(search, "history") == [[b"", b"1000"]]
    assert _listed(search, "exclude") == [[b"", b"1001", b"x"]]
    assert _listed(search, "pin") == [[b"", b"7"]]
    assert _listed(rank, "candidates") == [[b"", b"1000", b"007.0"]]
    assert _listed(calls.similar(_MODEL, ["1000.0"]), "item_id") == [b"1000"]
    assert _listed(calls.embed_item(_MODEL, ["1000.0"]), "item_id") == [b"1000"]
    assert _listed(calls.complement(_MODEL, [["1000.0"]]), "item_ids") == [[b"", b"1000"]]


def test_every_list_of_times_begins_with_an_unknown_one() -> None:
    search = calls.search(
        _MODEL, ["a", "b"], histories=[["x", "y"], []], history_times=[[1_312_156_800, 0], []], now=7
    )

    assert _listed(search, "history_times") == [[0, 1_312_156_800, 0], [0, 0, 0]]
    assert _listed(search, "now") == [7, 7]


def test_without_times_all_are_unknown() -> None:
    recommend = calls.recommend(_MODEL, histories=[["x", "y"]])

    assert _listed(recommend, "history_times") == [[0, 0, 0]]
    assert _listed(recommend, "now") == [0]


@pytest.mark.parametrize(
    "time",
    [
        1_312_192_800,
        1_312_192_800.9,
        np.int64(1_312_192_800),
        np.float64(1_312_192_800),
        datetime.datetime(2011, 8, 1, 10),
        datetime.datetime(2011, 8, 1, 10, tzinfo=datetime.UTC),
        datetime.datetime(2011, 8, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
    ],
    ids=repr,
)
def test_time_is_epoch_seconds_or_a_datetime_which_is_utc_without_a_zone(time: Any) -> None:
    recommend = calls.recommend(_MODEL, histories=[["x"]], history_times=[[time]], now=time)

    assert _listed(recommend, "history_times") == [[0, 1_312_192_800]]
    assert _listed(recommend, "now") == [1_312_192_800]


@pytest.mark.parametrize("build", [calls.search, calls.recommend, calls.rank, calls.embed_query])
def test_every_signature_that_takes_a_history_takes_its_times(build: Callable[..., Call[Any]]) -> None:
    first: dict[str, Any] = {"search": {"queries": ["a"]}, "rank": {"candidates": [["x"]]}}

    call = build(_MODEL, **first.get(build.__name__, {}), histories=[["x"]], history_times=[[5]], now=9)

    assert _listed(call, "history_times") == [[0, 5]]
    assert _listed(call, "now") == [9]


@pytest.mark.parametrize("build", [calls.facets, calls.similar, calls.complement])
def test_every_list_takes_the_moment_that_is_asked_for(build: Callable[..., Call[Any]]) -> None:
    first: Any = [["a"], ["b"]] if build is calls.complement else ["a", "b"]
    noon = datetime.datetime(2011, 8, 1, 12)

    assert _listed(build(_MODEL, first), "now") == [0, 0]
    assert _listed(build(_MODEL, first, now=noon), "now") == [1_312_200_000] * 2
    with pytest.raises(ValueError, match=r"now must be epoch seconds or a datetime, from 1970 to 9999\."):
        build(_MODEL, first, now=-1)


def test_rank_takes_a_thousand_candidates_a_row() -> None:
    assert len(_listed(calls.rank(_MODEL, [["x"] * 1000]), "candidates")[0]) == 1001
    with pytest.raises(ValueError, match=r"at most 1,000 items a row\. Got 1,001\."):
        calls.rank(_MODEL, [["x"], ["x"] * 1001])


def test_predict_asks_for_the_outputs_it_is_told() -> None:
    assert list(calls.predict(_MODEL, "search", {}).request.output_filter) == []
    assert list(calls.predict(_MODEL, "search", {}, ["scores"]).request.output_filter) == ["scores"]


def test_client_shows_the_arguments_of_its_methods() -> None:
    similar = inspect.signature(Client("localhost:1").similar)

    assert str(similar).startswith("(item_ids: 'Sequence[str]', k: 'int' = 10, exclude:")
    assert similar.return_annotation == "list[Results]"
    assert Client.search.__doc__ is not None
    assert "One text per row" in Client.search.__doc__
