"""The TLS settings of a client, read from PEM files."""

from __future__ import annotations

import dataclasses
import os

import grpc


@dataclasses.dataclass(frozen=True, kw_only=True)
class TlsConfig:
    """The certificates by which the client trusts the server and, with mutual TLS, the server the client.

    Attributes:
        ca: PEM file of the authorities that may have signed the server's certificate; ``None`` trusts those
            gRPC knows.
        certificate: PEM file of the client's own certificate, with its chain.
        key: PEM file of the certificate's private key, without a password.
        server_name: The name in the server's certificate, if it differs from that in the address.

    Raises:
        ValueError: If a file cannot be read or is not PEM, or if the key does not belong to the certificate.

    Example:
        >>> TlsConfig(server_name="search.internal").server_name
        'search.internal'
        >>> TlsConfig(certificate="me.pem")
        Traceback (most recent call last):
        ValueError: The client's certificate and its key must be given together. Got one of them.
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        # The import is here so that a client without TLS does not pay for it.
        import ssl

        if (self.certificate is None) != (self.key is None):
            raise ValueError("The client's certificate and its key must be given together. Got one of them.")
        # gRPC would take any bytes, and fail with an unclear message only when it connects.
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
                # OpenSSL asks for a missing password on the terminal; an empty one keeps it from asking.
                context.load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(
                "The key must be that of the certificate, both in PEM and without a password. "
                f"Got {self.certificate} and {self.key}."
            ) from error

    def credentials(self) -> grpc.ChannelCredentials:
        """The credentials for gRPC; the files are read each time, so a new client gets renewed ones."""
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.certificate))


def _read(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()
