"""The engines, which are the servers to choose from: the embedded one, the real one, the real one in Docker.

All engines take the same flags and answer the same requests. When they are told to end, only the embedded one
finishes the requests it is working on.
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
    """The command that starts a server.

    Attributes:
        arguments: The program and its arguments.
        environment: All environment variables of the program.
        kill: The command that ends the server if the end of the program does not; empty if none is needed.
    """

    arguments: list[str]
    environment: dict[str, str]
    kill: list[str]


def choose_engine(name: str) -> str:
    """The engine that ``name`` stands for, after a check that it is installed.

    ``auto`` chooses the real server if it is installed, else the embedded one. It never chooses Docker.

    Raises:
        DataError: If the program that the engine needs is not installed.
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
    """The command that starts ``engine`` with ``flags``, each ``--flag=value``."""
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
    """The value of ``--name=value`` among the flags; empty if the flag is not there."""
    return next((flag.partition("=")[2] for flag in flags if flag.startswith(f"--{name}=")), "")


def named_in_config(path: Path, field: str) -> list[str]:
    """The values of ``field`` in a ``ModelServerConfig`` in text form, such as every ``base_path``."""
    # A regular expression is enough here. The message's own parser would import TensorFlow for seconds.
    return re.findall(rf"""\b{field}\s*:\s*["']([^"']*)["']""", path.read_text(encoding="utf-8"))


def _docker_options(flags: Sequence[str]) -> Iterator[str]:
    # As the container's first process the server ignores SIGTERM. Docker's init process passes it on.
    yield "--init"
    for name in ("port", "rest_api_port"):
        port = flag_value(flags, name)
        if port not in ("", "0"):
            yield f"--publish=127.0.0.1:{port}:{port}"
    # The container gets the files under the paths they have outside, so the flags are right inside too.
    for path in sorted(_paths(flags)):
        yield f"--mount=type=bind,source={path},target={path},readonly"


def _paths(flags: Sequence[str]) -> set[str]:
    paths = {flag.partition("=")[2] for flag in flags}
    config = flag_value(flags, "model_config_file")
    if config:
        paths.update(named_in_config(Path(config), "base_path"))
    return {path for path in paths if os.path.isabs(path) and os.path.exists(path)}
