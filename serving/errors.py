"""What a call to the server can raise.

::

    ServingError                      anything that kept the server from answering
    ├── ServerUnavailableError        UNAVAILABLE: no server answers at the address
    ├── ServerTimeoutError            DEADLINE_EXCEEDED: the answer took longer than the client waits
    ├── ModelNotFoundError            NOT_FOUND: the server does not serve that model or version
    ├── SignatureNotFoundError        FAILED_PRECONDITION: the model cannot answer that kind of request
    ├── InvalidRequestError           INVALID_ARGUMENT: the server understood the request and refuses it
    └── ServerOverloadedError         RESOURCE_EXHAUSTED: the server has no room for the request now

A wrong argument that the client sees before it asks is a ``ValueError``.
"""

from __future__ import annotations

import grpc


class ServingError(Exception):
    """The server did not answer; the text is one sentence for the caller.

    Attributes:
        code: The name of the gRPC status, for example ``"NOT_FOUND"``; empty when no call was made.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class ServerUnavailableError(ServingError):
    """No server answers at the address."""


class ServerTimeoutError(ServingError):
    """The answer took longer than the client waits."""


class ModelNotFoundError(ServingError):
    """The server does not serve that model or version."""


class SignatureNotFoundError(ServingError):
    """The model cannot answer that kind of request."""


class InvalidRequestError(ServingError):
    """The server refuses the request as it is."""


class ServerOverloadedError(ServingError):
    """The server has no room for the request now."""


_CLASSES: dict[grpc.StatusCode, type[ServingError]] = {
    grpc.StatusCode.UNAVAILABLE: ServerUnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: ServerTimeoutError,
    grpc.StatusCode.NOT_FOUND: ModelNotFoundError,
    grpc.StatusCode.FAILED_PRECONDITION: SignatureNotFoundError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ServerOverloadedError,
}


def from_rpc_error(error: grpc.RpcError, *, address: str, timeout_s: float) -> ServingError:
    """Turns gRPC's error into ours, with the server's own words where it had any."""
    code: grpc.StatusCode = error.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        message = f"No server answers at {address}; start one with `tandem serve`."
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"The server at {address} must answer within {timeout_s:g} s and did not; raise timeout_s."
    else:
        message = error.details() or f"The server at {address} answered {code.name}."
    return _CLASSES.get(code, ServingError)(message, code=code.name)
