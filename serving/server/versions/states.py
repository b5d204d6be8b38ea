"""States of every version that the server has ever seen."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

_LOOK_S = 0.2


class State(enum.IntEnum):
    """The states of a version, with the numbers of ``ModelVersionStatus.State``."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class VersionState:
    """The state of one version and its health: 0 and no text, or why it failed to load."""

    state: State
    error_code: int = 0
    error_message: str = ""


class Arrivals:
    """Waits until each of several models has a version that is available, or one that failed.

    It sees only what happens after it was made: how a version ended before says nothing about its next try.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._states: dict[str, dict[int, VersionState]] = {name: {} for name in names}
        self._outcome: dict[str, tuple[int, VersionState]] = {}
        self._settled = threading.Event()
        self._settle()

    def note(self, name: str, version: int, state: VersionState) -> None:
        """Takes in a new state; called for one at a time."""
        if name in self._states and not self._settled.is_set():
            self._states[name][version] = state
            self._settle()

    def wait(self, *, still_wanted: Callable[[], bool]) -> Mapping[str, tuple[int, VersionState]] | None:
        """The version and state that decided on each model; None once nobody wants to know any more."""
        while not self._settled.wait(_LOOK_S):
            if not still_wanted():
                return None
        return self._outcome

    def _settle(self) -> None:
        for name, versions in self._states.items():
            decided = {version: state for version, state in versions.items() if _is_decisive(state)}
            if not decided:
                return
            # The real server judges a model by its highest version of those.
            version = max(decided)
            self._outcome[name] = (version, decided[version])
        self._settled.set()


def _is_decisive(state: VersionState) -> bool:
    return state.state is State.AVAILABLE or (state.state is State.END and state.error_code != 0)


class StateMonitor:
    """Keeps the last state of every version; entries are never removed."""

    def __init__(self) -> None:
        self._states: dict[str, dict[int, VersionState]] = {}
        self._arrivals: list[Arrivals] = []
        self._lock = threading.Lock()

    def publish(self, name: str, version: int, state: VersionState) -> None:
        """Records the state of version ``version`` of model ``name``."""
        with self._lock:
            self._states.setdefault(name, {})[version] = state
            for arrivals in self._arrivals:
                arrivals.note(name, version, state)

    def versions(self, name: str) -> Mapping[int, VersionState]:
        """All versions ever seen of model ``name``, the highest number first."""
        with self._lock:
            return dict(sorted(self._states.get(name, {}).items(), reverse=True))

    @contextlib.contextmanager
    def arrivals(self, names: Iterable[str]) -> Iterator[Arrivals]:
        """Watches the models ``names`` for the length of the block."""
        arrivals = Arrivals(names)
        with self._lock:
            self._arrivals.append(arrivals)
        try:
            yield arrivals
        finally:
            with self._lock:
                self._arrivals.remove(arrivals)
