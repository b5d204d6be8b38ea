"""MultiInference: signatures that classify or regress, all on the same examples in one run of the graph."""

from __future__ import annotations

import grpc
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import inference_pb2

from serving.server.batching.scheduler import OnDisconnect
from serving.server.methods.classify import classification_result, classification_tensors
from serving.server.methods.examples import run_on_examples
from serving.server.methods.regress import regression_result, regression_tensors
from serving.server.methods.signatures import resolved_spec, signature_name
from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions.loaded_model import LoadedModel

_CLASSIFY = tf.saved_model.CLASSIFY_METHOD_NAME
_REGRESS = tf.saved_model.REGRESS_METHOD_NAME


def multi_inference(
    model: LoadedModel,
    request: inference_pb2.MultiInferenceRequest,
    *,
    timeout_s: float | None = None,
    on_disconnect: OnDisconnect | None = None,
) -> inference_pb2.MultiInferenceResponse:
    """Answers the request with ``model``; the versions in the answer's specs are left to the caller.

    Args:
        model: What answers.
        request: Examples, and tasks that each name a signature of one model and its method.
        timeout_s: How long it may take.
        on_disconnect: As ``LoadedModel.run`` takes it.

    Raises:
        StatusError: When a check or the graph itself refuses the request.
    """
    if not request.tasks:
        raise invalid_argument("ModelSpec has no name specified.")
    feed, fetches = "", set()
    signatures: dict[str, meta_graph_pb2.SignatureDef] = {}
    for task in request.tasks:
        name = _check_task(model, task, request.tasks[0].model_spec.name, seen=signatures)
        signatures[name] = model.signatures[name]
        task_feed, task_fetches = _tensors(model, task, signatures[name])
        if feed and task_feed != feed:
            raise invalid_argument("Input tensor must be the same for all Signatures.")
        feed = task_feed
        fetches.update(task_fetches)

    outputs, num_examples = run_on_examples(
        model,
        request.input,
        feed,
        sorted(fetches),
        model_name=request.tasks[0].model_spec.name,
        api="MultiInference",
        timeout_s=timeout_s,
        on_disconnect=on_disconnect,
    )
    response = inference_pb2.MultiInferenceResponse()
    for task, signature in zip(request.tasks, signatures.values(), strict=True):
        result = response.results.add(model_spec=resolved_spec(task.model_spec))
        if task.method_name == _CLASSIFY:
            result.classification_result.CopyFrom(classification_result(signature, outputs, num_examples))
        else:
            result.regression_result.CopyFrom(regression_result(signature, outputs, num_examples))
    return response


def _check_task(
    model: LoadedModel,
    task: inference_pb2.InferenceTask,
    model_name: str,
    *,
    seen: dict[str, meta_graph_pb2.SignatureDef],
) -> str:
    """The name of the task's signature, which the model has and no task before it."""
    if not task.model_spec.name:
        raise invalid_argument("Found ModelSpec with an empty model name.")
    if task.model_spec.name != model_name:
        raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
    name = signature_name(task.model_spec)
    if name in seen:
        raise invalid_argument(f"Duplicate evaluation of signature: {name}")
    if name not in model.signatures:
        raise invalid_argument(f"Requested signature not found in model graph: {name}")
    return name


def _tensors(
    model: LoadedModel, task: inference_pb2.InferenceTask, signature: meta_graph_pb2.SignatureDef
) -> tuple[str, list[str]]:
    if task.method_name == _CLASSIFY:
        return classification_tensors(model, signature)
    if task.method_name == _REGRESS:
        return regression_tensors(model, signature)
    raise StatusError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
