"""The users whom a working folder forgets: what is served next has nothing of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from dataset import features
from dataset.columns import normalised_batches
from dataset.errors import DataError
from dataset.labels import as_label
from dataset.manifest import Manifest
from dataset.spans import files_read

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
        DataError: There is no such folder, an id is empty, or the list there cannot be read.
    """
    if not workdir.is_dir():
        raise DataError(
            f"--workdir must be the folder of a run. Got {workdir}, which is none; train a model with "
            "`tandem run DATASET`."
        )
    labels = [as_label(user) for user in user_ids]
    if not all(labels):
        raise DataError("A user's id must not be empty. Got one that is.")
    named = {hashlib.sha256(label.encode()).hexdigest() for label in labels}
    digests = named.union(read_forgotten(workdir))
    path = workdir / FORGOTTEN_FILE
    new = path.with_suffix(".new")
    new.write_text(json.dumps(sorted(digests), indent=0))
    os.replace(new, path)
    return len(digests)


def read_forgotten(workdir: Path) -> list[str]:
    """The SHA-256 of the id of each user that the folder forgets, in order.

    Raises:
        DataError: The list is damaged. To go on without it would serve people who asked to be forgotten.
    """
    path = workdir / FORGOTTEN_FILE
    try:
        digests = json.loads(path.read_text())
    except FileNotFoundError:
        return []
    except ValueError:
        digests = None
    if not isinstance(digests, list) or not all(isinstance(digest, str) for digest in digests):
        raise DataError(
            f"{path} must be a JSON list of SHA-256. It is damaged; put a copy back, or remove it."
        )
    return digests


def unknown_users(manifest: Manifest, user_ids: Sequence[str]) -> list[str]:
    """Those of the users that no row of the dataset's tables is about, as they were given."""
    left = {as_label(user): user for user in user_ids}
    for table in ("users", "events"):
        if getattr(manifest, table) is None:
            continue
        for _, read in normalised_batches(manifest, table, files_read(manifest, table)):
            for user in read.batch.column(features.USER_ID).unique().to_pylist():
                left.pop(user, None)
            if not left:
                return []
    return [*left.values()]


def what_holds_them(manifest: Manifest, workdir: Path) -> list[str]:
    """The places that a refresh does not clean of a user, one sentence each."""
    tables = [table for table in (manifest.events, manifest.users) if table is not None]
    paths = ", ".join(os.path.join(manifest.folder, path) for table in tables for path in table.path)
    return [
        f"Your own tables, {paths}: erase them there first, or the next run learns from them again.",
        f"The versions that are served so far, under {workdir / 'serving'}, until you delete them.",
        f"Copies of the tables that earlier runs made, under {workdir / 'artifacts'}, and comparisons, under "
        f"{workdir / 'compare'}, until you delete them.",
        f"The report in {workdir}, which shows what some users are recommended, until the next run.",
        "The model: it was trained on what they did. It names nobody, and `tandem run` without their events "
        "trains another.",
    ]
