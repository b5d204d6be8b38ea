"""The users whom a working folder forgets: what is served next has nothing of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from dataset.errors import DataError
from dataset.labels import as_label
from dataset.manifest import Manifest

FORGOTTEN_FILE = "forgotten.json"


def forget(workdir: Path, user_ids: Sequence[str]) -> int:
    """Adds users to those that the folder forgets.

    Their ids are kept as SHA-256 alone, so that the list is none of who was ever here.

    Args:
        workdir: The run's folder.
        user_ids: As the log has them.

    Returns:
        How many users the folder forgets now.

    Raises:
        DataError: There is no such folder, or an id is empty.
    """
    if not workdir.is_dir():
        raise DataError(
            f"--workdir must be the folder of a run. Got {workdir}, which is none; train a model with "
            "`tandem run DATASET`."
        )
    if not all(user_ids):
        raise DataError("A user's id must not be empty. Got one that is.")
    digests = {
        *read_forgotten(workdir),
        *(hashlib.sha256(as_label(user).encode()).hexdigest() for user in user_ids),
    }
    path = workdir / FORGOTTEN_FILE
    new = path.with_suffix(".new")
    new.write_text(json.dumps(sorted(digests), indent=0))
    os.replace(new, path)
    return len(digests)


def read_forgotten(workdir: Path) -> list[str]:
    """The SHA-256 of the id of each user that the folder forgets, in order."""
    try:
        digests: list[str] = json.loads((workdir / FORGOTTEN_FILE).read_text())
    except FileNotFoundError:
        return []
    return digests


def what_holds_them(manifest: Manifest, workdir: Path) -> list[str]:
    """The places that a refresh does not clean of a user, one sentence each."""
    tables = [table for table in (manifest.events, manifest.users) if table is not None]
    paths = ", ".join(os.path.join(manifest.folder, path) for table in tables for path in table.path)
    return [
        f"Your own tables, {paths}: erase them there first, or the next run learns from them again.",
        f"The versions that are served so far, under {workdir / 'serving'}, until you delete them.",
        f"Copies of the tables that earlier runs made, under {workdir / 'artifacts'}, until you delete them.",
        "The model: it was trained on what they did. It names nobody, and `tandem run` without their events "
        "trains another.",
    ]
