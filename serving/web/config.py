"""The settings of the gateway."""

from __future__ import annotations

import dataclasses
import ipaddress
from pathlib import Path

from limits import RateLimitItem, parse

from dataset.errors import DataError
from serving.client.tls import TlsConfig
from serving.pushed_model import MODEL_NAME
from serving.web.request_log import Pseudonyms

# The rate is for one key or, without keys, for one address. It is twice what a person who types can send.
DEFAULT_RATE = "600/minute"


@dataclasses.dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """The gateway's settings. A gateway needs keys unless it listens on a loopback address.

    Attributes:
        server: ``HOST:PORT`` of the model server's gRPC port.
        server_tls: The TLS settings for the model server; by default nothing is encrypted.
        model_name: The name the model server serves the model under.
        timeout_s: Seconds the model server may take for an answer.
        model_dir: The directory of the model's versions, for examples and the items' columns; it may be
            missing.
        host: The address to listen on.
        keys: The file of keys; without a file nobody needs a key.
        allow_anonymous: Whether a gateway that other machines can reach may have no keys.
        rate: The most requests of one key, or of one address, such as ``"600/minute"``. The default is
            `DEFAULT_RATE`, and no limit on a loopback address without keys.
        pseudonyms: The pseudonyms that replace identities in the log; by default with a key of this process.

    Raises:
        DataError: If others could reach the gateway without a key, or if a value is wrong.
    """

    server: str = "localhost:8500"
    server_tls: TlsConfig | None = None
    model_name: str = MODEL_NAME
    timeout_s: float = 10.0
    model_dir: Path | None = None
    host: str = "127.0.0.1"
    keys: Path | None = None
    allow_anonymous: bool = False
    rate: str | None = None
    pseudonyms: Pseudonyms = dataclasses.field(default_factory=Pseudonyms.of_this_process)

    def __post_init__(self) -> None:
        if self.keys is not None and self.allow_anonymous:
            raise DataError("Either --keys or --allow-anonymous must be given. Got both.")
        if not (self.is_local or self.keys or self.allow_anonymous):
            raise DataError(
                f"A gateway that others can reach must have keys. Got --host {self.host} without; make a key "
                "with `tandem web keys add NAME --keys FILE` and give --keys FILE, or say --allow-anonymous."
            )
        _ = self.rate_limit

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the gateway."""
        return is_loopback(self.host)

    @property
    def rate_limit(self) -> RateLimitItem | None:
        """The rate as a limit; ``None`` for no limit."""
        if self.rate is None and self.is_local and self.keys is None:
            return None
        try:
            limit = parse(DEFAULT_RATE if self.rate is None else self.rate)
        except ValueError:
            limit = None
        if limit is None or limit.amount < 1:
            raise DataError(
                f"--rate must be a number of requests a time, such as {DEFAULT_RATE}. Got {self.rate!r}."
            )
        return limit


def is_loopback(host: str) -> bool:
    """Whether a name or address is a loopback one, which only this machine can reach."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
