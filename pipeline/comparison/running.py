"""The comparison of variants: each is run from the point where it differs, and nothing is pushed."""

from __future__ import annotations

import dataclasses
import functools
import logging
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)

from dataset.errors import DataError
from dataset.manifest import Manifest
from pipeline.comparison.record import VariantRecord, record_path
from pipeline.comparison.table import Row, markdown, picture
from pipeline.comparison.variants import Variant, read_variants
from pipeline.config import Config
from pipeline.forgotten import read_forgotten
from pipeline.local import METADATA_FILE, held, locations_in, logged_to, refuse_workers, run_in

FOLDER = "compare"
TABLE_FILE, PLOT_FILE = "comparison.md", "comparison.svg"
_RUNS_FOLDER, _RECORDS_FOLDER = "run", "records"


def compare(
    manifest: Manifest,
    *,
    workdir: Path,
    words: Sequence[str],
    config_path: str | None = None,
    overrides: Sequence[str] = (),
    num_seeds: int = 1,
) -> int:
    """Runs what has no record yet, and writes one table and one picture.

    Args:
        manifest: The dataset.
        workdir: The folder of runs on it; all goes into its subfolder `FOLDER`.
        words: The variants, as `read_variants` takes them.
        config_path: A TOML file of the default.
        overrides: ``section.key=value`` of the default, over the file.
        num_seeds: How often each is trained, each time with the next seed.

    Returns:
        Exit code: 0, or 1 if a variant failed.

    Raises:
        DataError: If a variant, the data or the environment is not fit; nothing has run then.
    """
    variants = read_variants(words, config_path=config_path, overrides=overrides)
    if num_seeds < 1:
        raise DataError(f"--seeds must be at least 1. Got {num_seeds}.")
    refuse_workers()
    workdir = workdir.resolve()
    folder = workdir / FOLDER
    with held(folder):
        rows = _run_all(manifest, variants, workdir, num_seeds)
        table = markdown(rows, dataset=manifest.name)
        (folder / TABLE_FILE).write_text(table, encoding="utf-8")
        (folder / PLOT_FILE).write_text(picture(rows, dataset=manifest.name), encoding="utf-8")
    print(f"\n{table}\nTable: {folder / TABLE_FILE}\nPlot: {folder / PLOT_FILE}")
    return 1 if any(row.failure for row in rows) else 0


def _run_all(manifest: Manifest, variants: Sequence[Variant], workdir: Path, num_seeds: int) -> list[Row]:
    records, forgotten = workdir / FOLDER / _RECORDS_FOLDER, read_forgotten(workdir)
    runs = [(variant, variant.with_seed(number)) for variant in variants for number in range(num_seeds)]
    paths = [record_path(records, manifest, config, forgotten) for _, config in runs]
    found = [None if path is None else VariantRecord.load(path) for path in paths]
    if None in found:
        _check(manifest, [config for (_, config), record in zip(runs, found, strict=True) if record is None])
    rows = {variant.name: Row(name=variant.name, records=[], failure="") for variant in variants}
    for number, ((variant, config), path, record) in enumerate(zip(runs, paths, found, strict=True), start=1):
        row, seed = rows[variant.name], f", seed {config.train.seed}" if num_seeds > 1 else ""
        print(f"\nVariant {number} of {len(runs)}: {variant.name}{seed}", end="", flush=True)
        if record is None:
            print(flush=True)
            path = path or records / f"variant-{number}.json"
            row.failure = _in_own_process(manifest, config, workdir, path) or row.failure
            record = VariantRecord.load(path) if not row.failure else None
        else:
            print(", as it ran before", flush=True)
        if record is not None:
            row.records.append(record)
        if row.failure:
            print(f"Failed: {row.failure}", flush=True)
    return list(rows.values())


def _check(manifest: Manifest, configs: Sequence[Config]) -> None:
    """Refuses data and encoders that are not fit, before anything runs."""
    from dataset.check import check_dataset
    from models.pretrained import resolve_encoder
    from models.reading import text_reader

    for encoder in dict.fromkeys(config.model.encoder for config in configs):
        resolve_encoder(encoder)
    model = configs[0].model
    check_dataset(manifest, stream=sys.stdout, reader=text_reader(model.encoder, model.max_text_tokens))


def _in_own_process(manifest: Manifest, config: Config, workdir: Path, path: Path) -> str:
    """Runs a variant as `tandem run` would, unmoved by what others left in memory; returns why it failed."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(run_variant, manifest, config, workdir, path).result()
        except BrokenProcessPool:
            return "its process was killed, perhaps for want of memory."


def run_variant(manifest: Manifest, config: Config, workdir: Path, path: Path) -> str:
    """Runs one variant and saves its record.

    Args:
        manifest: The dataset.
        config: Of the variant.
        workdir: The folder of runs on the dataset.
        path: Where the record goes.

    Returns:
        Why it failed, in a sentence; "" if it did not.
    """
    folder = workdir / FOLDER / _RUNS_FOLDER
    # An interrupted comparison may have left a variant running here.
    with held(folder), logged_to(folder):
        try:
            _run(manifest, config, workdir, folder).save(path)
        # Whatever ends one variant, its row says so, and the others go on.
        except Exception as error:
            logging.getLogger(__name__).exception("The variant failed.")
            return f"{_sentence(error)} ({folder / 'logs'} has more.)"
    return ""


def _run(manifest: Manifest, config: Config, workdir: Path, folder: Path) -> VariantRecord:
    print("Starting TFX …", flush=True)
    from pipeline.comparison.measuring import gather
    from pipeline.pipeline import create_pipeline

    # Text vectors are those of the runs that push.
    locations = dataclasses.replace(locations_in(workdir, manifest), root=str(folder / "artifacts"))
    run_in(folder, functools.partial(create_pipeline, manifest, config, locations=locations, pushes=False))
    return gather(manifest, config, folder / METADATA_FILE)


def _sentence(error: BaseException) -> str:
    """What is wrong, by the first cause that is a person's mistake, else by the error itself."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DataError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    first_line = (str(error).strip().splitlines() or ["no reason given"])[0]
    return f"{type(error).__name__}: {first_line[:200]}"
