"""Base paths of models: the versions that lie there, and those that a model's policy wants served."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_MAX_VERSION = 2**63 - 1
_GRAPH = "saved_model.pb"

Aspire = Callable[[str, Mapping[int, Path]], None]


def local_path(base_path: str) -> Path:
    """The path of a model's configuration as one of this machine."""
    return Path(base_path.removeprefix("file://"))


def find_versions(base_path: Path) -> tuple[dict[int, Path], list[str]]:
    """Looks for the complete versions under ``base_path``.

    A version is a directory whose whole name is a number, leading zeros allowed. It is complete once it has
    its ``saved_model.pb``, which writers copy last. Of two names for one number the later in order counts.

    Returns:
        The versions by their numbers, and what a person may want to know of those that are left out.

    Raises:
        OSError: If the base path cannot be listed.
    """
    versions: dict[int, Path] = {}
    complaints = []
    for child in sorted(base_path.iterdir()):
        if not (child.name.isdecimal() and child.name.isascii() and child.is_dir()):
            continue
        number = int(child.name)
        if number > _MAX_VERSION:
            continue
        if not (child / _GRAPH).exists():
            complaints.append(
                f"Version directory {child} has no {_GRAPH} yet, and is not loaded before it has."
            )
            continue
        if number in versions:
            complaints.append(
                f"Duplicate version directories detected. Version {number} will be loaded from {child.name}, "
                f"{versions[number].name} will be ignored."
            )
        versions[number] = child
    return versions, complaints


def select_versions(found: Mapping[int, Path], policy: Any) -> dict[int, Path]:
    """The versions that ``policy``, a ``ServableVersionPolicy``, wants served of those found."""
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return dict(found)
    if choice == "specific":
        return {number: found[number] for number in policy.specific.versions if number in found}
    num_versions = max(policy.latest.num_versions, 1)
    return {number: found[number] for number in sorted(found, reverse=True)[:num_versions]}


class ModelPaths:
    """Looks at the base paths of all models from time to time, from a thread of its own.

    Args:
        aspire: A function that is told a model's name and the versions of it to serve.
        poll_wait_s: Time between two looks; 0 looks once after each change of the models, below 0 never.
    """

    def __init__(self, *, aspire: Aspire, poll_wait_s: float) -> None:
        self._aspire = aspire
        self._poll_wait_s = poll_wait_s
        self._models: Sequence[Any] = ()
        self._warnings: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._follow, name="model paths", daemon=True)

    @property
    def names(self) -> set[str]:
        """The models that are followed."""
        return {model.name for model in self._models}

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Looks no longer."""
        self._stopped = True
        self._wake.set()

    def follow(self, models: Sequence[Any]) -> None:
        """Follows exactly these models, each a ``ModelConfig``; the others are unloaded."""
        with self._lock:
            dropped = self.names - {model.name for model in models}
            self._models = tuple(models)
            for name in dropped:
                self._warnings.pop(name, None)
                self._aspire(name, {})
        self._wake.set()

    def look(self) -> None:
        """Looks once. A base path that cannot be listed ends the look with nothing changed, for any model."""
        with self._lock:
            selected = {}
            for model in self._models:
                base_path = local_path(model.base_path)
                try:
                    found, complaints = find_versions(base_path)
                except OSError as error:
                    self._warn(
                        model.name,
                        f"Could not find base path {base_path} for servable {model.name} with error {error}",
                    )
                    return
                selected[model.name] = select_versions(found, model.model_version_policy)
                self._warn(model.name, *complaints, *_complaints(model, selected[model.name]))
            for name, versions in selected.items():
                self._aspire(name, versions)

    def _follow(self) -> None:
        if self._poll_wait_s < 0:
            return
        while not self._stopped:
            self._wake.clear()
            try:
                self.look()
            except Exception:
                # Requests go on, whatever goes wrong with one look, and the next look may succeed.
                _log.exception("Looking for versions of the models failed.")
            self._wake.wait(self._poll_wait_s or None)

    def _warn(self, name: str, *messages: str) -> None:
        """Logs what is new; the same warning every second would drown all others."""
        for message in messages:
            if message not in self._warnings.get(name, ()):
                _log.warning("%s", message)
        self._warnings[name] = messages


def _complaints(model: Any, selected: Mapping[int, Path]) -> list[str]:
    complaints = [
        f"Version {version} of servable {model.name}, which was requested to be served as a 'specific' "
        "version in the servable's version policy, was not found in the file system"
        for version in model.model_version_policy.specific.versions
        if version not in selected
    ]
    if not selected:
        complaints.append(
            f"No versions of servable {model.name} found under base path {model.base_path}. "
            "Did you forget to name your leaf directory as a number (eg. '/1/')?"
        )
    return complaints
