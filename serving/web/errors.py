"""The error answers of the gateway: one sentence in JSON, with the HTTP status that fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from serving.client.arguments import FILTER_FORMS
from serving.client.errors import ServingError
from serving.web.request_log import record_of

_BUSY = "The model server cannot answer at the moment; try again shortly."
_BROKEN = "The model server failed to answer; whoever runs the gateway finds the reason in its log."
# Each gRPC status has an answer of ours. The server's own message may name machines, so only the log has it.
_ANSWERS = {
    "UNAVAILABLE": (503, _BUSY),
    "RESOURCE_EXHAUSTED": (503, _BUSY),
    "CANCELLED": (503, _BUSY),
    "NOT_FOUND": (503, "The model server does not serve the model at the moment; try again shortly."),
    "DEADLINE_EXCEEDED": (504, "The model server took too long over the answer; try again shortly."),
    "FAILED_PRECONDITION": (501, "The model cannot answer this kind of request."),
    "UNIMPLEMENTED": (501, "The model server cannot answer this kind of request."),
}
_REFUSED = ("INVALID_ARGUMENT", "OUT_OF_RANGE")
# Each rule stands under pydantic's name of the mistake.
_RULES = {
    "json_invalid": "must be JSON",
    "model_attributes_type": "must be a JSON object, sent as application/json",
    "missing": "must be given",
    "extra_forbidden": "is not a name this request knows",
    "less_than_equal": "must be at most {le}",
    "greater_than_equal": "must be at least {ge}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "string_type": "must be a text",
    "string_unicode": "must be a text in Unicode",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "list_type": "must be a list",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "not_a_filter": f"must be {FILTER_FORMS}",
    "not_aligned": "must have one time for each of the {num_items} items of history",
}


def error_response(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer ``{"error": sentence}``."""
    return JSONResponse({"error": sentence}, status, headers)


async def answer_serving_error(request: Request, error: ServingError) -> JSONResponse:
    """Answers when the model server did not answer, or refused."""
    record_of(request.scope).line["error"] = f"{error.code}: {error}"
    if error.code in _REFUSED:
        return error_response(400, str(error))
    status, sentence = _ANSWERS.get(error.code, (502, _BROKEN))
    return error_response(status, sentence, {"Retry-After": "1"} if status == 503 else None)


async def answer_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    """Answers a request that does not have the form the API describes."""
    first = error.errors()[0]
    # If the body is no JSON, the place is a position in it, which says nothing to a caller.
    names = first["loc"][1:] if first["type"] != "json_invalid" else ()
    # The caller may have invented the name of the field, so it is made harmless and cut.
    place = ".".join(map(str, names)).encode("ascii", "backslashreplace").decode()[:100] or "The body"
    rule = _RULES.get(first["type"], "is not as the API describes it").format(**first.get("ctx", {}))
    got = _described(first.get("input"))
    return error_response(422, f"{place} {rule}.{f' Got {got}.' if got else ''}")


def _described(value: object) -> str:
    """A wrong value in a word or two. A text is never shown: it may be long, private or not encodable."""
    if isinstance(value, bool | int | float | None):
        return json.dumps(value)
    if isinstance(value, str):
        return f"a text of {len(value)}"
    return f"a list of {len(value)}" if isinstance(value, list) else ""


async def answer_http_exception(request: Request, error: HTTPException) -> JSONResponse:
    """Answers when there is no such page, or not with this method."""
    return error_response(error.status_code, f"{error.detail}.", dict(error.headers or {}))


async def answer_bug(request: Request, error: Exception) -> JSONResponse:
    """Answers any other failure; the server logs the traceback."""
    return error_response(500, "The gateway failed by a fault of its own; its log has the reason.")


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    ServingError: answer_serving_error,
    RequestValidationError: answer_invalid,
    HTTPException: answer_http_exception,
    Exception: answer_bug,
}
