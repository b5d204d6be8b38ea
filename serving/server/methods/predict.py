"""Predict: the checks of the real server, in its order and words, then the run of the graph."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving.server import tensor_protos
from serving.server.batching.scheduler import OnDisconnect
from serving.server.methods.signatures import resolved_spec, signature_name
from serving.server.status_error import StatusError, invalid_argument
from serving.server.versions.loaded_model import LoadedModel


def predict(
    model: LoadedModel,
    request: predict_pb2.PredictRequest,
    *,
    timeout_s: float | None = None,
    on_disconnect: OnDisconnect | None = None,
    as_content: bool = False,
) -> predict_pb2.PredictResponse:
    """Answers the request with ``model``; the version in the answer's spec is left to the caller.

    Args:
        model: The model that answers.
        request: Tensors by the names of a signature's inputs, and the outputs that are wanted.
        timeout_s: The time that the run may take.
        on_disconnect: The same as for ``LoadedModel.run``.
        as_content: Whether to answer with bytes in ``tensor_content`` instead of values in typed fields.

    Raises:
        StatusError: If a check or the graph itself refuses the request.
    """
    name = signature_name(request.model_spec)
    signature = model.signatures.get(name)
    if signature is None:
        raise StatusError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    inputs = _read_inputs(signature, request.inputs)
    aliases = _select_outputs(signature, request.output_filter)
    fetches = [signature.outputs[alias].name for alias in aliases]

    started_s = time.perf_counter()
    arrays = model.run(inputs, fetches, timeout_s=timeout_s, on_disconnect=on_disconnect)
    latency_us = 1e6 * (time.perf_counter() - started_s)
    model.metrics.runtime_latency.observe(latency_us, request.model_spec.name, "Predict", "TF1")

    response = predict_pb2.PredictResponse(model_spec=resolved_spec(request.model_spec))
    for alias, array in zip(aliases, arrays, strict=True):
        tensor_protos.write(response.outputs[alias], array, as_content=as_content)
    return response


def _joined(names: Iterable[str]) -> str:
    return ",".join(sorted(names))


def _read_inputs(
    signature: meta_graph_pb2.SignatureDef, protos: Mapping[str, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of the request by the name of the tensor to feed; the graph itself checks their types."""
    expected, sent = set(signature.inputs), set(protos)
    if len(sent) != len(expected):
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(expected)} "
            f"len({{{_joined(sent)}}}) != len({{{_joined(expected)}}}). "
            f"Sent extra: {{{_joined(sent - expected)}}}. "
            f"Missing but required: {{{_joined(expected - sent)}}}."
        )
    inputs = {}
    for alias in sorted(expected):
        if alias not in sent:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not found in "
                f"request and no default value provided. Inputs expected to be in the request "
                f"{{{_joined(sent)}}}, or default input alias set: "
            )
        try:
            inputs[signature.inputs[alias].name] = tensor_protos.read(protos[alias])
        except (ValueError, MemoryError) as error:
            raise invalid_argument(f"tensor parsing error: {alias}") from error
    return inputs


def _select_outputs(signature: meta_graph_pb2.SignatureDef, output_filter: Iterable[str]) -> list[str]:
    wanted: list[str] = []
    for alias in output_filter:
        if alias not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {{{_joined(signature.outputs)}}}."
            )
        if alias in wanted:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
        wanted.append(alias)
    return wanted or list(signature.outputs)
