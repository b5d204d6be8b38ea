"""The settings that both clients have: the server's address, the model to ask, timeout, attempts and TLS."""

from __future__ import annotations

import abc
import math
import random
import re
import time
from typing import Any

import grpc

from serving.client import errors
from serving.client.methods import Model
from serving.client.results import VersionStatus
from serving.client.tls import TlsConfig

# These errors are expected while a server starts, and they go away by themselves.
NOT_READY = (errors.ServerUnavailableError, errors.ServerTimeoutError, errors.ModelNotFoundError)
POLL_S = 0.1
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


class Connection(abc.ABC):
    """The checked settings of a client; `Client` and `AsyncClient` add the calls.

    A client has one channel. The channel connects with the first call, stays connected, and connects again
    after the connection broke. Make one client and keep it.

    Args:
        address: ``"HOST:PORT"`` of the server's gRPC port.
        model_name: The name the server serves the model under.
        version: The version to ask; by default the newest that is available.
        version_label: The label of the version to ask, as the server's configuration has it.
        timeout_s: Seconds to wait for an answer, all attempts together, unless a call sets its own timeout.
        num_attempts: The most attempts that are made while the server is unavailable; every other failure is
            final. The pauses between attempts grow and are random, so that clients do not all return at once.
        tls: The TLS settings; by default nothing is encrypted.

    Raises:
        ValueError: If an argument is wrong; nothing has been sent then.
        ServingError: If, in any call, the server cannot be reached or refuses; see ``serving.client.errors``.
    """

    def __init__(
        self,
        address: str,
        *,
        model_name: str = "tandem",
        version: int | None = None,
        version_label: str | None = None,
        timeout_s: float = 10.0,
        num_attempts: int = 3,
        tls: TlsConfig | None = None,
    ) -> None:
        if not re.fullmatch(r"[^\s/]+:\d{1,5}", address):
            raise ValueError(f"address must be HOST:PORT, for example localhost:8500. Got {address!r}.")
        if not num_attempts >= 1:
            raise ValueError(f"num_attempts must be at least 1. Got {num_attempts!r}.")
        self.address = address
        self.model = Model(name=model_name, version=version, version_label=version_label)
        self.timeout_s = _checked_timeout(timeout_s)
        self.num_attempts = num_attempts
        self.tls = tls
        self._open()

    @abc.abstractmethod
    def _open(self) -> None:
        """Makes the channel, which connects with the first call."""

    def _timeout_s(self, of_call: float | None) -> float:
        return self.timeout_s if of_call is None else _checked_timeout(of_call)

    def _pause_s(self, error: grpc.RpcError, *, attempt: int, remaining_s: float) -> float | None:
        """The seconds to wait before the next attempt, or ``None`` if ``error`` is final.

        The waits are exponential backoff with full jitter:
        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        if error.code() is not grpc.StatusCode.UNAVAILABLE or attempt >= self.num_attempts:
            return None
        pause_s = random.uniform(0.0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempt - 1)))
        return pause_s if pause_s < remaining_s else None

    def _error(self, error: grpc.RpcError, timeout_s: float) -> errors.ServingError:
        return errors.from_rpc_error(error, address=self.address, timeout_s=timeout_s)

    def _is_available(self, versions: list[VersionStatus]) -> bool:
        return any(version.state == "AVAILABLE" for version in versions)

    def _poll_timeout_s(self, deadline: float) -> float:
        return max(POLL_S, min(self.timeout_s, deadline - time.monotonic()))

    def _not_ready(self, timeout_s: float) -> errors.ServerTimeoutError:
        return errors.ServerTimeoutError(
            f"The server at {self.address} must serve {self.model.name} within {timeout_s:g} s and did not."
        )

    def _channel_options(self) -> list[tuple[str, Any]]:
        options: list[tuple[str, Any]] = [
            # gRPC's own limit of 4 MiB is below one batch of long result lists.
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            # With these limits a client finds a restarted server again within seconds.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2000),
        ]
        if self.tls is not None and self.tls.server_name is not None:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options


def _checked_timeout(timeout_s: float) -> float:
    if not (timeout_s > 0 and math.isfinite(timeout_s)):
        raise ValueError(f"timeout_s must be a number of seconds above 0. Got {timeout_s!r}.")
    return timeout_s
