"""Predict: the checks of the real server, in its order and words, then the signature's call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from serving import tensors
from serving.server.loaded_model import LoadedModel
from serving.server.status_error import StatusError, code_of, invalid_argument

_DEFAULT_SIGNATURE = "serving_default"


def predict(model: LoadedModel, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """Answers the request with ``model``; the version in the answer's spec is left to the caller.

    Raises:
        StatusError: When a check or the graph itself refuses the request.
    """
    name = request.model_spec.signature_name or _DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise StatusError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    inputs = _read_inputs(signature, request.inputs)
    wanted = _select_outputs(signature, request.output_filter)
    _check_types(signature, request.inputs)
    try:
        outputs = model.run(name, inputs)
    except tf.errors.OpError as error:
        raise StatusError(code_of(error.error_code), error.message) from error
    except (TypeError, ValueError) as error:
        # TensorFlow's Python layer refuses some shapes itself, before a kernel does.
        raise invalid_argument(str(error)) from error

    response = predict_pb2.PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.signature_name = name
    for alias in wanted:
        tensors.fill(response.outputs[alias], outputs[alias])
    return response


def _joined(names: Iterable[str]) -> str:
    return ",".join(sorted(names))


def _read_inputs(
    signature: meta_graph_pb2.SignatureDef, protos: Mapping[str, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    expected, sent = set(signature.inputs), set(protos)
    if len(sent) > len(expected) or (len(sent) < len(expected) and not signature.defaults):
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(expected)} "
            f"len({{{_joined(sent)}}}) != len({{{_joined(expected)}}}). "
            f"Sent extra: {{{_joined(sent - expected)}}}. "
            f"Missing but required: {{{_joined(expected - sent)}}}."
        )
    inputs = {}
    for alias in sorted(expected):
        if alias not in sent and alias not in signature.defaults:
            raise invalid_argument(
                f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not found in "
                f"request and no default value provided. Inputs expected to be in the request "
                f"{{{_joined(sent)}}}, or default input alias set: {_joined(signature.defaults)}"
            )
        try:
            inputs[alias] = tensors.to_array(protos[alias] if alias in sent else signature.defaults[alias])
        except (ValueError, MemoryError) as error:
            raise invalid_argument(f"tensor parsing error: {alias}") from error
    if not sent <= expected:
        raise invalid_argument(
            f"Inputs contains invalid name. Used request inputs: {_joined(sent & expected)}, "
            f"request input: {_joined(sent)}"
        )
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


def _check_types(signature: meta_graph_pb2.SignatureDef, protos: Mapping[str, Any]) -> None:
    by_feed_name = sorted(signature.inputs.items(), key=lambda item: item[1].name)
    for index, (alias, info) in enumerate(by_feed_name):
        if alias in protos and protos[alias].dtype != info.dtype:
            raise invalid_argument(
                f"Expects arg[{index}] to be {_short_name(info.dtype)} "
                f"but {_short_name(protos[alias].dtype)} is provided"
            )


def _short_name(data_type: types_pb2.DataType) -> str:
    return types_pb2.DataType.Name(data_type).removeprefix("DT_").lower()
