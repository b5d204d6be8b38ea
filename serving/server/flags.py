"""Flags of the server: ``--flag=value``, as ``tensorflow_model_server`` takes it."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from serving.server.config import ServerConfig

USAGE = "usage: python -m serving.server --model_base_path=DIR | --model_config_file=FILE [--flag=value ...]"

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

# These flags change nothing here: only signatures of Predict are answered, and there are no caches of remote
# files, no copies of graphs, and no TPU.
_WITHOUT_EFFECT = {
    "enable_signature_method_name_check",
    "flush_filesystem_caches",
    "remove_unused_fields_from_bundle_metagraph",
    "skip_initialize_tpu",
}

# These flags of the real server ask for what this one does not do, except with these values.
_UNSUPPORTED: dict[str, set[str]] = {
    "enable_profiler": {"false", "0"},
    "mixed_precision": {""},
    "num_tflite_interpreters_per_pool": set(),
    "num_tflite_pools": set(),
    "per_process_gpu_memory_fraction": {"0", "0.0"},
    "platform_config_file": {""},
    "prefer_tflite_model": {"false", "0"},
    "saved_model_tags": {"serve"},
    "thread_pool_factory_config_file": {""},
    "use_alts_credentials": {"false", "0"},
    "xla_cpu_compilation_enabled": {"false", "0"},
    "xla_gpu_compilation_enabled": {"false", "0"},
}


class FlagError(ValueError):
    """A value of a flag that the server cannot read."""


class UnsupportedFlagError(FlagError):
    """A flag of the real server that asks for what this one does not do."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandLine:
    """The settings that the arguments ask for; ``version`` asks for nothing else."""

    config: ServerConfig
    version: bool = False
    unknown: tuple[str, ...] = ()


def usage() -> str:
    """The text that explains the flags."""
    lines = [USAGE, ""]
    for flag, hint in _hints().items():
        explanation = typing.get_args(hint)[1]
        lines.append(f"  --{flag}={_shown(getattr(ServerConfig, flag))}  {explanation}")
    return "\n".join([*lines, "  --version=false  print the versions and end"])


def parse_flags(arguments: Sequence[str]) -> CommandLine:
    """Reads TensorFlow-style flags; a bare ``--flag`` means true.

    Raises:
        UnsupportedFlagError: If a flag of the real server asks for what this one does not do.
        FlagError: If a value cannot be read, or a setting is out of range.
    """
    readers = _readers()
    settings: dict[str, Any] = {}
    unknown = []
    for argument in arguments:
        flag, equals, text = argument.removeprefix("--").partition("=")
        reader = readers.get(flag)
        if argument.startswith("--") and flag in _UNSUPPORTED:
            if text.lower() not in _UNSUPPORTED[flag] or not equals:
                raise UnsupportedFlagError(
                    f"--{flag} must be left out, as only tensorflow_model_server supports it. Got {argument}."
                )
        elif not argument.startswith("--") or reader is None or not (equals or reader is _boolean):
            unknown.append(argument)
        else:
            try:
                settings[flag] = reader(text if equals else "true")
            except ValueError as error:
                raise FlagError(f"The value of --{flag} cannot be read. Got {argument}.") from error
    settings = {flag: value for flag, value in settings.items() if flag not in _WITHOUT_EFFECT}
    version = settings.pop("version", False)
    try:
        return CommandLine(config=ServerConfig(**settings), version=version, unknown=tuple(unknown))
    except ValueError as error:
        raise FlagError(str(error)) from error


def _hints() -> dict[str, Any]:
    """Each supported flag and the type of its setting, annotated with what a person reads about it."""
    hints = typing.get_type_hints(ServerConfig, include_extras=True)
    return {name: hint for name, hint in hints.items() if typing.get_origin(hint) is Annotated}


def _readers() -> dict[str, Callable[[str], Any]]:
    readers = {flag: _READERS[typing.get_args(hint)[0]] for flag, hint in _hints().items()}
    return {**readers, **dict.fromkeys([*_WITHOUT_EFFECT, "version"], _boolean)}


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return '""' if default in (None, "") else str(default)


def _boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise ValueError(text)
    return _BOOLEANS[text.lower()]


_READERS: dict[Any, Callable[[str], Any]] = {
    bool: _boolean,
    float: float,
    int: int,
    str: str,
    str | Path | None: lambda text: text or None,
    Path | None: lambda text: Path(text) if text else None,
}
