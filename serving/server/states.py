"""What has become of every version the server has ever seen."""

from __future__ import annotations

import dataclasses
import enum
import threading
from collections.abc import Callable, Mapping


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


class StateMonitor:
    """Keeps the last state of every version; entries are never removed."""

    def __init__(self) -> None:
        self._states: dict[str, dict[int, VersionState]] = {}
        self._changed = threading.Condition()

    def publish(self, name: str, version: int, state: VersionState) -> None:
        """Records the state of version ``version`` of model ``name``."""
        with self._changed:
            self._states.setdefault(name, {})[version] = state
            self._changed.notify_all()

    def versions(self, name: str) -> Mapping[int, VersionState]:
        """All versions ever seen of model ``name``, the highest number first."""
        with self._changed:
            return dict(sorted(self._states.get(name, {}).items(), reverse=True))

    def wait_for(self, name: str, condition: Callable[[Mapping[int, VersionState]], bool]) -> None:
        """Waits until ``condition`` holds for the versions of model ``name``."""
        with self._changed:
            self._changed.wait_for(lambda: condition(self._states.get(name, {})))
