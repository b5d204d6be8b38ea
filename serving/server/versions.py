"""Follows a model's base path: which version to serve, and the change from one to the next."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from serving.server.loaded_model import LoadedModel
from serving.server.served import ServedModels
from serving.server.states import State, StateMonitor, VersionState
from serving.server.status_error import StatusError

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Failure:
    """The attempts to load a version so far; the next one is due at a reading of ``time.monotonic``."""

    num_attempts: int
    next_attempt_s: float
    error: StatusError


class VersionManager:
    """Keeps the newest complete version of one model served, from a thread of its own.

    A version is a directory with a number as its name; it is complete once it has its ``saved_model.pb``,
    which writers copy last. A new version is loaded while the old one serves, and the old one is unloaded
    when its last request is done. A version that fails to load leaves the old one serving.

    Args:
        name: The model's name.
        base_path: The directory of the version directories.
        load: Makes a servable of a version's directory; raises ``StatusError`` when it cannot.
        served: Where available versions are published to requests.
        states: Where the states of versions are published.
        poll_wait_s: Time between two looks at the base path.
        max_num_load_retries: How often a failed load is tried again.
        load_retry_interval_s: Time between two attempts.
    """

    def __init__(
        self,
        name: str,
        base_path: Path,
        *,
        load: Callable[[Path], LoadedModel],
        served: ServedModels,
        states: StateMonitor,
        poll_wait_s: float,
        max_num_load_retries: int,
        load_retry_interval_s: float,
    ) -> None:
        self.name = name
        self.base_path = base_path
        self._load = load
        self._served = served
        self._states = states
        self._poll_wait_s = poll_wait_s
        self._max_num_load_retries = max_num_load_retries
        self._load_retry_interval_s = load_retry_interval_s
        self._failures: dict[int, _Failure] = {}
        self._aspired: set[int] = set()
        self._last_warning = ""
        self._stopped = threading.Event()
        # A daemon, because a load under way cannot be interrupted and must not hold up the process.
        self._thread = threading.Thread(target=self._follow, name=f"versions of {name}", daemon=True)

    def start(self) -> None:
        """Begins to follow the base path."""
        self._thread.start()

    def stop(self, *, timeout_s: float) -> None:
        """Follows the base path no longer; waits up to ``timeout_s`` for a load under way."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def step(self) -> None:
        """Looks at the base path once and makes the changes it asks for."""
        found = self._find_versions()
        if found is None:
            return
        aspired = {max(found)} if found else set()
        for version in aspired - self._aspired:
            self._publish(version, State.START)
        for version in (self._aspired - aspired) & set(self._failures):
            self._publish(version, State.END, self._failures.pop(version).error)
        self._aspired = aspired
        while self._change_one(found):
            pass

    def _follow(self) -> None:
        while not self._stopped.is_set():
            try:
                self.step()
            except Exception:
                # Whatever goes wrong with one look (a file system that stalls, say), requests go on and the
                # next look may succeed.
                _log.exception("Looking for versions of %s under %s failed.", self.name, self.base_path)
            self._stopped.wait(self._poll_wait_s)

    def _find_versions(self) -> dict[int, Path] | None:
        """The complete versions by number; nothing when the base path cannot be listed."""
        try:
            children = sorted(self.base_path.iterdir())
        except OSError as error:
            self._warn(
                f"Could not find base path {self.base_path} for servable {self.name} with error {error}"
            )
            return None
        numbered = {
            int(child.name): child for child in children if child.name.isdecimal() and child.name.isascii()
        }
        complete = {number: path for number, path in numbered.items() if (path / "saved_model.pb").exists()}
        if not complete:
            self._warn(
                f"No versions of servable {self.name} found under base path {self.base_path}. "
                "Did you forget to name your leaf directory as a number (eg. '/1/')?"
            )
        else:
            self._last_warning = ""
        return complete

    def _change_one(self, found: dict[int, Path]) -> bool:
        """Unloads or loads one version, if one is to be; the order keeps a version available throughout."""
        ready = set(self._served.versions(self.name))
        outdated = sorted(ready - self._aspired)
        if outdated and (not self._aspired or self._aspired & ready or len(outdated) > 1):
            self._unload_version(outdated[0])
            return True
        for version in sorted(self._aspired - ready, reverse=True):
            failure = self._failures.get(version)
            if failure is None or failure.next_attempt_s <= time.monotonic():
                self._load_version(version, found[version])
                return True
        return False

    def _load_version(self, version: int, path: Path) -> None:
        self._publish(version, State.LOADING)
        started_s = time.monotonic()
        try:
            model = self._load(path)
        except StatusError as error:
            self._record_failure(version, error)
            return
        self._failures.pop(version, None)
        self._served.add(self.name, version, model)
        self._publish(version, State.AVAILABLE)
        took_s = time.monotonic() - started_s
        _log.info(
            "Successfully loaded servable version {name: %s version: %d} in %.1f s",
            self.name,
            version,
            took_s,
        )

    def _unload_version(self, version: int) -> None:
        self._publish(version, State.UNLOADING)
        self._served.remove(self.name, version).retire()
        self._publish(version, State.END)
        _log.info("Unloaded servable version {name: %s version: %d}", self.name, version)

    def _record_failure(self, version: int, error: StatusError) -> None:
        previous = self._failures.get(version)
        num_attempts = previous.num_attempts + 1 if previous else 1
        retries_left = self._max_num_load_retries + 1 - num_attempts
        due_s = time.monotonic() + self._load_retry_interval_s if retries_left else float("inf")
        self._failures[version] = _Failure(num_attempts=num_attempts, next_attempt_s=due_s, error=error)
        _log.error("Loading servable {name: %s version: %d} failed: %s", self.name, version, error.message)
        if retries_left:
            _log.info("Trying again in %g s (%d times at most)", self._load_retry_interval_s, retries_left)
        else:
            self._publish(version, State.END, error)

    def _publish(self, version: int, state: State, error: StatusError | None = None) -> None:
        code, message = (error.error_code, error.message) if error else (0, "")
        self._states.publish(
            self.name, version, VersionState(state=state, error_code=code, error_message=message)
        )

    def _warn(self, message: str) -> None:
        if message != self._last_warning:
            _log.warning("%s", message)
        self._last_warning = message
