from __future__ import annotations

import json
import re
from typing import Any

import yaml
from tensorflow_serving.config import model_server_config_pb2

from serving.pushed_model import MODEL_NAME
from serving.server.batching.parameters import read_batching_parameters
from serving.server.config_protos import MonitoringConfig, parse_text
from serving.server.flags import parse_flags
from tests.deploy.files import SERVER, container_of, instructions, manifest

IN_CONTAINER = "/etc/tandem/"
ARGUMENTS: list[str] = container_of("tandem-server")["args"]


def flag(name: str) -> str:
    [value] = [found.partition("=")[2] for found in ARGUMENTS if found.startswith(f"--{name}=")]
    return value


def grpc_option(name: str) -> int:
    options = dict(option.split("=") for option in flag("grpc_channel_arguments").split(","))
    return int(options[name])


def test_image_and_manifest_start_the_server_with_the_same_flags() -> None:
    [command] = [rest for name, rest in instructions(SERVER / "Dockerfile") if name == "CMD"]

    assert json.loads(command) == ARGUMENTS


def test_embedded_server_understands_every_flag() -> None:
    command_line = parse_flags(ARGUMENTS)

    assert command_line.unknown == ()


def test_models_config_serves_the_model_clients_ask_for() -> None:
    config = parse_text(SERVER / "models.config", model_server_config_pb2.ModelServerConfig)

    [model] = config.model_config_list.config
    assert (model.name, model.base_path) == (MODEL_NAME, f"/models/{MODEL_NAME}")
    assert model.model_platform == "tensorflow"


def test_requests_of_callers_with_different_histories_are_batched() -> None:
    parameters = read_batching_parameters(SERVER / "batching_parameters.txt")

    assert parameters.pad_variable_length_inputs
    assert flag("enable_batching") == "true"


def test_server_has_as_many_threads_as_its_container_has_cores() -> None:
    parameters = read_batching_parameters(SERVER / "batching_parameters.txt")
    cores = container_of("tandem-server")["resources"]["limits"]["cpu"]

    assert str(parameters.num_batch_threads) == cores
    assert (flag("tensorflow_intra_op_parallelism"), flag("tensorflow_inter_op_parallelism")) == ("1", "-1")


def test_weights_are_laid_out_once() -> None:
    [variable] = [rest for name, rest in instructions(SERVER / "Dockerfile") if name == "ENV"]
    environment = container_of("tandem-server")["env"]

    assert variable == "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS=1"
    assert {"name": "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "value": "1"} in environment


def test_metrics_are_where_prometheus_is_told_to_look() -> None:
    config = parse_text(SERVER / "monitoring.config", MonitoringConfig)
    pod = manifest("Deployment", "tandem-server")["spec"]["template"]
    annotations = pod["metadata"]["annotations"]

    assert config.prometheus_config.enable
    assert config.prometheus_config.path == annotations["prometheus.io/path"]
    assert flag("rest_api_port") == annotations["prometheus.io/port"]


def test_settings_are_in_image_and_config_map_under_the_names_the_flags_say() -> None:
    named = {value.partition("=")[2] for value in ARGUMENTS if IN_CONTAINER in value}
    settings = {name.removeprefix(IN_CONTAINER) for name in named}
    [copied] = [
        rest.split()
        for name, rest in instructions(SERVER / "Dockerfile")
        if name == "COPY" and "--" not in rest
    ]
    kustomization = yaml.safe_load((SERVER / "kustomization.yaml").read_text(encoding="utf-8"))
    [config_map] = kustomization["configMapGenerator"]

    assert {*copied} == {*settings, IN_CONTAINER}
    assert {*config_map["files"]} == settings
    assert all((SERVER / name).is_file() for name in settings)


def test_pod_outlives_every_connection_to_it() -> None:
    spec = manifest("Deployment", "tandem-server")["spec"]["template"]["spec"]
    before_stop_s = container_of("tandem-server")["lifecycle"]["preStop"]["sleep"]["seconds"]
    # gRPC spreads the age of connections by a tenth.
    connection_s = (
        1.1 * grpc_option("grpc.max_connection_age_ms") + grpc_option("grpc.max_connection_age_grace_ms")
    ) / 1000

    assert connection_s < before_stop_s < spec["terminationGracePeriodSeconds"]


def test_health_check_of_the_image_asks_what_the_readiness_probe_asks() -> None:
    probe: dict[str, Any] = container_of("tandem-server")["readinessProbe"]["httpGet"]
    [check] = [rest for name, rest in instructions(SERVER / "Dockerfile") if name == "HEALTHCHECK"]

    assert f"GET {probe['path']} HTTP" in check
    assert re.search(r"/dev/tcp/127.0.0.1/(\d+)", check)[1] == flag("rest_api_port")  # type: ignore[index]
    assert probe["path"] == f"/v1/models/{MODEL_NAME}/metadata"
