"""A server in a process of its own, from its start to its end."""

from __future__ import annotations

import collections
import contextlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from serving.client import Client
from serving.client.errors import ModelNotFoundError, ServerTimeoutError, ServerUnavailableError, ServingError
from serving.engines import EMBEDDED, flag_value, named_in_config, server_command

_NUM_LAST_LINES = 5
_NUM_KEPT_LINES = 1000
_POLL_S = 0.1


class ServerEndedError(ServingError):
    """The server's process has ended by itself, with ``exit_code``."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ServerProcess:
    """A server that runs for as long as the ``with`` block lasts. The block begins once the server is ready.

    Args:
        model_dir: The directory with one directory per version; ``None`` if the flags have a
            ``--model_config_file``.
        model_name: The name clients ask for.
        engine: The kind of server, one of ``serving.engines``.
        port: The gRPC port; by default a free one.
        start_timeout_s: Seconds the server may take until it is ready.
        stop_timeout_s: Seconds it may take, once it is told to stop, to answer the requests it is working on.
        flags: Further flags of the server. By default the server ends at once if its model fails to load.
        echo: Whether the server's output is shown on standard error.

    Attributes:
        address: ``"localhost:PORT"``, set when the block begins.
        was_killed: Whether the server had to be killed because it did not end when it was told to.

    Raises:
        ServerEndedError: If the server ends before it is ready; the text has the last lines it wrote.
        ServingError: If it is not ready in time.
    """

    def __init__(
        self,
        model_dir: str | Path | None,
        *,
        model_name: str = "tandem",
        engine: str = EMBEDDED,
        port: int | None = None,
        start_timeout_s: float = 300.0,
        stop_timeout_s: float = 30.0,
        flags: Sequence[str] = ("--max_num_load_retries=0",),
        echo: bool = False,
    ) -> None:
        self.model_dir = None if model_dir is None else Path(model_dir).resolve()
        self.model_name = model_name
        self.engine = engine
        self.port = port
        self.start_timeout_s = start_timeout_s
        self.stop_timeout_s = stop_timeout_s
        self.flags = flags
        self.echo = echo
        self.address = ""
        self.was_killed = False
        self._lines: collections.deque[str] = collections.deque(maxlen=_NUM_KEPT_LINES)
        self._process: subprocess.Popen[bytes]
        self._reader: threading.Thread

    def __enter__(self) -> Self:
        port = self.port or _free_port()
        self.address = f"localhost:{port}"
        flags = [f"--port={port}", *self.flags]
        if self.model_dir is not None:
            flags += [f"--model_base_path={self.model_dir}", f"--model_name={self.model_name}"]
        self._command = server_command(self.engine, flags)
        self._process = subprocess.Popen(
            self._command.arguments,
            env=self._command.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C must reach this process only, which then tells the server.
            process_group=0,
        )
        self._reader = threading.Thread(target=self._read, name="server output", daemon=True)
        self._reader.start()
        try:
            self._wait_until_ready()
        except BaseException:
            # An interrupt must not leave the server running either.
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """The id of the server's process."""
        return self._process.pid

    def log(self) -> str:
        """The latest lines of the server's standard output and error."""
        return "".join(self._lines.copy())

    def last_words(self) -> str:
        """The last lines the server has written, joined to one."""
        self._reader.join(1.0)
        lines = [line.strip() for line in self._lines.copy()]
        return " | ".join([line for line in lines if line][-_NUM_LAST_LINES:])

    def wait(self, *, timeout_s: float | None = None) -> int:
        """Waits until the process has ended and returns its exit code."""
        return self._process.wait(timeout_s)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.append(line.decode(errors="replace"))
                if self.echo:
                    # The reader of our output may be gone, but the server must be able to go on writing.
                    with contextlib.suppress(OSError, ValueError):
                        sys.stderr.write(self._lines[-1])
                        sys.stderr.flush()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_timeout_s
        with Client(self.address, model_name=self.model_name, timeout_s=1.0, num_attempts=1) as client:
            while not self._is_ready(client):
                if self._process.poll() is not None:
                    raise ServerEndedError(
                        f"The server of {self._models()} must start, and ended with exit code "
                        f"{self._process.returncode}. It said: {self.last_words()}",
                        exit_code=self._process.returncode,
                    )
                if time.monotonic() > deadline:
                    raise ServingError(
                        f"The server of {self._models()} must answer within {self.start_timeout_s:g} s, "
                        f"and did not. It said: {self.last_words()}"
                    )
                time.sleep(_POLL_S)

    def _is_ready(self, client: Client) -> bool:
        if flag_value(self.flags, "ssl_config_file"):
            # We have no certificates to ask the server with, but a TLS handshake is enough. It listens
            # only once its models are loaded. Docker's proxy listens earlier, but answers no handshake.
            try:
                ssl.get_server_certificate(("localhost", int(self.address.rpartition(":")[2])), timeout=1.0)
            except OSError:
                return False
            return True
        try:
            return any(version.state == "AVAILABLE" for version in client.status())
        except ModelNotFoundError:
            # The server answers, so its models are loaded. A configuration file gives them names of its own.
            return self.model_dir is None
        except (ServerUnavailableError, ServerTimeoutError):
            return False

    def _models(self) -> str:
        return str(self.model_dir or flag_value(self.flags, "model_config_file"))

    def _stop(self) -> None:
        try:
            if self._process.poll() is None and self.engine != EMBEDDED:
                self._drain()
            self._process.terminate()
            self._process.wait(self.stop_timeout_s)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            # The server was too slow, or a second Ctrl-C came.
            self.was_killed = True
        finally:
            if self._process.poll() is None:
                if self._command.kill:
                    subprocess.run(self._command.kill, capture_output=True, check=False)
                self._process.kill()
                self._process.wait()
            self._reader.join(1.0)

    def _drain(self) -> None:
        """Makes the real server answer its open requests before it ends; by itself it would end at once.

        The server is told to unload its models, and it unloads a model only after the model's last request.
        """
        deadline = time.monotonic() + self.stop_timeout_s
        config = flag_value(self.flags, "model_config_file")
        names = named_in_config(Path(config), "name") if config else [self.model_name]
        for name in names:
            with (
                Client(self.address, model_name=name, timeout_s=2.0, num_attempts=1) as client,
                # Over TLS we have no certificates to ask with. While the server starts, we need not ask.
                contextlib.suppress(ServingError),
            ):
                client.unload_models()
                while any(v.state != "END" for v in client.status()) and time.monotonic() < deadline:
                    time.sleep(_POLL_S)
        # The answers are computed by now, but the server may still be sending them.
        time.sleep(_POLL_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
        return port
