from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.channels.fit import HISTORY_WEIGHTS
from serving.client import Result, messages, tensors
from serving.client.errors import ServingError
from serving.client.results import CHANNELS, read_results
from serving.servable.finding import BEHAVIOUR
from serving.servable.searching import PARTS

_OUTPUTS: dict[str, Any] = {
    "item_ids": np.array([[b"mug", b"cup"], [b"jar", b""]], object),
    "titles": np.array([["Mug é".encode(), b""], [b"Jar", b""]], object),
    "scores": np.array([[2.5, -1.0], [0.5, 0.0]], np.float32),
    "channel_scores": np.array([[[1.0, 0.5], [0.0, 2.0]], [[0.25, 0.0], [0.0, 0.0]]], np.float32),
    "probabilities": np.array([[0.5, 0.25], [0.125, 0.0]], np.float32),
    "reasons": np.array([[b"history", b"again"], [b"popular", b""]], object),
    "reason_item_ids": np.array([[b"jar", b"cup"], [b"", b""]], object),
    "reason_titles": np.array([[b"Jar", b""], [b"", b""]], object),
    "matches": np.array([[b"red=title\nmug=a=b\nred=title", b""], [b"", b""]], object),
}


def _response(outputs: dict[str, Any]) -> Any:
    response = messages.PredictResponse()
    response.model_spec.name = "shop"
    for name, array in outputs.items():
        tensors.fill(response.outputs[name], array)
    return response


def test_result_has_each_output_of_its_place_and_padding_is_left_out() -> None:
    mug = Result(
        item_id="mug",
        score=2.5,
        title="Mug é",
        channel_scores=(1.0, 0.5),
        probability=0.5,
        reason="history",
        reason_item_id="jar",
        reason_title="Jar",
        matches=(("red", "title"), ("mug", "a=b")),
    )
    cup = Result(
        item_id="cup",
        score=-1.0,
        title="",
        channel_scores=(0.0, 2.0),
        probability=0.25,
        reason="again",
        reason_item_id="cup",
    )
    jar = Result(
        item_id="jar",
        score=0.5,
        title="Jar",
        channel_scores=(0.25, 0.0),
        probability=0.125,
        reason="popular",
        reason_item_id="",
    )

    assert read_results(_response(_OUTPUTS)) == [[mug, cup], [jar]]


@pytest.mark.parametrize("name", _OUTPUTS)
def test_answer_without_one_of_the_outputs_is_explained(name: str) -> None:
    outputs = {other: array for other, array in _OUTPUTS.items() if other != name}

    with pytest.raises(ServingError, match=f"must answer with .* Got none named {name}; is shop one of"):
        read_results(_response(outputs))


def test_what_was_searched_for_is_told_beside_the_results() -> None:
    outputs = _OUTPUTS | {"corrected_query": np.array([b"red mug", b""], object)}

    assert [row.corrected_query for row in read_results(_response(outputs))] == ["red mug", ""]
    assert [row.corrected_query for row in read_results(_response(_OUTPUTS))] == ["", ""]


def test_channels_are_the_parts_of_a_search_and_those_of_the_recommender() -> None:
    assert list(CHANNELS) == [*PARTS, BEHAVIOUR, *HISTORY_WEIGHTS, "neighbours"]
