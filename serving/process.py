"""A server of its own process, for whoever needs one for a while: started, waited for, asked, stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from serving.client import Client
from serving.errors import ServerUnavailableError, ServingError

_NUM_LAST_LINES = 5


class ServerProcess:
    """Runs ``python -m serving.server`` on a free port for as long as the ``with`` block lasts.

    Args:
        model_dir: The directory with one directory per version.
        model_name: The name clients ask for.
        start_timeout_s: How long the server may take until it answers.
        stop_timeout_s: How long it may take to answer what is under way once it is told to stop.
        flags: Further flags of the server. By default a model that fails to load ends it at once.

    Attributes:
        address: ``"localhost:PORT"``, once the block is entered.

    Raises:
        ServingError: When the server ends or does not answer in time; with its last words.

    Example:
        >>> with ServerProcess("runs/shop/serving/tandem") as server:       # doctest: +SKIP
        ...     with Client(server.address) as client:
        ...         client.similar(["21210"])
    """

    def __init__(
        self,
        model_dir: str | Path,
        *,
        model_name: str = "tandem",
        start_timeout_s: float = 300.0,
        stop_timeout_s: float = 30.0,
        flags: Sequence[str] = ("--max_num_load_retries=0",),
    ) -> None:
        self.model_dir = Path(model_dir).resolve()
        self.model_name = model_name
        self.start_timeout_s = start_timeout_s
        self.stop_timeout_s = stop_timeout_s
        self.flags = flags
        self.address = ""
        self._log: IO[bytes]
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        port = _free_port()
        self.address = f"localhost:{port}"
        root = str(Path(__file__).resolve().parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "serving.server"),
                f"--port={port}",
                f"--model_base_path={self.model_dir}",
                f"--model_name={self.model_name}",
                *self.flags,
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait_until_ready()
        except BaseException:
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
        """What the server has written to its standard output and error."""
        # The process writes through the same open file: pread leaves its position alone.
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size, 0).decode(errors="replace")

    def wait(self, *, timeout_s: float) -> int:
        """Waits until the process has ended and gives its exit code."""
        return self._process.wait(timeout_s)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_timeout_s
        with Client(self.address, model_name=self.model_name) as client:
            while True:
                try:
                    client.status()
                    return
                except ServerUnavailableError:
                    # Its port is closed until the model is loaded.
                    time.sleep(0.1)
                if self._process.poll() is not None:
                    raise ServingError(
                        f"The server of {self.model_dir} must start, and ended with exit code "
                        f"{self._process.returncode}. It said: {self._last_words()}"
                    )
                if time.monotonic() > deadline:
                    raise ServingError(
                        f"The server of {self.model_dir} must answer within {self.start_timeout_s:g} s, "
                        f"and did not. It said: {self._last_words()}"
                    )

    def _last_words(self) -> str:
        lines = [line.strip() for line in self.log().splitlines()]
        return " | ".join([line for line in lines if line][-_NUM_LAST_LINES:])

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
        return port
