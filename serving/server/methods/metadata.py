"""GetModelMetadata: the signatures of a model."""

from __future__ import annotations

from tensorflow_serving.apis import get_model_metadata_pb2

from serving.server.status_error import invalid_argument
from serving.server.versions.available import ServedModels

_SIGNATURE_DEF = "signature_def"


def get_model_metadata(
    served: ServedModels, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Gives all signatures of one available version.

    Raises:
        StatusError: If the request names no field, another field, or nothing available.
    """
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != _SIGNATURE_DEF:
            raise invalid_argument(f"Metadata field {field} is not supported")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with served.use(request) as (version, model):
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=model.signatures)
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = version
    response.metadata[_SIGNATURE_DEF].Pack(signatures)
    return response
