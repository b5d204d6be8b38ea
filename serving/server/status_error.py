"""Status of a request that the server does not fulfil."""

from __future__ import annotations

import grpc

# Longer messages are cut by the real server, so that they fit into HTTP/2 headers.
_MAX_MESSAGE_BYTES = 1024


class StatusError(Exception):
    """A gRPC status other than OK, with the text clients match on.

    Attributes:
        code: The status.
        message: The text for the client, at most 1024 bytes and a mark that it was cut.
    """

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        encoded = message.encode()
        if len(encoded) > _MAX_MESSAGE_BYTES:
            message = encoded[:_MAX_MESSAGE_BYTES].decode(errors="ignore") + "...TRUNCATED"
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def error_code(self) -> int:
        """The status as a number, the one ``StatusProto`` carries."""
        number: int = self.code.value[0]
        return number


def invalid_argument(message: str) -> StatusError:
    """The most frequent one."""
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, message)


def code_of(number: int) -> grpc.StatusCode:
    """The gRPC status with TensorFlow's error code ``number``; they are numerically the same."""
    return next((code for code in grpc.StatusCode if code.value[0] == number), grpc.StatusCode.UNKNOWN)
