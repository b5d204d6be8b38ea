"""A worker that joins a waiting Trainer: ``TF_CONFIG=… python -m models.worker ARGUMENTS.json``.

With ``TF_CONFIG`` the Trainer writes that file before it waits. After a worker has died, all of them can be
started so once more, the chief too.
"""

from __future__ import annotations

import argparse
import json
import os
import types
from typing import Any

import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)

ARGUMENTS_FILE = "arguments.json"


def write_arguments(fn_args: Any) -> None:
    """Writes what `run_fn` is called with into the folder of its logs."""
    import tensorflow as tf

    plain = {name: value for name, value in vars(fn_args).items() if isinstance(value, str | dict | None)}
    tf.io.gfile.makedirs(fn_args.model_run_dir)
    with tf.io.gfile.GFile(os.path.join(fn_args.model_run_dir, ARGUMENTS_FILE), "w") as file:
        json.dump(plain, file)


def main() -> None:
    """Runs `run_fn` as the worker that ``TF_CONFIG`` says."""
    parser = argparse.ArgumentParser(description="Joins a Trainer that waits for further workers.")
    parser.add_argument("arguments", help=f"{ARGUMENTS_FILE} in the Trainer's model_run folder")
    path = parser.parse_args().arguments
    import tensorflow as tf

    from models.training import run_fn

    with tf.io.gfile.GFile(path) as file:
        run_fn(types.SimpleNamespace(**json.load(file)))


if __name__ == "__main__":
    main()
