"""GetModelStatus: the states of a model's versions."""

from __future__ import annotations

import grpc
from tensorflow_serving.apis import get_model_status_pb2

from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions.states import StateMonitor


def get_model_status(
    states: StateMonitor, request: get_model_status_pb2.GetModelStatusRequest
) -> get_model_status_pb2.GetModelStatusResponse:
    """Gives the state of one version, or of all that were ever seen, the highest number first.

    A label in the request is ignored, as the real server does.

    Raises:
        StatusError: If nothing of that name or number was ever seen.
    """
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    spec = request.model_spec
    versions = states.versions(spec.name)
    if spec.WhichOneof("version_choice") == "version":
        version = spec.version.value
        if version not in versions:
            raise StatusError(
                grpc.StatusCode.NOT_FOUND, f"Could not find version {version} of model {spec.name}"
            )
        versions = {version: versions[version]}
    if not versions:
        raise StatusError(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {spec.name}")
    response = get_model_status_pb2.GetModelStatusResponse()
    for version, entry in versions.items():
        added = response.model_version_status.add(version=version, state=int(entry.state))
        # The real server always sends the field, also for a healthy version.
        added.status.SetInParent()
        added.status.error_code = entry.error_code
        added.status.error_message = entry.error_message
    return response
