"""``ModelService`` over gRPC: the states of models and versions, and the change of what is served."""

from __future__ import annotations

import logging

import grpc
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from serving.server.configuration import Configuration
from serving.server.methods.status import get_model_status
from serving.server.metrics import Metrics
from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions.states import StateMonitor

_log = logging.getLogger(__name__)


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """``tensorflow.serving.ModelService``."""

    def __init__(self, states: StateMonitor, configuration: Configuration, metrics: Metrics) -> None:
        self._states = states
        self._configuration = configuration
        self._metrics = metrics

    def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Lists the versions."""
        try:
            return get_model_status(self._states, request)
        except StatusError as error:
            context.abort(error.code, error.message)
            raise  # abort always raises; its stub does not say so in every version.

    def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        """Replaces the list of models; blocks until each new one is available or has failed."""
        before = {name: self._metrics.value(name) for name in request.metric_names}
        try:
            if request.config.WhichOneof("config") != "model_config_list":
                raise invalid_argument(
                    "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                    "Only ModelConfigList is currently supported"
                )
            self._configuration.replace(request.config, still_wanted=context.is_active)
        except StatusError as error:
            _log.error("ReloadConfig failed: %s", error.message)
            context.abort(error.code, error.message)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        for name in request.metric_names:
            response.metric.add(name=name, int64_value_increase=self._metrics.value(name) - before[name])
        return response
