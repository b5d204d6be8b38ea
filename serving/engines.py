"""The servers that can be started: our own, the real one, and the real one in a container.

All take the same flags and answer the same requests. Only the embedded one finishes by itself what it is
working on when it is told to end.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataset.errors import DataError

AUTO, EMBEDDED, BINARY, DOCKER = "auto", "embedded", "binary", "docker"
EXECUTABLE = "tensorflow_model_server"
IMAGE = "tensorflow/serving:2.20.0"
_ROOT = Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """How a server is started.

    Attributes:
        arguments: The command and its arguments.
        environment: All of its environment.
        kill: What ends the server when ending the command does not; empty when nothing more is needed.
    """

    arguments: list[str]
    environment: dict[str, str]
    kill: list[str]


def choose_engine(name: str) -> str:
    """The engine that ``name`` stands for, once it is known to be there.

    ``auto`` takes the real server where it is installed, and never Docker.

    Raises:
        DataError: When what the engine needs is not installed.
    """
    if name == AUTO:
        return BINARY if shutil.which(EXECUTABLE) else EMBEDDED
    needed = {BINARY: EXECUTABLE, DOCKER: "docker"}.get(name)
    if needed is not None and shutil.which(needed) is None:
        raise DataError(
            f"{needed} must be on the PATH for --engine {name}. Got none; "
            "--engine embedded needs nothing else installed."
        )
    return name


def server_command(engine: str, flags: Sequence[str]) -> Command:
    """How ``engine`` is started with ``flags``, each ``--flag=value``."""
    environment, kill = dict(os.environ), []
    if engine == EMBEDDED:
        arguments = [sys.executable, "-m", "serving.server", *flags]
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    elif engine == BINARY:
        arguments = [EXECUTABLE, *flags]
    else:
        container = f"tandem-{uuid.uuid4().hex[:12]}"
        arguments = ["docker", "run", "--rm", f"--name={container}", *_docker_options(flags)]
        arguments += [f"--entrypoint={EXECUTABLE}", IMAGE, *flags]
        kill = ["docker", "rm", "--force", container]
    return Command(arguments=arguments, environment=environment, kill=kill)


def flag_value(flags: Sequence[str], name: str) -> str:
    """What ``--name=value`` among the flags says; empty when it is not there."""
    return next((flag.partition("=")[2] for flag in flags if flag.startswith(f"--{name}=")), "")


def named_in_config(path: Path, field: str) -> list[str]:
    """The texts of ``field`` in a ``ModelServerConfig`` in text form, such as every ``base_path``."""
    # The message's own parser comes with TensorFlow, which takes seconds to import.
    return re.findall(rf"""\b{field}\s*:\s*["']([^"']*)["']""", path.read_text(encoding="utf-8"))


def _docker_options(flags: Sequence[str]) -> Iterator[str]:
    # The server itself takes no notice of SIGTERM as the container's first process; Docker's init does.
    yield "--init"
    for name in ("port", "rest_api_port"):
        port = flag_value(flags, name)
        if port not in ("", "0"):
            yield f"--publish=127.0.0.1:{port}:{port}"
    # Under the paths they have outside, so that the flags hold inside as well.
    for path in sorted(_paths(flags)):
        yield f"--mount=type=bind,source={path},target={path},readonly"


def _paths(flags: Sequence[str]) -> set[str]:
    paths = {flag.partition("=")[2] for flag in flags}
    config = flag_value(flags, "model_config_file")
    if config:
        paths.update(named_in_config(Path(config), "base_path"))
    return {path for path in paths if os.path.isabs(path) and os.path.exists(path)}
