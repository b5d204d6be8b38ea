"""The API keys of the gateway, kept in a file that holds only their hashes.

A key is 256 random bits, so nobody can guess it. Slow or salted hashes protect secrets that can be guessed,
and are not needed here: SHA-256 is enough, and costs a request microseconds.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from dataset.errors import DataError

_PREFIX = "tandem_"
_NUM_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredKey:
    """One line of the file.

    Attributes:
        name: The name of the key's owner, which the log shows.
        created: The day the key was made, ISO 8601.
        sha256: The hash of the key, in hexadecimal.
    """

    name: str
    created: str
    sha256: str


class KeyFile:
    """The keys in a file with one JSON object a line. A change of the file counts from the next request on.

    Args:
        path: The file, which is read at once.

    Raises:
        DataError: If the file is missing, or if it is not a file of keys.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = _stamp(path)
        self._keys = read_keys(path)

    def name_of(self, key: str) -> str | None:
        """The name of the key's owner; ``None`` if the key is unknown."""
        self._refresh()
        found = None
        presented = _hash(key)
        # Every key is compared, each in constant time, so the time that it takes tells nothing.
        for stored in self._keys:
            if hmac.compare_digest(stored.sha256, presented):
                found = stored.name
        return found

    def _refresh(self) -> None:
        """Reads the file again if it has changed. A file that can no longer be read lets nobody in."""
        try:
            stamp = _stamp(self.path)
            if stamp != self._stamp:
                self._keys, self._stamp = read_keys(self.path), stamp
        except DataError:
            self._keys = []
            self._stamp = (0, 0)


def add_key(path: Path, name: str) -> str:
    """Makes a key, stores its hash, and returns the key, which is stored nowhere.

    Raises:
        DataError: If the name is malformed or taken.
    """
    if not _NAME.fullmatch(name):
        raise DataError(
            "A key's name must be up to 64 letters, digits, dots, dashes and underscores, the first a "
            f"letter or digit. Got {name!r}."
        )
    keys = read_keys(path) if path.exists() else []
    if any(stored.name == name for stored in keys):
        raise DataError(f"A key's name must be new. Got {name!r}, which {path} has; remove it first.")
    key = _PREFIX + secrets.token_urlsafe(_NUM_BYTES)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    _write(path, [*keys, StoredKey(name=name, created=today, sha256=_hash(key))])
    return key


def remove_key(path: Path, name: str) -> None:
    """Takes a key out of the file.

    Raises:
        DataError: If there is no key of that name.
    """
    keys = read_keys(path)
    kept = [stored for stored in keys if stored.name != name]
    if len(kept) == len(keys):
        raise DataError(f"The key to remove must be in {path}. Got {name!r}.")
    _write(path, kept)


def read_keys(path: Path) -> list[StoredKey]:
    """The keys of a file.

    Raises:
        DataError: If the file is missing, or if it is not a file of keys.
    """
    _stamp(path)
    keys = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            key = StoredKey(**json.loads(line))
            well_formed = len(bytes.fromhex(key.sha256)) == hashlib.sha256().digest_size
        except (ValueError, TypeError):
            well_formed = False
        if not well_formed:
            raise DataError(
                f"Each line of {path} must be a key as `tandem web keys add` writes it. Line {number} is not."
            )
        keys.append(key)
    return keys


def _stamp(path: Path) -> tuple[int, int]:
    """The time and the inode of the file, which change when it is replaced."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(
            f"The file of keys must exist and be readable. Got {path}, which is not; make one with "
            f"`tandem web keys add NAME --keys {path}`."
        ) from error
    return status.st_mtime_ns, status.st_ino


def _write(path: Path, keys: Iterable[StoredKey]) -> None:
    """Replaces the file in one step. A new file is readable by its owner only; an old one keeps its mode."""
    lines = "".join(json.dumps(dataclasses.asdict(key)) + "\n" for key in keys)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, written = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(lines)
    if path.exists():
        shutil.copymode(path, written)
    Path(written).replace(path)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
