"""TLS, sockets, options, health and reflection of gRPC; no model is needed for these."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.server.config import ServerConfig
from serving.server.grpc_server import GrpcServer, parse_channel_arguments, read_credentials
from serving.server.metrics import Metrics
from serving.server.model_service import ModelService
from serving.server.status_error import StatusError
from serving.server.versions.states import StateMonitor
from tests.serving.server.requests import failure, predict_request, status_request

_ANSWERED = ("NOT_FOUND", "Could not find any versions of model tandem")
_SERVING = health_pb2.HealthCheckResponse.SERVING

Start = Callable[..., GrpcServer]


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[GrpcServer] = []

    def start(**settings: Any) -> GrpcServer:
        server = GrpcServer(
            ServerConfig(**{"host": "localhost", "port": 0, **settings}),
            prediction_service=prediction_service_pb2_grpc.PredictionServiceServicer(),
            # What is asked of it here never gets to the configuration.
            model_service=ModelService(StateMonitor(), None, Metrics()),  # type: ignore[arg-type]
        )
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.drain(timeout_s=1)
        server.stop()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def write_config(authority: trustme.CA, tmp_path: Path) -> Callable[..., Path]:
    """Writes an ``SSLConfig`` with the server's key and certificate, and what else it is told."""

    def write(**fields: Any) -> Path:
        certificate = authority.issue_cert("localhost")
        texts = {
            "server_key": certificate.private_key_pem.bytes(),
            "server_cert": certificate.cert_chain_pems[0].bytes(),
            **fields,
        }
        lines = [
            f"{name}: {str(text).lower() if isinstance(text, bool) else _quoted(text)}"
            for name, text in texts.items()
        ]
        path = tmp_path / "ssl.pbtxt"
        path.write_text("\n".join(lines))
        return path

    return write


def _quoted(text: bytes) -> str:
    return '"' + text.decode().replace("\n", "\\n") + '"'


def _ask(channel: grpc.Channel) -> tuple[str, str]:
    with channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        return failure(lambda: stub.GetModelStatus(status_request(), timeout=5))


def test_tls_is_spoken_with_the_key_and_certificate_of_the_file(
    start: Start, write_config: Callable[..., Path], authority: trustme.CA
) -> None:
    server = start(ssl_config_file=write_config())
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes())

    assert _ask(grpc.secure_channel(f"localhost:{server.port}", credentials)) == _ANSWERED
    assert _ask(grpc.insecure_channel(f"localhost:{server.port}"))[0] == "UNAVAILABLE"


def test_client_verify_wants_a_certificate_of_the_ca(
    start: Start, write_config: Callable[..., Path], authority: trustme.CA
) -> None:
    server = start(ssl_config_file=write_config(custom_ca=authority.cert_pem.bytes(), client_verify=True))
    root = authority.cert_pem.bytes()

    def ask(*client: bytes) -> str:
        credentials = grpc.ssl_channel_credentials(root, *client)
        return _ask(grpc.secure_channel(f"localhost:{server.port}", credentials))[0]

    def issued_by(ca: trustme.CA) -> tuple[bytes, bytes]:
        certificate = ca.issue_cert("client")
        return certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes()

    assert ask(*issued_by(authority)) == "NOT_FOUND"
    assert ask() == "UNAVAILABLE"
    assert ask(*issued_by(trustme.CA())) == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"server_key": b"no key"}, "must hold the PEM texts of a key, its certificate and, if any, a CA"),
        ({"server_cert": b""}, "must hold the PEM texts"),
        ({"custom_ca": b"no certificate", "client_verify": True}, "must hold the PEM texts"),
        ({"client_verify": True}, "must set custom_ca"),
        ({"client_verified": True}, "Invalid protobuf file"),
    ],
)
def test_tls_file_that_cannot_be_used_is_refused(
    write_config: Callable[..., Path], fields: dict[str, Any], message: str
) -> None:
    path = write_config(**fields)

    with pytest.raises(StatusError) as error:
        read_credentials(path)

    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert message in error.value.message
    assert str(path) in error.value.message


def test_host_may_be_an_address_of_ipv6(start: Start) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = start(host="::1")

    assert _ask(grpc.insecure_channel(f"[::1]:{server.port}")) == _ANSWERED


def test_socket_is_served_beside_the_port(start: Start, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    path = os.path.relpath(tmp_path / "grpc.sock")

    start(port=port, grpc_socket_path=path)

    assert _ask(grpc.insecure_channel(f"localhost:{port}")) == _ANSWERED
    assert _ask(grpc.insecure_channel(f"unix:{path}")) == _ANSWERED


def test_socket_is_served_alone_without_a_port(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "grpc.sock"

    with caplog.at_level("INFO"):
        server = start(grpc_socket_path=str(path))

    assert server.port == 0
    assert _ask(grpc.insecure_channel(f"unix:{path}")) == _ANSWERED
    assert caplog.messages == [f"Running gRPC ModelServer at UNIX socket {path} ..."]


def test_address_that_cannot_be_had_is_named(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "grpc.sock"

    with pytest.raises(StatusError, match=rf"The address unix:{path} must be free and is not"):
        start(grpc_socket_path=str(path))


def test_channel_arguments_are_numbers_or_texts() -> None:
    assert parse_channel_arguments("") == []
    assert parse_channel_arguments("grpc.max_connection_age_ms=2000,grpc.primary_user_agent=x=y") == [
        ("grpc.max_connection_age_ms", 2000),
        ("grpc.primary_user_agent", "x=y"),
    ]


@pytest.mark.parametrize("text", ["grpc.max_connection_age_ms", "=1", "a=1,b"])
def test_channel_argument_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(StatusError, match="grpc_channel_arguments must be key=value,key=value"):
        parse_channel_arguments(text)


def test_requests_may_be_larger_than_grpc_allows_unless_an_argument_says_otherwise(start: Start) -> None:
    request = predict_request("x" * 5_000_000)

    def ask(**settings: Any) -> str:
        with grpc.insecure_channel(f"localhost:{start(**settings).port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            return failure(lambda: stub.Predict(request))[0]

    assert ask() == "UNIMPLEMENTED"
    assert ask(grpc_channel_arguments="grpc.max_receive_message_length=1000") == "RESOURCE_EXHAUSTED"


def test_health_is_told_by_the_short_names(start: Start) -> None:
    server = start(enable_grpc_healthcheck_service=True)
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)

        for name in ("", "ModelService", "PredictionService"):
            assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == _SERVING
        full_name = health_pb2.HealthCheckRequest(service="tensorflow.serving.PredictionService")
        assert failure(lambda: health.Check(full_name))[0] == "NOT_FOUND"
        watch = health.Watch(health_pb2.HealthCheckRequest(service="ModelService"))
        assert next(watch).status == _SERVING
        watch.cancel()


def test_health_is_not_served_unless_it_is_enabled(start: Start) -> None:
    with grpc.insecure_channel(f"localhost:{start().port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)

        assert failure(lambda: health.Check(health_pb2.HealthCheckRequest()))[0] == "UNIMPLEMENTED"


@pytest.mark.parametrize("health", [True, False])
def test_reflection_lists_the_services_and_describes_them(start: Start, health: bool) -> None:
    services = ["tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"]
    server = start(enable_grpc_healthcheck_service=health)
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        *(reflection_pb2.ServerReflectionRequest(file_containing_symbol=service) for service in services),
    ]
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        listed, *described = stub.ServerReflectionInfo(iter(requests))

    assert {service.name for service in listed.list_services_response.service} == {
        *services,
        "grpc.reflection.v1alpha.ServerReflection",
        *(["grpc.health.v1.Health"] if health else []),
    }
    methods = []
    for answer in described:
        file = descriptor_pb2.FileDescriptorProto.FromString(
            answer.file_descriptor_response.file_descriptor_proto[0]
        )
        methods.append([method.name for method in file.service[0].method])
    assert methods == [
        ["Classify", "Regress", "Predict", "MultiInference", "GetModelMetadata"],
        ["GetModelStatus", "HandleReloadConfigRequest"],
    ]
