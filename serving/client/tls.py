"""TLS between client and server, from PEM files."""

from __future__ import annotations

import dataclasses
import os

import grpc


@dataclasses.dataclass(frozen=True, kw_only=True)
class TlsConfig:
    """How a client knows the server and, with mutual TLS, how the server knows the client.

    Attributes:
        ca: PEM file of the certificates the server's must be signed by; ``None`` takes those gRPC knows.
        certificate: PEM file of the client's own certificate, with its chain.
        key: PEM file of the certificate's private key, without a password.
        server_name: The name the server's certificate must hold, where it is not the address's.

    Raises:
        ValueError: When a file cannot be read, is not PEM, or the key is not that of the certificate.

    Example:
        >>> Client("search.internal:8500", tls=TlsConfig(ca="ca.pem"))      # doctest: +SKIP
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        # Only who uses TLS pays for the import.
        import ssl

        if (self.certificate is None) != (self.key is None):
            raise ValueError("The client's certificate and its key must be given together. Got one of them.")
        # gRPC would take any bytes and fail only when it connects, with words nobody understands.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for file in (self.ca, self.certificate, self.key):
            if file is not None and not os.access(file, os.R_OK):
                raise ValueError(f"A PEM file must exist and be readable. Got {file}.")
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
        except ssl.SSLError as error:
            raise ValueError(f"A PEM file must hold certificates. Got {self.ca}.") from error
        try:
            if self.certificate is not None and self.key is not None:
                # Without a password OpenSSL would ask for one on the terminal.
                context.load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(
                "The key must be that of the certificate, both in PEM and without a password. "
                f"Got {self.certificate} and {self.key}."
            ) from error

    def credentials(self) -> grpc.ChannelCredentials:
        """The same for gRPC; files are read anew, so that a renewed certificate counts for a new client."""
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.certificate))


def _read(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()
