from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from tensorflow_serving.config import model_server_config_pb2

from serving.server.config_protos import BatchingParameters, MonitoringConfig, SSLConfig, parse_text
from serving.server.status_error import StatusError


def test_every_field_of_batching_parameters_is_read(tmp_path: Path) -> None:
    path = tmp_path / "batching.pbtxt"
    path.write_text(
        """# as in the guide of TensorFlow Serving
        max_batch_size { value: 128 }
        batch_timeout_micros { value: 0 }
        max_enqueued_batches { value: 1000000 }
        num_batch_threads { value: 8 }
        thread_pool_name { value: "shared" }
        allowed_batch_sizes: 64
        allowed_batch_sizes: 128
        pad_variable_length_inputs: true
        enable_large_batch_splitting { value: true }
        max_execution_batch_size { value: 64 }
        """
    )

    parameters = parse_text(path, BatchingParameters)

    assert parameters.max_batch_size.value == 128
    assert parameters.HasField("batch_timeout_micros")
    assert not BatchingParameters().HasField("batch_timeout_micros")
    assert list(parameters.allowed_batch_sizes) == [64, 128]
    assert parameters.thread_pool_name.value == "shared"
    assert parameters.pad_variable_length_inputs
    assert parameters.enable_large_batch_splitting.value
    assert parameters.max_execution_batch_size.value == 64


def test_monitoring_and_tls_files_are_read(tmp_path: Path) -> None:
    monitoring, tls = tmp_path / "monitoring", tmp_path / "tls"
    monitoring.write_text('prometheus_config { enable: true, path: "/metrics" }')
    tls.write_text('server_key: "a\\nb"\nserver_cert: "c"\ncustom_ca: "d"\nclient_verify: true')

    assert parse_text(monitoring, MonitoringConfig).prometheus_config.path == "/metrics"
    assert parse_text(tls, SSLConfig).server_key == "a\nb"
    assert parse_text(tls, SSLConfig).client_verify


@pytest.mark.parametrize("text", ["model_config_lists {}", 'model_config_list { config { name: "a }', "\xff"])
def test_typo_is_printed_and_the_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "models.config"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(StatusError) as error:
        parse_text(path, model_server_config_pb2.ModelServerConfig)

    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.message == f"Invalid protobuf file: '{path}'"
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in capsys.readouterr().err


def test_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(StatusError) as error:
        parse_text(tmp_path / "none", SSLConfig)

    assert error.value.code is grpc.StatusCode.NOT_FOUND
