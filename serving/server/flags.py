"""The command line of the server: ``--flag=value`` as ``tensorflow_model_server`` takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from serving.server.config import ServerConfig

USAGE = "usage: python -m serving.server --model_base_path=DIR [--flag=value ...]"


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise ValueError(text)
    return values[text.lower()]


# Flag -> the setting it sets, how its text is read, and what a person reads about it.
_FLAGS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "model_base_path": ("model_base_path", Path, "absolute path of the version directories (required)"),
    "model_name": ("model_name", str, "the name clients ask for (default)"),
    "port": ("port", int, "gRPC port (8500)"),
    "file_system_poll_wait_seconds": (
        "file_system_poll_wait_seconds",
        float,
        "time between two looks for versions (1)",
    ),
    "max_num_load_retries": ("max_num_load_retries", int, "how often a failed load is tried again (5)"),
    "load_retry_interval_micros": (
        "load_retry_interval_micros",
        int,
        "time between two attempts (60000000)",
    ),
    "enable_model_warmup": ("enable_model_warmup", _boolean, "replay a version's warm-up requests (true)"),
    "grpc_max_threads": ("grpc_max_threads", int, "requests answered at once (4 per CPU)"),
}


class FlagError(ValueError):
    """A flag the server does not know or a value it cannot read."""


def usage() -> str:
    """The text that explains the flags."""
    lines = [f"  --{flag:<32}{explanation}" for flag, (_, _, explanation) in _FLAGS.items()]
    return "\n".join([USAGE, "", *lines])


def parse_flags(arguments: Sequence[str]) -> ServerConfig:
    """Reads TensorFlow-style flags; a bare ``--flag`` means true.

    Raises:
        FlagError: For a flag that is not supported, a value that cannot be read, or a setting out of range.
    """
    settings: dict[str, Any] = {}
    for argument in arguments:
        flag, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or flag not in _FLAGS:
            raise FlagError(f"Every argument must be a flag this server supports. Got {argument}.")
        setting, read, _ = _FLAGS[flag]
        try:
            settings[setting] = read(text if equals else "true")
        except ValueError as error:
            raise FlagError(f"The value of --{flag} cannot be read. Got {argument}.") from error
    if "model_base_path" not in settings:
        raise FlagError("--model_base_path must be given.")
    if settings.get("port") == 0:
        # Nobody could tell which port the server took.
        raise FlagError("port must be between 1 and 65535. Got 0.")
    try:
        return ServerConfig(**settings)
    except ValueError as error:
        raise FlagError(str(error)) from error
