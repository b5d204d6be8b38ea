"""The errors that a call to the server can raise.

::

    ServingError                   anything that kept the server from answering; `code` is the gRPC status
    ├── ServerUnavailableError     UNAVAILABLE: nobody answers at the address, or the server's queue is full
    ├── ServerTimeoutError         DEADLINE_EXCEEDED: the answer took longer than the client waits
    ├── ServerOverloadedError      RESOURCE_EXHAUSTED: the request waited too long in the queue, or is too big
    ├── CallCancelledError         CANCELLED: the client was closed, or the server stopped, meanwhile
    ├── ModelNotFoundError         NOT_FOUND: the server does not serve that model or version
    ├── FailedPreconditionError    FAILED_PRECONDITION: the model has no such signature, or is not set up
    ├── InvalidRequestError        INVALID_ARGUMENT, OUT_OF_RANGE: the server understood and refuses
    ├── AccessDeniedError          UNAUTHENTICATED, PERMISSION_DENIED: a proxy before the server refuses
    ├── NotSupportedError          UNIMPLEMENTED: the server has no such method
    └── ServerFailedError          INTERNAL, UNKNOWN, DATA_LOSS, ABORTED, ALREADY_EXISTS: the server's fault

Only UNAVAILABLE is tried again. A wrong argument raises a ``ValueError`` before the client asks.
"""

from __future__ import annotations

import grpc


class ServingError(Exception):
    """The server did not answer; the text is one sentence for the caller.

    Attributes:
        code: The name of the gRPC status, for example ``"NOT_FOUND"``; empty if no call was made.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class ServerUnavailableError(ServingError):
    """Nobody answers at the address, or the server cannot take the request at the moment."""


class ServerTimeoutError(ServingError):
    """The answer took longer than the client waits."""


class ServerOverloadedError(ServingError):
    """The request waited too long in the server's queue, or is larger than the server takes."""


class CallCancelledError(ServingError):
    """The client was closed, or the server stopped, before there was an answer."""


class ModelNotFoundError(ServingError):
    """The server does not serve that model or version."""


class FailedPreconditionError(ServingError):
    """The model has no such signature, or the server is not set up for the request."""


class InvalidRequestError(ServingError):
    """The server refuses the request as it is."""


class AccessDeniedError(ServingError):
    """A proxy before the server does not let the caller in."""


class NotSupportedError(ServingError):
    """The server has no such method."""


class ServerFailedError(ServingError):
    """The server failed, and the request was not the reason."""


_Code = grpc.StatusCode
_CLASSES: dict[grpc.StatusCode, type[ServingError]] = {
    _Code.UNAVAILABLE: ServerUnavailableError,
    _Code.DEADLINE_EXCEEDED: ServerTimeoutError,
    _Code.RESOURCE_EXHAUSTED: ServerOverloadedError,
    _Code.CANCELLED: CallCancelledError,
    _Code.NOT_FOUND: ModelNotFoundError,
    _Code.FAILED_PRECONDITION: FailedPreconditionError,
    _Code.INVALID_ARGUMENT: InvalidRequestError,
    _Code.OUT_OF_RANGE: InvalidRequestError,
    _Code.UNAUTHENTICATED: AccessDeniedError,
    _Code.PERMISSION_DENIED: AccessDeniedError,
    _Code.UNIMPLEMENTED: NotSupportedError,
    _Code.INTERNAL: ServerFailedError,
    _Code.UNKNOWN: ServerFailedError,
    _Code.DATA_LOSS: ServerFailedError,
    _Code.ABORTED: ServerFailedError,
    _Code.ALREADY_EXISTS: ServerFailedError,
}
# gRPC's own message begins like this if it had no connection. Any other message comes from the server.
_NO_CONNECTION = ("failed to connect to all addresses", "errors resolving", "DNS resolution failed")


def from_rpc_error(error: grpc.RpcError, *, address: str, timeout_s: float) -> ServingError:
    """Turns gRPC's error into ours, and keeps the server's message if there is one."""
    code: grpc.StatusCode = error.code()
    details: str = error.details() or ""
    if code is grpc.StatusCode.UNAVAILABLE:
        message = _unavailable(details, address)
    elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"The server at {address} must answer within {timeout_s:g} s and did not; raise timeout_s."
    else:
        message = details or f"The server at {address} answered {code.name}."
    return _CLASSES[code](message, code=code.name)


def _unavailable(details: str, address: str) -> str:
    if not details.startswith(_NO_CONNECTION):
        return f"The server at {address} is unavailable: {details}"
    if "Connection refused" in details:
        return f"No server answers at {address}; start one with `tandem serve`."
    reason = details.rpartition("last error: ")[2]
    if "handshake" in reason or "Verification" in reason or "Socket closed" in reason:
        return f"No server answers at {address} with these TLS settings: {reason}"
    return f"No server answers at {address}: {reason}"
