"""The protocol as the real server behaves, as a table: Classify, Regress, MultiInference.

Runs against our own server, or against another one where ``SERVER_ADDRESS`` names it; that one must serve
what ``python -m tests.serving.tiny_model DIR`` writes, as ``tandem``.
"""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from tests.serving.server.requests import RESOLUTION, Change, failure


def _example(text: str = "", bonus: float | None = None) -> Any:
    example = tf.train.Example()
    if text:
        example.features.feature["text"].bytes_list.value.append(text.encode())
    if bonus is not None:
        example.features.feature["bonus"].float_list.value.append(bonus)
    return example


def _classify_request(signature: str = "classify", *texts: str) -> Any:
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "tandem"
    request.model_spec.signature_name = signature
    request.input.example_list.examples.extend([_example(text) for text in texts or ["apron"]])
    return request


def _regress_request(signature: str = "regress", *texts: str) -> Any:
    classify = _classify_request(signature, *texts)
    return regression_pb2.RegressionRequest(model_spec=classify.model_spec, input=classify.input)


def _multi_inference_request(**methods: str) -> Any:
    """One with these signatures, and the method of each."""
    request = inference_pb2.MultiInferenceRequest(input=_classify_request().input)
    for signature, method in methods.items():
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name = "tandem"
        task.model_spec.signature_name = signature
    return request


@pytest.mark.parametrize(("change", "code", "message"), RESOLUTION)
@pytest.mark.parametrize("method", ["Classify", "Regress"])
def test_model_is_resolved_in_order(
    prediction: Any, method: str, change: Change, code: str, message: str
) -> None:
    request = _classify_request() if method == "Classify" else _regress_request()
    change(request)

    assert failure(lambda: getattr(prediction, method)(request)) == (code, message)


def _no_examples(request: Any) -> None:
    request.input.Clear()


def _empty_list(request: Any) -> None:
    request.input.example_list.Clear()
    request.input.example_list.SetInParent()


def _empty_list_with_context(request: Any) -> None:
    request.input.example_list_with_context.context.CopyFrom(_example("apron"))


@pytest.mark.parametrize("change", [_no_examples, _empty_list, _empty_list_with_context])
@pytest.mark.parametrize("method", ["Classify", "Regress"])
def test_empty_input_is_refused(prediction: Any, method: str, change: Change) -> None:
    request = _classify_request() if method == "Classify" else _regress_request()
    change(request)

    assert failure(lambda: getattr(prediction, method)(request)) == ("INVALID_ARGUMENT", "Input is empty.")


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("nothing", "No signature was found with the name: nothing"),
        ("search", "Expected one input Tensor."),
        ("examples", "Expected one or two output Tensors, found 3"),
        ("embed_query", "Expected one input Tensor."),
        ("wait", "No classification inputs found in SignatureDef: "),
        (
            "regress",
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            "Signature was: ",
        ),
    ],
)
def test_signature_that_does_not_classify_is_refused(prediction: Any, signature: str, message: str) -> None:
    code, text = failure(lambda: prediction.Classify(_classify_request(signature)))

    assert code == "INVALID_ARGUMENT"
    assert text.startswith(message)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("nothing", "No signature was found with the name: nothing"),
        ("search", "Expected one input Tensor."),
        ("classify", "Expected one output Tensor."),
        ("wait", "No regression inputs found in SignatureDef: "),
    ],
)
def test_signature_that_does_not_regress_is_refused(prediction: Any, signature: str, message: str) -> None:
    code, text = failure(lambda: prediction.Regress(_regress_request(signature)))

    assert code == "INVALID_ARGUMENT"
    assert text.startswith(message)


def test_empty_signature_name_is_serving_default(prediction: Any) -> None:
    assert failure(lambda: prediction.Regress(_regress_request(""))) == (
        "INVALID_ARGUMENT",
        "Expected one input Tensor.",
    )


def test_classify_gives_classes_and_scores_of_each_example(prediction: Any) -> None:
    response = prediction.Classify(_classify_request("classify", "apron", "fork"))

    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("tandem", 1, "classify")
    assert [
        [(class_.label, class_.score) for class_ in classifications.classes]
        for classifications in response.result.classifications
    ] == [[("long", 5.0), ("liked", 0.0)], [("long", 4.0), ("liked", 0.0)]]


def test_regress_gives_a_value_for_each_example(prediction: Any) -> None:
    response = prediction.Regress(_regress_request("regress", "apron", "fork"))

    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("tandem", 1, "regress")
    assert [regression.value for regression in response.result.regressions] == [5.0, 4.0]


def test_method_name_of_a_signature_does_not_matter(prediction: Any) -> None:
    response = prediction.Regress(_regress_request("score", "dish"))

    assert [regression.value for regression in response.result.regressions] == [4.0]


def test_context_is_merged_into_every_example(prediction: Any) -> None:
    request = _regress_request()
    request.input.example_list_with_context.context.CopyFrom(_example(bonus=10.0))
    request.input.example_list_with_context.examples.extend(
        [_example("apron"), _example("fork", bonus=1.0), _example()]
    )

    response = prediction.Regress(request)

    assert [regression.value for regression in response.result.regressions] == [15.0, 5.0, 10.0]


def test_multi_inference_without_a_task_names_no_model(prediction: Any) -> None:
    assert failure(lambda: prediction.MultiInference(inference_pb2.MultiInferenceRequest())) == (
        "INVALID_ARGUMENT",
        "ModelSpec has no name specified.",
    )


def _another_model(request: Any) -> None:
    request.tasks[1].model_spec.name = "nobody"


def _unknown_first_model(request: Any) -> None:
    request.tasks[0].model_spec.name = "nobody"


def _second_without_name(request: Any) -> None:
    request.tasks[1].model_spec.name = ""


def _same_signature(request: Any) -> None:
    request.tasks[1].model_spec.signature_name = "classify"


def _unknown_signature(request: Any) -> None:
    request.tasks[1].model_spec.signature_name = "nothing"


def _other_method(request: Any) -> None:
    request.tasks[1].method_name = "tensorflow/serving/predict"


def _wrong_method(request: Any) -> None:
    request.tasks[1].method_name = "tensorflow/serving/classify"


def _other_tensor(request: Any) -> None:
    request.tasks[1].model_spec.signature_name = "score"


def _no_input(request: Any) -> None:
    request.input.Clear()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (_unknown_first_model, "NOT_FOUND", "Servable not found for request: Latest(nobody)"),
        (_second_without_name, "INVALID_ARGUMENT", "Found ModelSpec with an empty model name."),
        (
            _another_model,
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (_same_signature, "INVALID_ARGUMENT", "Duplicate evaluation of signature: classify"),
        (
            _unknown_signature,
            "INVALID_ARGUMENT",
            "Requested signature not found in model graph: nothing",
        ),
        (
            _other_method,
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
        (
            _wrong_method,
            "INVALID_ARGUMENT",
            "Expected classification signature outputs to contain at least one of ",
        ),
        (_other_tensor, "INVALID_ARGUMENT", "Input tensor must be the same for all Signatures."),
        (_no_input, "INVALID_ARGUMENT", "Input is empty."),
    ],
)
def test_multi_inference_checks_its_tasks(prediction: Any, change: Change, code: str, message: str) -> None:
    request = _multi_inference_request(classify="classify", regress="regress")
    change(request)

    actual_code, text = failure(lambda: prediction.MultiInference(request))

    assert actual_code == code
    assert text.startswith(message)


def test_multi_inference_answers_every_task(prediction: Any) -> None:
    request = _multi_inference_request(regress="regress", classify="classify")

    regression, classification = prediction.MultiInference(request).results

    assert [value.value for value in regression.regression_result.regressions] == [5.0]
    (classes,) = classification.classification_result.classifications
    assert [class_.label for class_ in classes.classes] == ["long", "liked"]
    specs = [result.model_spec for result in (regression, classification)]
    assert [(spec.name, spec.version.value, spec.signature_name) for spec in specs] == [
        ("tandem", 1, "regress"),
        ("tandem", 1, "classify"),
    ]
