"""A run on this machine: it checks the data, runs every node and writes the report."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)

from dataset.errors import DataError
from dataset.manifest import SCHEMAS_FOLDER, Manifest
from pipeline.config import Config, load_config
from pipeline.forgotten import read_forgotten
from serving.pushed_model import MODEL_NAME

if TYPE_CHECKING:
    from tfx import v1 as tfx

    from pipeline.pipeline import Locations
    from pipeline.report.report import NodeCost

# Below this a run fails half way, with an error of whatever library writes next.
_MIN_FREE_BYTES = 1 << 30
NOT_BLESSED = 3
METADATA_FILE, DURATIONS_FILE = "metadata.sqlite", "durations.json"


def run(
    manifest: Manifest,
    *,
    workdir: Path | None = None,
    config_path: str | None = None,
    overrides: Sequence[str] = (),
) -> int:
    """Runs a dataset through the pipeline; nodes whose inputs did not change are taken from the last run.

    Args:
        manifest: The dataset.
        workdir: Where everything goes; ``runs/NAME`` if it is left out.
        config_path: A TOML file.
        overrides: ``section.key=value``, over the file.

    Returns:
        Exit code: 0, or `NOT_BLESSED` when the model did not pass a gate and so was not pushed.

    Raises:
        DataError: The data, the configuration or the environment is not fit for a run.
    """
    config = load_config(config_path, overrides)
    refuse_workers()
    workdir = (workdir or Path("runs") / manifest.name).resolve()
    with held(workdir), logged_to(workdir):
        from dataset.check import check_dataset
        from models.pretrained import resolve_encoder
        from models.reading import text_reader

        started = time.monotonic()
        # Each node looks it up again; this one fetches it, or says early that there is none.
        resolve_encoder(config.model.encoder)
        reader = text_reader(config.model.encoder, config.model.max_text_tokens)
        check_dataset(manifest, stream=sys.stdout, reader=reader)
        return _run(manifest, config, workdir, started)


def _run(manifest: Manifest, config: Config, workdir: Path, started: float) -> int:
    print("Starting TFX …", flush=True)
    # TFX and TensorFlow take many seconds to import, and mistakes in the data should not wait for them.
    from components.pusher import newest_version
    from pipeline.pipeline import create_pipeline
    from pipeline.run_results import build_report, link_tensorboard

    costs = run_in(
        workdir,
        functools.partial(
            create_pipeline,
            manifest,
            config,
            locations=locations_in(workdir, manifest),
            replaces=newest_version(str(workdir / "serving" / MODEL_NAME)),
        ),
    )
    metadata_path = workdir / METADATA_FILE
    report = build_report(manifest, config, workdir, metadata_path, costs)

    from pipeline.report.html import write_report
    from pipeline.report.terminal import print_report

    write_report(report, workdir)
    print(f"Finished in {time.monotonic() - started:.0f} s.\n")
    print_report(workdir)
    print(f"TensorBoard: tensorboard --logdir {link_tensorboard(workdir, metadata_path)}")
    return 0 if report.gate.is_blessed else NOT_BLESSED


def run_in(folder: Path, build: Callable[..., tfx.dsl.Pipeline]) -> Sequence[NodeCost]:
    """Runs a pipeline with the metadata that a folder keeps.

    Args:
        folder: Where earlier runs left `METADATA_FILE` and `DURATIONS_FILE`, if there were any.
        build: Makes the pipeline of its ``metadata_connection_config``.

    Returns:
        What each node took.
    """
    from tfx.orchestration import metadata

    from pipeline.nodes import NodeMonitor, run_nodes

    pipeline = build(
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(folder / METADATA_FILE))
    )
    monitor = NodeMonitor(num_nodes=len(pipeline.components), previous=folder / DURATIONS_FILE)
    run_nodes(pipeline, monitor)
    return monitor.costs


def refuse_workers() -> None:
    """Refuses an environment that describes a cluster.

    Raises:
        DataError: If it does.
    """
    if os.environ.get("TF_CONFIG"):
        raise DataError(
            "TF_CONFIG must not be set for a run on this machine, whose nodes share one process. Got one; "
            "docs/training.md says how workers are started."
        )


def locations_in(workdir: Path, manifest: Manifest) -> Locations:
    """Where the pipelines of a working folder keep their things."""
    from pipeline.pipeline import Locations

    return Locations(
        root=str(workdir / "artifacts"),
        data=manifest.folder,
        serving=str(workdir / "serving"),
        cache=str(workdir / "cache" / "text"),
        schemas=os.path.join(manifest.folder, SCHEMAS_FOLDER),
        forgotten=tuple(read_forgotten(workdir)),
    )


@contextlib.contextmanager
def held(workdir: Path) -> Iterator[None]:
    """Holds the working folder against a second run."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = (workdir / ".lock").open("a+")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise DataError(
            f"The working folder {workdir} must be writable. Got: {error.strerror}; choose another with "
            "--workdir."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise DataError(
                f"{workdir} must not be in use by another run. Got one by "
                f"{lock.read().strip() or 'a process'}; wait for it, or choose another folder with --workdir."
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        lock.flush()
        free = shutil.disk_usage(workdir).free
        if free < _MIN_FREE_BYTES:
            raise DataError(
                f"The disk of {workdir} must have {_MIN_FREE_BYTES >> 20:,} MB free. Got {free >> 20:,} MB; "
                "make room, or choose another folder with --workdir."
            )
        yield


@contextlib.contextmanager
def logged_to(workdir: Path) -> Iterator[None]:
    """Sends what the libraries say to a file; the terminal is for people."""
    import logging
    import warnings

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = workdir / "logs"
    folder.mkdir(exist_ok=True)
    log = (folder / time.strftime("%Y%m%d-%H%M%S.log")).open("a", encoding="utf-8")
    handler = logging.StreamHandler(log)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    # Native code writes to the descriptor, past Python's logging; Python's own stderr stays on the terminal.
    terminal = os.dup(2)
    python_stderr, sys.stderr = sys.stderr, os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(log.fileno(), 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        sys.stderr.close()
        sys.stderr = python_stderr
        logging.captureWarnings(False)
        root.handlers[:] = before
        root.setLevel(level)
        handler.close()
        log.close()
