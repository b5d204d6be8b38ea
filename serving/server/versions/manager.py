"""Manager of versions: it loads and unloads them so that a model stays available from one to the next."""

from __future__ import annotations

import dataclasses
import enum
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from serving.server.status_error import StatusError
from serving.server.versions.available import ServedModels
from serving.server.versions.loaded_model import LoadedModel
from serving.server.versions.states import State, StateMonitor, VersionState

_log = logging.getLogger(__name__)
_LOOK_S = 0.05

Load = Callable[[str, int, Path], LoadedModel]


class _Phase(enum.Enum):
    NEW = enum.auto()
    LOADING = enum.auto()
    RETRYING = enum.auto()
    READY = enum.auto()
    UNLOADING = enum.auto()
    FAILED = enum.auto()


@dataclasses.dataclass(kw_only=True, eq=False)
class _Version:
    """One version under management; the next attempt to load it is due at a reading of ``time.monotonic``."""

    name: str
    number: int
    path: Path
    phase: _Phase = _Phase.NEW
    aspired: bool = True
    num_attempts: int = 0
    next_attempt_s: float = -math.inf
    error: StatusError | None = None

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.number}}}"


class VersionManager:
    """Brings the versions in memory in line with the versions that are aspired to, model by model.

    A new version is loaded while the old one serves, and the old one is unloaded when its last request is
    done. A version that fails to load leaves the old one serving. One thread decides; each load and each
    unload has a thread of its own.

    Args:
        load: Makes a servable of a model's name, a version and its directory; raises ``StatusError`` when it
            cannot.
        served: The models that can be requested; available versions are published there.
        states: The states of versions, which are published there.
        num_load_threads: Loads that may run at once; 0 lets one load or unload run at a time.
        num_unload_threads: Unloads that may run at once; 0 as above.
        max_num_load_retries: Times that a failed load is tried again.
        load_retry_interval_s: Time between two attempts.
    """

    def __init__(
        self,
        *,
        load: Load,
        served: ServedModels,
        states: StateMonitor,
        num_load_threads: int = 0,
        num_unload_threads: int = 0,
        max_num_load_retries: int = 5,
        load_retry_interval_s: float = 60.0,
    ) -> None:
        self._load = load
        self._served = served
        self._states = states
        self._num_threads = {_Phase.LOADING: num_load_threads, _Phase.UNLOADING: num_unload_threads}
        self._max_num_load_retries = max_num_load_retries
        self._load_retry_interval_s = load_retry_interval_s
        self._aspired: dict[str, Mapping[int, Path]] = {}
        self._versions: dict[str, dict[int, _Version]] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._stopped = False
        # This thread and those below are daemons: a load cannot be interrupted, and must not hold up the end.
        self._thread = threading.Thread(target=self._manage, name="versions", daemon=True)

    def start(self) -> None:
        """Begins to load and unload."""
        self._thread.start()

    def stop(self, *, timeout_s: float) -> None:
        """Unloads everything; waits up to ``timeout_s`` for loads under way and for requests to be done."""
        with self._changed:
            self._stopping = True
            self._aspired = {}
            self._changed.notify_all()
            if self._thread.is_alive():
                self._changed.wait_for(lambda: not self._versions, timeout_s)
            self._stopped = True
            self._changed.notify_all()

    def aspire(self, name: str, versions: Mapping[int, Path]) -> None:
        """Asks for exactly these versions of a model: their directories by number."""
        with self._changed:
            if versions and not self._stopping:
                self._aspired[name] = dict(versions)
            else:
                self._aspired.pop(name, None)
            self._changed.notify_all()

    def set_num_load_threads(self, num_load_threads: int) -> None:
        """Sets how many loads may run at once from now on."""
        with self._changed:
            self._num_threads[_Phase.LOADING] = num_load_threads
            self._changed.notify_all()

    def _manage(self) -> None:
        with self._changed:
            while not self._stopped:
                self._take_in_aspired()
                while any(self._start_next(versions) for versions in self._versions.values()):
                    pass
                self._changed.wait(self._until_next_attempt_s())

    def _take_in_aspired(self) -> None:
        for name, aspired in self._aspired.items():
            versions = self._versions.setdefault(name, {})
            for number in sorted(aspired.keys() - versions.keys()):
                versions[number] = _Version(name=name, number=number, path=aspired[number])
                self._publish(versions[number], State.START)
        for name, versions in list(self._versions.items()):
            for version in list(versions.values()):
                version.aspired = version.number in self._aspired.get(name, {})
                if version.aspired or version.phase not in (_Phase.NEW, _Phase.RETRYING, _Phase.FAILED):
                    continue
                if version.phase is not _Phase.FAILED:
                    self._publish(version, State.END, version.error)
                del versions[version.number]
            if not versions:
                del self._versions[name]
                self._changed.notify_all()

    def _start_next(self, versions: Mapping[int, _Version]) -> bool:
        """Starts to unload or load one version of a model, if one is to be and a thread is free for it."""
        ready = [version for version in versions.values() if version.phase is _Phase.READY]
        outdated = [version for version in ready if not version.aspired]
        aspired = [version for version in versions.values() if version.aspired]
        if outdated and (not aspired or len(ready) > len(outdated) or len(outdated) > 1):
            return self._start(min(outdated, key=lambda version: version.number), _Phase.UNLOADING)
        now_s = time.monotonic()
        due = [
            version
            for version in aspired
            if version.phase in (_Phase.NEW, _Phase.RETRYING) and version.next_attempt_s <= now_s
        ]
        if due:
            return self._start(max(due, key=lambda version: version.number), _Phase.LOADING)
        return False

    def _start(self, version: _Version, phase: _Phase) -> bool:
        if not self._has_free_thread(phase):
            return False
        version.phase = phase
        if phase is _Phase.LOADING:
            self._publish(version, State.LOADING)
            work = self._load_version
        else:
            self._publish(version, State.UNLOADING)
            work = self._unload_version
        threading.Thread(target=work, args=(version,), name=f"{phase.name} {version}", daemon=True).start()
        return True

    def _has_free_thread(self, phase: _Phase) -> bool:
        phases = [version.phase for versions in self._versions.values() for version in versions.values()]
        if self._num_threads[phase]:
            return phases.count(phase) < self._num_threads[phase]
        return not any(phases.count(other) for other, threads in self._num_threads.items() if not threads)

    def _until_next_attempt_s(self) -> float | None:
        due_s = [
            version.next_attempt_s
            for versions in self._versions.values()
            for version in versions.values()
            if version.phase is _Phase.RETRYING
        ]
        # A version that is due already waits for a thread.
        return max(min(due_s) - time.monotonic(), _LOOK_S) if due_s else None

    def _load_version(self, version: _Version) -> None:
        started_s = time.monotonic()
        try:
            model = self._load(version.name, version.number, version.path)
        except StatusError as error:
            with self._changed:
                self._record_failure(version, error)
                self._changed.notify_all()
            return
        with self._changed:
            version.phase = _Phase.READY
            self._served.add(version.name, version.number, model)
            self._publish(version, State.AVAILABLE)
            self._changed.notify_all()
        took_s = time.monotonic() - started_s
        _log.info("Successfully loaded servable version %s in %.1f s", version, took_s)

    def _record_failure(self, version: _Version, error: StatusError) -> None:
        version.num_attempts += 1
        version.error = error
        retries_left = self._max_num_load_retries + 1 - version.num_attempts
        _log.error("Loading servable %s failed: %s", version, error.message)
        if retries_left > 0 and version.aspired:
            version.phase = _Phase.RETRYING
            version.next_attempt_s = time.monotonic() + self._load_retry_interval_s
            _log.info("Trying again in %g s (%d times at most)", self._load_retry_interval_s, retries_left)
        else:
            version.phase = _Phase.FAILED
            self._publish(version, State.END, error)

    def _unload_version(self, version: _Version) -> None:
        self._served.remove(version.name, version.number).retire()
        with self._changed:
            self._publish(version, State.END)
            del self._versions[version.name][version.number]
            self._changed.notify_all()
        _log.info("Unloaded servable version %s", version)

    def _publish(self, version: _Version, state: State, error: StatusError | None = None) -> None:
        code, message = (error.error_code, error.message) if error else (0, "")
        self._states.publish(
            version.name,
            version.number,
            VersionState(state=state, error_code=code, error_message=message),
        )
