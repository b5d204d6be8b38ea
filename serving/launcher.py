"""The command ``tandem serve``, which starts a server on a pushed model and stays until the server ends."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from dataset.errors import DataError
from serving.engines import AUTO, BINARY, DOCKER, EMBEDDED, EXECUTABLE, IMAGE, choose_engine
from serving.process import ServerEndedError, ServerProcess
from serving.pushed_model import MODEL_NAME, RUNS, model_dir

BATCHING_PARAMETERS = Path(__file__).with_name("batching_parameters.pbtxt")
_DESCRIPTIONS = {EMBEDDED: "the embedded server", BINARY: EXECUTABLE, DOCKER: IMAGE}
# This is longer than the server itself takes to finish its requests.
_STOP_TIMEOUT_S = 45.0
_FILES = {
    "model_config_file": "the models to serve, instead of a run's",
    "batching_parameters_file": f"how requests are batched (default: {BATCHING_PARAMETERS.name} of tandem)",
    "monitoring_config_file": "whether metrics are served on the REST port",
    "ssl_config_file": "the server's certificate and key",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options. The options with underscores are the server's own flags."""
    parser.add_argument("--workdir", type=Path, help=f"the run's folder (default: the latest under {RUNS}/)")
    parser.add_argument(
        "--engine",
        choices=[AUTO, EMBEDDED, BINARY, DOCKER],
        default=AUTO,
        help=f"the server: binary is {EXECUTABLE} from the PATH, docker {IMAGE} on this machine only; "
        "auto (default) is binary where it is installed, else embedded",
    )
    parser.add_argument("--port", type=int, default=8500, help="gRPC port (default: 8500)")
    parser.add_argument("--rest_api_port", type=int, default=0, help="REST port (default: 0, off)")
    parser.add_argument(
        "--enable_batching",
        nargs="?",
        choices=["true", "false"],
        const="true",
        default="true",
        help="run requests of different callers together (default: true)",
    )
    for name, explanation in _FILES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"text proto: {explanation}")
    parser.add_argument("flags", nargs="*", metavar="-- --flag=value", help="any other flag of the server")


def run(arguments: argparse.Namespace) -> int:
    """Runs the server and returns the exit code: 0 if it was told to stop, else the server's own.

    Raises:
        DataError: If an argument is wrong, or if there is no model.
    """
    if arguments.model_config_file is None:
        path = model_dir(arguments.workdir)
    elif arguments.workdir is None:
        path = None
    else:
        raise DataError("At most one of --workdir and --model_config_file must be given. Got both.")
    flags = _flags(arguments)
    engine = choose_engine(arguments.engine)
    _check_ports(arguments.port, arguments.rest_api_port)
    server = ServerProcess(
        path,
        model_name=MODEL_NAME,
        engine=engine,
        port=arguments.port,
        start_timeout_s=math.inf,
        stop_timeout_s=_STOP_TIMEOUT_S,
        flags=flags,
        echo=True,
    )
    rest = f", REST on localhost:{arguments.rest_api_port}" if arguments.rest_api_port else ""
    what = path or arguments.model_config_file
    with _signals_stop():
        try:
            with server:
                print(f"Serving {what} with {_DESCRIPTIONS[engine]} on {server.address}{rest}", flush=True)
                return _ended(server.wait(), f"The server ended by itself. It said: {server.last_words()}")
        except ServerEndedError as error:
            return _ended(error.exit_code, str(error))
        except KeyboardInterrupt:
            return 1 if server.was_killed else 0


def _flags(arguments: argparse.Namespace) -> list[str]:
    """The server's flags, except its port and its one model."""
    flags = [f"--rest_api_port={arguments.rest_api_port}", f"--enable_batching={arguments.enable_batching}"]
    files = {name: getattr(arguments, name) for name in _FILES}
    if arguments.enable_batching == "true":
        files["batching_parameters_file"] = files["batching_parameters_file"] or BATCHING_PARAMETERS
    for name, file in files.items():
        if file is not None:
            if not file.is_file():
                raise DataError(f"--{name} must be a file. Got {file}.")
            flags.append(f"--{name}={file.resolve()}")
    known = {"workdir", "engine", "port", "model_base_path", "model_name", *vars(arguments)}
    for flag in arguments.flags:
        name = flag.removeprefix("--").partition("=")[0]
        if not flag.startswith("--"):
            raise DataError(f"What follows -- must be flags, --flag=value. Got {flag}.")
        if name in known:
            raise DataError(f"--{name} must be given before --, to tandem itself. Got it after.")
    return flags + arguments.flags


def _check_ports(port: int, rest_api_port: int) -> None:
    for name, number, lowest in (("port", port, 1), ("rest_api_port", rest_api_port, 0)):
        if not lowest <= number <= 65535:
            raise DataError(f"--{name} must be between {lowest} and 65535. Got {number}.")
        with socket.socket() as probe:
            # The real server would share a port that is taken, and lose some requests to the other server.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", number))
            except OSError as error:
                raise DataError(
                    f"Port {number} must be free. Got: {error.strerror}; choose another with --{name}."
                ) from error
    if port == rest_api_port:
        raise DataError(f"--port and --rest_api_port must differ. Got {port} for both.")


@contextlib.contextmanager
def _signals_stop() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP do what Ctrl-C does, for as long as the block lasts."""

    def interrupt(signum: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM, signal.SIGHUP]
    # A signal that is ignored stays ignored: nohup ignores SIGHUP.
    asked = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, interrupt) for number in asked}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ended(exit_code: int, sentence: str) -> int:
    print(f"tandem: {sentence}", file=sys.stderr)
    # A shell reports a signal as 128 plus its number. A server that ends by itself is a failure, even with 0.
    return 128 - exit_code if exit_code < 0 else exit_code or 1
