"""Models without TensorFlow, whose loads a test can hold up or fail, for the tests of what manages them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import grpc

from serving.server.status_error import StatusError
from serving.server.versions.loaded_model import LoadedModel
from serving.server.versions.states import State, StateMonitor, VersionState


class LightModel:
    """Counts its requests as a loaded model does."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._num_requests = 0
        self._retired = False

    def retain(self) -> bool:
        with self._changed:
            self._num_requests += not self._retired
            return not self._retired

    def release(self) -> None:
        with self._changed:
            self._num_requests -= 1
            self._changed.notify_all()

    def retire(self) -> None:
        with self._changed:
            self._retired = True
            self._changed.wait_for(lambda: self._num_requests == 0)


class LightLoader:
    """Loads light models; ``failures`` says which fail and how often, ``gates`` which wait to be let through.

    Attributes:
        attempts: Every call so far: name and version.
        most_at_once: The most calls that were under way at the same time.
    """

    def __init__(self) -> None:
        self.failures: dict[tuple[str, int], int] = {}
        self.gates: dict[tuple[str, int], threading.Event] = {}
        self.attempts: list[tuple[str, int]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def __call__(self, name: str, version: int, path: Path) -> LoadedModel:
        with self._lock:
            self.attempts.append((name, version))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        if (name, version) in self.gates:
            assert self.gates[name, version].wait(20)
        with self._lock:
            self._at_once -= 1
            if self.failures.get((name, version), 0) > 0:
                self.failures[name, version] -= 1
                raise StatusError(grpc.StatusCode.NOT_FOUND, f"no op in {version}")
        return cast(LoadedModel, LightModel())


class History(StateMonitor):
    """Remembers every state there was, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, int, State]] = []

    def publish(self, name: str, version: int, state: VersionState) -> None:
        self.events.append((name, version, state.state))
        super().publish(name, version, state)

    def of(self, name: str) -> dict[int, str]:
        return {version: state.state.name for version, state in self.versions(name).items()}


def wait_until(condition: Callable[[], Any]) -> None:
    """Waits for what must come to be; a test that waits in vain fails."""
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
