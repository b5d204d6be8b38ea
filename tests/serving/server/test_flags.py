from __future__ import annotations

from pathlib import Path

import pytest

from serving.server.config import ServerConfig
from serving.server.flags import FlagError, parse_flags, usage


def test_flags_set_the_fields_of_the_configuration() -> None:
    config = parse_flags(
        [
            "--model_base_path=/models/a=b",
            "--model_name=tandem",
            "--port=1234",
            "--load_retry_interval_micros=1500000",
            "--enable_model_warmup=false",
        ]
    )

    assert config == ServerConfig(
        model_base_path=Path("/models/a=b"),
        model_name="tandem",
        port=1234,
        load_retry_interval_micros=1_500_000,
        enable_model_warmup=False,
    )


def test_defaults_are_those_of_the_real_server() -> None:
    config = parse_flags(["--model_base_path=/models"])

    assert (config.port, config.model_name, config.file_system_poll_wait_seconds) == (8500, "default", 1)
    assert (config.max_num_load_retries, config.load_retry_interval_micros) == (5, 60_000_000)


def test_bare_flag_means_true() -> None:
    assert parse_flags(["--model_base_path=/models", "--enable_model_warmup"]).enable_model_warmup


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--enable_batching=true"],
            "Every argument must be a flag this server supports. Got --enable_batching=true.",
        ),
        (["port=1"], "Every argument must be a flag this server supports. Got port=1."),
        (["--port=many"], "The value of --port cannot be read. Got --port=many."),
        (["--port=1"], "--model_base_path must be given."),
        (
            ["--model_base_path=models"],
            "Expected model default to have an absolute path or URI; got base_path()=models",
        ),
        (["--model_base_path=/m", "--port=70000"], "port must be between 0 and 65535. Got 70000."),
        (["--model_base_path=/m", "--port=0"], "port must be between 1 and 65535. Got 0."),
    ],
)
def test_wrong_flag_is_named(arguments: list[str], sentence: str) -> None:
    with pytest.raises(FlagError) as error:
        parse_flags(arguments)

    assert str(error.value) == sentence


def test_usage_names_every_flag() -> None:
    assert "--model_base_path" in usage()
    assert "--load_retry_interval_micros" in usage()
