from __future__ import annotations

from pathlib import Path

import grpc
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from serving.client import Client
from serving.client.errors import ServerUnavailableError
from serving.client.tls import TlsConfig
from tests.serving.stub_server import StubServer


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def _write(folder: Path, ca: trustme.CA, *, name: str) -> tuple[Path, Path, Path]:
    """Writes the authority's certificate, one it issues for ``name``, and that one's key."""
    issued = ca.issue_cert(name)
    ca.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    issued.private_key_pem.write_to_path(folder / f"{name}.key")
    return folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key"


def _server(folder: Path, ca: trustme.CA, *, name: str = "localhost", mutual: bool = False) -> StubServer:
    root, certificate, key = (path.read_bytes() for path in _write(folder, ca, name=name))
    credentials = grpc.ssl_server_credentials([(key, certificate)], root if mutual else None, mutual)
    return StubServer(credentials=credentials)


def test_server_is_known_by_its_authority(tmp_path: Path, ca: trustme.CA) -> None:
    with (
        _server(tmp_path, ca) as server,
        Client(server.address, tls=TlsConfig(ca=tmp_path / "ca.pem")) as client,
    ):
        assert client.status()[0].state == "AVAILABLE"


def test_server_of_another_authority_is_refused(tmp_path: Path, ca: trustme.CA) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    with (
        _server(tmp_path, ca) as server,
        Client(server.address, tls=TlsConfig(ca=tmp_path / "other.pem"), num_attempts=1) as client,
        pytest.raises(ServerUnavailableError, match=r"with these TLS settings: .*CERTIFICATE_VERIFY_FAILED"),
    ):
        client.status()


def test_server_may_have_another_name_than_its_address(tmp_path: Path, ca: trustme.CA) -> None:
    with _server(tmp_path, ca, name="search.internal") as server:
        tls = TlsConfig(ca=tmp_path / "ca.pem", server_name="search.internal")
        with Client(server.address, tls=tls) as client:
            assert client.status()
        with (
            Client(server.address, tls=TlsConfig(ca=tmp_path / "ca.pem"), num_attempts=1) as nameless,
            pytest.raises(ServerUnavailableError, match="Hostname Verification"),
        ):
            nameless.status()


def test_mutual_tls_lets_in_only_who_has_a_certificate(tmp_path: Path, ca: trustme.CA) -> None:
    root, certificate, key = _write(tmp_path, ca, name="caller.internal")
    with _server(tmp_path, ca, mutual=True) as server:
        with Client(server.address, tls=TlsConfig(ca=root, certificate=certificate, key=key)) as client:
            assert client.status()
        with (
            Client(server.address, tls=TlsConfig(ca=root), num_attempts=1) as stranger,
            pytest.raises(ServerUnavailableError),
        ):
            stranger.status()


def test_wrong_files_are_named_before_a_call(tmp_path: Path, ca: trustme.CA) -> None:
    root, certificate, key = _write(tmp_path, ca, name="caller.internal")
    _, _, other_key = _write(tmp_path, ca, name="other.internal")
    (tmp_path / "text").write_text("not PEM")

    with pytest.raises(ValueError, match=r"must exist and be readable\. Got .*nothing\."):
        TlsConfig(ca=tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"must hold certificates\. Got .*text\."):
        TlsConfig(ca=tmp_path / "text")
    with pytest.raises(ValueError, match=r"must be given together\. Got one of them"):
        TlsConfig(ca=root, certificate=certificate)
    encrypted = serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "encrypted").write_bytes(encrypted)
    for wrong in (other_key, tmp_path / "text", tmp_path / "encrypted"):
        with pytest.raises(ValueError, match=r"The key must be that of the certificate"):
            TlsConfig(certificate=certificate, key=wrong)
