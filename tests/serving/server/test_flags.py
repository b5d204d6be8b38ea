from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from serving.server.__main__ import main
from serving.server.config import ServerConfig
from serving.server.flags import FlagError, UnsupportedFlagError, parse_flags, usage

_OWN_SETTINGS = {"host", "drain_timeout_s"}


def test_flags_set_the_fields_of_the_configuration() -> None:
    config = parse_flags(
        [
            "--model_base_path=/models/a=b",
            "--model_name=tandem",
            "--port=1234",
            "--load_retry_interval_micros=1500000",
            "--enable_model_warmup=false",
            "--file_system_poll_wait_seconds=-1",
            "--ssl_config_file=/etc/tls.pbtxt",
        ]
    ).config

    assert config == ServerConfig(
        model_base_path="/models/a=b",
        model_name="tandem",
        port=1234,
        load_retry_interval_micros=1_500_000,
        enable_model_warmup=False,
        file_system_poll_wait_seconds=-1,
        ssl_config_file=Path("/etc/tls.pbtxt"),
    )


def test_every_setting_is_a_flag_but_our_own() -> None:
    names = {field.name for field in dataclasses.fields(ServerConfig)} - _OWN_SETTINGS

    for name in names:
        assert f"  --{name}=" in usage()
    for name in _OWN_SETTINGS:
        assert parse_flags([f"--{name}=1"]).unknown == (f"--{name}=1",)


def test_defaults_are_those_of_the_real_server() -> None:
    config = parse_flags([]).config

    assert (config.port, config.model_name, config.file_system_poll_wait_seconds) == (8500, "default", 1)
    assert (config.max_num_load_retries, config.load_retry_interval_micros) == (5, 60_000_000)
    assert (config.rest_api_port, config.rest_api_timeout_in_ms) == (0, 30_000)
    assert config.enable_model_warmup
    assert not config.enable_batching


def test_bare_flag_means_true() -> None:
    assert parse_flags(["--enable_batching"]).config.enable_batching


def test_empty_path_is_none() -> None:
    assert parse_flags(["--batching_parameters_file="]).config.batching_parameters_file is None


@pytest.mark.parametrize("argument", ["port=1", "-port=1", "--ports=1", "--port", "8500"])
def test_what_is_no_flag_is_unknown(argument: str) -> None:
    assert parse_flags([argument, "--model_name=x"]).unknown == (argument,)
    assert parse_flags([argument, "--model_name=x"]).config.model_name == "x"


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--port=many", "The value of --port cannot be read. Got --port=many."),
        ("--port=", "The value of --port cannot be read. Got --port=."),
        (
            "--enable_batching=maybe",
            "The value of --enable_batching cannot be read. Got --enable_batching=maybe.",
        ),
        ("--port=70000", "port must be between 0 and 65535. Got 70000."),
        ("--grpc_max_threads=0", "grpc_max_threads must be at least 1. Got 0."),
        ("--num_load_threads=-1", "num_load_threads must be at least 0. Got -1."),
    ],
)
def test_value_that_cannot_be_used_is_named(argument: str, sentence: str) -> None:
    with pytest.raises(FlagError) as error:
        parse_flags([argument])

    assert str(error.value) == sentence


@pytest.mark.parametrize(
    "argument",
    [
        "--enable_profiler",
        "--use_alts_credentials=true",
        "--platform_config_file=/platforms",
        "--prefer_tflite_model=1",
        "--num_tflite_pools=2",
        "--per_process_gpu_memory_fraction=0.5",
        "--xla_cpu_compilation_enabled=true",
        "--mixed_precision=bfloat16",
        "--saved_model_tags=tpu,serve",
        "--thread_pool_factory_config_file=/threads",
    ],
)
def test_flag_for_what_only_the_real_server_does_is_refused_by_name(argument: str) -> None:
    with pytest.raises(UnsupportedFlagError) as error:
        parse_flags([argument])

    assert str(error.value) == (
        f"{argument.partition('=')[0]} must be left out, as only tensorflow_model_server supports it. "
        f"Got {argument}."
    )


@pytest.mark.parametrize(
    "argument",
    [
        "--enable_profiler=false",
        "--use_alts_credentials=false",
        "--platform_config_file=",
        "--per_process_gpu_memory_fraction=0",
        "--saved_model_tags=serve",
        "--enable_signature_method_name_check",
        "--flush_filesystem_caches=false",
        "--remove_unused_fields_from_bundle_metagraph",
        "--skip_initialize_tpu=true",
    ],
)
def test_flag_that_asks_for_nothing_is_taken(argument: str) -> None:
    assert parse_flags([argument]) == parse_flags([])


def test_version_prints_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("TensorFlow ModelServer: 2.20")
    assert second.startswith("TensorFlow Library: 2.")


def test_help_prints_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    assert "--model_base_path" in capsys.readouterr().out


def test_unreadable_value_prints_the_flags_and_ends_with_255(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port=x"]) == 255

    printed = capsys.readouterr()
    assert "--model_base_path" in printed.out
    assert printed.err == "The value of --port cannot be read. Got --port=x.\n"


def test_refused_flag_is_one_sentence_and_255(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model_base_path=/models", "--enable_profiler=true"]) == 255

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
