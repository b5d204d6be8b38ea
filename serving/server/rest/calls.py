"""Calls of the REST API: each is the gRPC method of the same name, with JSON in and out."""

from __future__ import annotations

import dataclasses
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2, predict_pb2

from serving.client import tensors
from serving.server.methods.metadata import get_model_metadata
from serving.server.methods.predict import predict
from serving.server.methods.refusals import refuse_examples
from serving.server.methods.signatures import signature_name
from serving.server.methods.status import get_model_status
from serving.server.rest.inputs import read_inputs
from serving.server.rest.json import parse, quote
from serving.server.rest.outputs import write_outputs
from serving.server.status_error import invalid_argument
from serving.server.versions.available import ServedModels
from serving.server.versions.states import StateMonitor

_VERSION = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_ROUTES = {
    "POST": re.compile(
        rf"/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)", re.IGNORECASE
    ),
    "GET": re.compile(
        rf"/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<method>metadata))?", re.IGNORECASE
    ),
}
_Run = Callable[[model_pb2.ModelSpec, bytes], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """One request.

    Attributes:
        model_name: The model asked for.
        api: The inference method; empty for a model's state and metadata.
        run: Answers the body with JSON; raises ``StatusError``.
    """

    model_name: str
    api: str
    run: Callable[[bytes], str]


class RestCalls:
    """The methods of the REST API.

    Args:
        served: The versions that can be asked.
        states: The states of all versions.
        timeout_s: The time that the graph may take for a request.
    """

    def __init__(self, served: ServedModels, states: StateMonitor, *, timeout_s: float) -> None:
        self._served = served
        self._states = states
        self._timeout_s = timeout_s

    def find(self, verb: str, target: str) -> Call:
        """Finds what is asked for; ``target`` is the path as it came, with the query.

        Raises:
            StatusError: If there is no such path, or no model in it.
        """
        malformed = invalid_argument(f"Malformed request: {verb} {target}")
        route = _ROUTES.get(verb)
        match = route.fullmatch(target) if route else None
        if match is None:
            raise malformed
        # The path matches in any case, the method in it does not.
        method = match["method"] or ""
        if verb == "GET":
            run: _Run | None = self._show_metadata if method == "metadata" else self._show_status
        else:
            run = {"predict": self._predict, "classify": self._refuse, "regress": self._refuse}.get(method)
        if run is None:
            raise malformed
        if match["name"] is None:
            raise invalid_argument("Missing model name in request.")
        spec = _read_spec(match.groupdict())
        return Call(model_name=spec.name, api=method if verb == "POST" else "", run=partial(run, spec))

    def _predict(self, spec: model_pb2.ModelSpec, body: bytes) -> str:
        document = parse(body)
        request = _read_request(spec, document)
        with self._served.use(request) as (_, model):
            name = signature_name(request.model_spec)
            if name not in model.signatures:
                raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
            infos = model.signatures[name].inputs
            if not infos:
                asked = request.model_spec.signature_name or "DEFAULT"
                raise invalid_argument(f"Failed to get input map for signature: {asked}")
            arrays, by_row = read_inputs(document, infos)
            for alias, array in arrays.items():
                tensors.fill(request.inputs[alias], array)
            response = predict(model, request, timeout_s=self._timeout_s)
        return write_outputs(response.outputs, by_row=by_row)

    def _refuse(self, spec: model_pb2.ModelSpec, body: bytes) -> str:
        request = _read_request(spec, parse(body))
        with self._served.use(request) as (_, model):
            refuse_examples(model, request)

    def _show_status(self, spec: model_pb2.ModelSpec, body: bytes) -> str:
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
        return _write_message(get_model_status(self._states, request))

    def _show_metadata(self, spec: model_pb2.ModelSpec, body: bytes) -> str:
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=spec, metadata_field=["signature_def"]
        )
        response = get_model_metadata(self._served, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        model_spec = {
            "name": response.model_spec.name,
            "signature_name": "",
            "version": str(response.model_spec.version.value),
        }
        # The real server joins the two parts by hand, line breaks included.
        return (
            f'{{\n"model_spec":{_write(model_spec)},\n'
            f'"metadata": {{"signature_def": {_write_message(signatures)}}}\n}}\n'
        )


def _read_spec(groups: Mapping[str, str | None]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(groups["name"] or ""))
    version, label = groups["version"], groups["label"]
    if version is not None:
        # Python refuses to read some thousands of digits.
        if len(version.lstrip("0")) > 19 or int(version) >= 2**63:
            raise invalid_argument(f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    elif label is not None:
        spec.version_label = urllib.parse.unquote(label)
    return spec


def _read_request(spec: model_pb2.ModelSpec, document: Mapping[str, Any]) -> predict_pb2.PredictRequest:
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {quote(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    request = predict_pb2.PredictRequest(model_spec=spec)
    request.model_spec.signature_name = name
    return request


def _write_message(message: Message) -> str:
    document = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return _write(document)


def _write(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
