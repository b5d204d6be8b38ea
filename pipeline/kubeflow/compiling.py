"""The compiler of a dataset's pipeline into a file for Kubeflow, with nothing of this machine in it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dataset.contract import JudgmentsTable
from dataset.errors import DataError
from dataset.files import join
from dataset.manifest import SCHEMAS_FOLDER, TABLES, Manifest, load_manifest
from models.pretrained import DEFAULT_ENCODER
from pipeline.config import load_config


def compile_pipeline(
    dataset: str,
    output: Path,
    *,
    pipeline_root: str,
    image: str,
    config_path: str | None = None,
    overrides: Sequence[str] = (),
) -> None:
    """Compiles a dataset's pipeline into a KFP v2 specification. The file appears whole or not at all.

    Args:
        dataset: The dataset's folder or manifest. Of its data, only curated schemas are read.
        output: The ``.yaml`` file to write.
        pipeline_root: The folder for artifacts, on a filesystem that TensorFlow opens.
        image: The trainer's image, by the name the cluster pulls it.
        config_path: A TOML file with settings.
        overrides: Settings ``section.key=value``, which win over the file.

    Raises:
        DataError: If an argument, the manifest or the configuration does not suit a cluster.
    """
    if output.suffix not in (".yaml", ".yml"):
        raise DataError(f"The specification must be a .yaml file. Got {output}.")
    if not output.resolve().parent.is_dir():
        raise DataError(f"The specification must go into a folder that exists. Got {output}.")
    _check_root(pipeline_root)
    manifest, config = load_manifest(dataset), load_config(config_path, overrides)
    _check_paths(manifest)
    _check_encoder(config.model.encoder)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # This imports TFX, so it comes after the checks: a person need not wait to hear of a mistake.
    from pipeline.kubeflow.specification import build_specification

    specification = build_specification(
        manifest,
        config,
        pipeline_root=pipeline_root,
        image=image,
        schemas=join(manifest.folder, SCHEMAS_FOLDER),
    )
    with tempfile.TemporaryDirectory(dir=output.resolve().parent) as folder:
        written = Path(folder) / output.name
        specification.write(str(written))
        os.replace(written, output)


def _check_root(pipeline_root: str) -> None:
    if not re.fullmatch(r"gs://[^/]+(/.*)?", pipeline_root):
        raise DataError(
            "The pipeline root must be on Google Cloud Storage, which both Kubeflow and TensorFlow open. "
            f"Got {pipeline_root!r}; give one like gs://bucket/folder."
        )


def _check_paths(manifest: Manifest) -> None:
    for name in TABLES:
        table = getattr(manifest, name)
        queries = table.queries or () if isinstance(table, JudgmentsTable) else ()
        for path in (*(table.path if table else ()), *queries):
            if path.startswith("/"):
                raise DataError(
                    f"{name}.path must be relative to the manifest, for a cluster has no {path}. Got an "
                    "absolute path; move the file into the dataset's folder."
                )


def _check_encoder(name: str) -> None:
    folder = Path(name).expanduser()
    if name.startswith((".", "~")) or (not folder.is_absolute() and folder.is_dir()):
        raise DataError(
            f"model.encoder must be found inside the image. Got the folder {name!r}; name a preset, "
            f"{DEFAULT_ENCODER!r}, or the absolute path of a folder that was copied into the image."
        )
