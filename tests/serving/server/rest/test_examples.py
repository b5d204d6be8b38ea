from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.server.rest.examples import fill_input, write_classifications, write_regressions
from serving.server.status_error import StatusError


def test_features_have_the_kind_of_their_values() -> None:
    message = input_pb2.Input()
    example = {
        "age": 3,
        "is_new": [True, False],
        "price": [1.5, float("inf")],
        "name": "é",
        "image": {"b64": "/w=="},
        "nothing": [],
    }
    fill_input({"examples": [example, {}]}, message)
    assert len(message.example_list.examples) == 2
    features = message.example_list.examples[0].features.feature
    assert list(features["age"].int64_list.value) == [3]
    assert list(features["is_new"].int64_list.value) == [1, 0]
    assert list(features["price"].float_list.value) == [1.5, float("inf")]
    assert list(features["name"].bytes_list.value) == ["é".encode()]
    assert list(features["image"].bytes_list.value) == [b"\xff"]
    assert features["nothing"].WhichOneof("kind") is None


def test_a_context_is_shared_by_the_examples() -> None:
    message = input_pb2.Input()
    fill_input({"context": {"shop": "a"}, "examples": [{"x": 1}]}, message)
    shared = message.example_list_with_context
    assert list(shared.context.features.feature["shop"].bytes_list.value) == [b"a"]
    assert len(shared.examples) == 1


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {},
            "JSON Value: {} When method is classify, key 'examples' is expected and was not found",
        ),
        (
            {"examples": 1},
            "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array",
        ),
        ({"examples": []}, "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"),
        ({"examples": [[1]]}, "Example must be JSON object but got JSON Array"),
        ({"context": 1, "examples": [{}]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [[1]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": {"a": 1}}]}, "Feature: x has element with unexpected JSON type: Object"),
        ({"examples": [{"x": [1, 1.5]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": ["a", 1]}]}, "Unexpected element type in feature: x expecting type: bytes"),
        ({"examples": [{"x": [1.5, True]}]}, "Unexpected element type in feature: x expecting type: float"),
        ({"examples": [{"x": 2**63}]}, "Feature: x has uint64 element. Only int64 is supported."),
        (
            {"examples": [{"x": 1e39}]},
            "Cannot convert JSON value: 1e+39 to float without loss of precision.",
        ),
        ({"examples": [{"x": {"b64": "%"}}]}, "Unable to base64 decode"),
    ],
)
def test_what_is_no_example_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(StatusError) as raised:
        fill_input(document, input_pb2.Input())
    assert raised.value.message == message
    assert raised.value.error_code == 3


def test_classifications_are_pairs_of_label_and_score() -> None:
    result = text_format.Parse(
        """
        classifications { classes { label: "a\\"" score: 0.25 } classes { score: 3 } }
        classifications { classes { label: "b" score: 1e30 } classes { label: "c" score: nan } }
        """,
        classification_pb2.ClassificationResult(),
    )
    assert write_classifications(result) == (
        '{\n    "results": [[["a\\"", 0.25], ["", 3.0]], [["b", 1e+30], ["c", NaN]]\n    ]\n}'
    )


def test_regressions_are_numbers() -> None:
    result = text_format.Parse(
        "regressions { value: 2 } regressions { value: 0.1 }", regression_pb2.RegressionResult()
    )
    assert write_regressions(result) == '{\n    "results": [2.0, 0.1]\n}'


def test_no_results_are_refused() -> None:
    with pytest.raises(StatusError, match="Cannot convert empty ClassificationResults to JSON"):
        write_classifications(classification_pb2.ClassificationResult())
    with pytest.raises(StatusError, match="Cannot convert empty RegressionResults to JSON"):
        write_regressions(regression_pb2.RegressionResult())
