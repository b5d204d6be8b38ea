"""``PredictionService`` over gRPC: each method lets one module answer and turns its errors into statuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import grpc
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from serving.server.metadata import get_model_metadata
from serving.server.predict import predict
from serving.server.served import ServedModels
from serving.server.status_error import StatusError

Response = TypeVar("Response")


def _answer(context: grpc.ServicerContext, respond: Callable[[], Response]) -> Response:
    try:
        return respond()
    except StatusError as error:
        context.abort(error.code, error.message)
        raise  # abort always raises; its stub does not say so in every version.


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """``tensorflow.serving.PredictionService``; the methods not built answer UNIMPLEMENTED."""

    def __init__(self, served: ServedModels) -> None:
        self._served = served

    def Predict(  # noqa: N802  the service's name for it
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Calls a signature."""

        def respond() -> predict_pb2.PredictResponse:
            with self._served.use(request) as (version, model):
                response = predict(model, request)
            response.model_spec.version.value = version
            return response

        return _answer(context, respond)

    def GetModelMetadata(  # noqa: N802
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Describes the signatures."""
        return _answer(context, lambda: get_model_metadata(self._served, request))
