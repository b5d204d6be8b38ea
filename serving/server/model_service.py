"""``ModelService`` over gRPC: the states of models and versions."""

from __future__ import annotations

import grpc
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from serving.server.states import StateMonitor
from serving.server.status import get_model_status
from serving.server.status_error import StatusError


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """``tensorflow.serving.ModelService``; the methods not built answer UNIMPLEMENTED."""

    def __init__(self, states: StateMonitor) -> None:
        self._states = states

    def GetModelStatus(  # noqa: N802
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Lists the versions."""
        try:
            return get_model_status(self._states, request)
        except StatusError as error:
            context.abort(error.code, error.message)
            raise  # abort always raises; its stub does not say so in every version.
