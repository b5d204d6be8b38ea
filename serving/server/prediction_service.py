"""``PredictionService`` over gRPC: one module answers each method, and errors become statuses."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.server.methods.metadata import get_model_metadata
from serving.server.methods.predict import predict
from serving.server.methods.refusals import refuse_examples, refuse_tasks
from serving.server.metrics import Metrics
from serving.server.status_error import StatusError
from serving.server.versions.available import ServedModels

# gRPC gives a call without a deadline one in some centuries.
_NO_DEADLINE_S = 1e9


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """``tensorflow.serving.PredictionService``.

    Args:
        served: The models that can be requested.
        metrics: The counters of requests.
        as_content: Whether Predict answers with bytes in ``tensor_content``, not with values in typed fields.
    """

    def __init__(self, served: ServedModels, metrics: Metrics, *, as_content: bool = False) -> None:
        self._served = served
        self._metrics = metrics
        self._predict = functools.partial(predict, as_content=as_content)

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Calls a signature."""
        return self._infer("Predict", self._predict, request, context)

    def Classify(
        self, request: classification_pb2.ClassificationRequest, context: grpc.ServicerContext
    ) -> classification_pb2.ClassificationResponse:
        """Refuses the examples."""
        return self._infer("Classify", refuse_examples, request, context)

    def Regress(
        self, request: regression_pb2.RegressionRequest, context: grpc.ServicerContext
    ) -> regression_pb2.RegressionResponse:
        """Refuses the examples."""
        return self._infer("Regress", refuse_examples, request, context)

    def MultiInference(
        self, request: inference_pb2.MultiInferenceRequest, context: grpc.ServicerContext
    ) -> inference_pb2.MultiInferenceResponse:
        """Refuses the examples; as the real server does, without counting."""
        # The first task says which model and version is asked.
        task = request.tasks[0] if request.tasks else inference_pb2.InferenceTask()
        task.model_spec.SetInParent()
        try:
            with self._served.use(task) as (_, model):
                refuse_tasks(model, request)
        except StatusError as error:
            context.abort(error.code, error.message)
            raise  # abort always raises; its stub does not say so in every version.

    def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Describes the signatures."""
        try:
            return get_model_metadata(self._served, request)
        except StatusError as error:
            context.abort(error.code, error.message)
            raise

    def _infer(
        self, api: str, answer: Callable[..., Any], request: Any, context: grpc.ServicerContext
    ) -> Any:
        """Lets ``answer`` answer a request with one ``model_spec``, and counts it."""
        started_s = time.perf_counter()
        name, status = request.model_spec.name, grpc.StatusCode.UNKNOWN
        try:
            with self._served.use(request) as (version, model):
                response = answer(model, request, **_limits(context))
            response.model_spec.version.value = version
            status = grpc.StatusCode.OK
            self._metrics.request_latency.observe(1e6 * (time.perf_counter() - started_s), name, api, "GRPC")
            return response
        except StatusError as error:
            status = error.code
            context.abort(error.code, error.message)
            raise
        finally:
            self._metrics.request_count.increment(name, status.name)


def _limits(context: grpc.ServicerContext) -> dict[str, Any]:
    """The time that the call may take, and the way to hear that its caller went away.

    Raises:
        StatusError: If nobody waits for the answer any more.
    """
    timeout_s: float | None = context.time_remaining()
    if timeout_s is not None and timeout_s > _NO_DEADLINE_S:
        timeout_s = None
    if timeout_s is not None and timeout_s <= 0:
        raise StatusError(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
    if not context.is_active():
        raise StatusError(grpc.StatusCode.CANCELLED, "The caller went away before its request was run.")
    return {"timeout_s": timeout_s, "on_disconnect": context.add_callback}
