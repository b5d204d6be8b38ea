"""The tables of docs/serving.md are held against what the client sends and reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.client import calls, results
from serving.client.methods import Call, Model
from serving.client.tensors import to_array

_DOCUMENT = (Path(__file__).parents[3] / "docs" / "serving.md").read_text(encoding="utf-8")
_MODEL = Model(name="tandem")
_CALLS: dict[str, Call[Any]] = {
    "search": calls.search(_MODEL, ["a"]),
    "suggest": calls.suggest(_MODEL, ["a"]),
    "facets": calls.facets(_MODEL, ["a"]),
    "recommend": calls.recommend(_MODEL, ["a"]),
    "similar": calls.similar(_MODEL, ["a"]),
    "complement": calls.complement(_MODEL, [["a"]]),
    "rank": calls.rank(_MODEL, [["a"]]),
    "embed_query": calls.embed_query(_MODEL, ["a"]),
    "embed_item": calls.embed_item(_MODEL, ["a"]),
}


def _table(first: str) -> Iterator[list[str]]:
    """The rows of the table whose first column has this heading."""
    lines = iter(_DOCUMENT.splitlines())
    for line in lines:
        if line.startswith(f"| {first} |"):
            next(lines)
            break
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def _quoted(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


@pytest.mark.parametrize("signature", _CALLS)
def test_every_input_of_a_signature_is_in_the_table_with_its_type_and_rank(signature: str) -> None:
    told = {
        _quoted(name)[0]: (dtype, len(_quoted(shape)[0].split(",")))
        for name, dtype, shape, signatures, *_ in _table("input")
        if signature in _quoted(signatures)
    }

    arrays = {name: to_array(tensor) for name, tensor in _CALLS[signature].request.inputs.items()}
    assert told == {
        name: ("string" if array.dtype == object else array.dtype.name, array.ndim)
        for name, array in arrays.items()
    }


def test_every_signature_of_the_client_is_in_the_table() -> None:
    assert [_quoted(name)[0] for name, *_ in _table("signature")] == list(_CALLS)


def test_every_output_that_the_client_reads_is_in_the_table() -> None:
    told = {name for names, *_ in _table("output") for name in _quoted(names)}

    others = {"num_results", "embedding", "corrected_query", "suggestions", "kinds", "values", "counts"}
    others |= {"num_matches", "histogram_columns", "histogram_edges", "histogram_counts"}
    assert told == {*results._LISTED, *others}


def test_channels_are_told_in_their_order() -> None:
    (sentence,) = re.findall(r"The channels are\n(.*)\.", _DOCUMENT)

    assert _quoted(sentence) == list(results.CHANNELS)


def test_search_by_hand_has_every_input() -> None:
    (body,) = re.findall(r"curl .*:predict --data '(.*?)'", _DOCUMENT, re.DOTALL)

    document = json.loads(body)

    assert document["signature_name"] == "search"
    sent = {name: to_array(tensor) for name, tensor in _CALLS["search"].request.inputs.items()}
    assert {name: np.ndim(value) for name, value in document["inputs"].items()} == {
        name: array.ndim for name, array in sent.items()
    }
