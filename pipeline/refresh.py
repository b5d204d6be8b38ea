"""Index refresh: the catalogue and the log as they are now under the model that was pushed last.

Nothing is trained: new items are encoded, and the channels are fitted to the log anew.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.contract import ItemsTable
from dataset.errors import DataError
from dataset.manifest import Manifest
from dataset.settings import section_of
from pipeline.beam import BeamConfig
from pipeline.config import Config
from pipeline.local import METADATA_FILE, NOT_BLESSED, held, locations_in, logged_to, run_in
from pipeline.report.report import DATA_FILE as REPORT_FILE
from serving.config import ServeConfig
from serving.pushed_model import model_dir, newest_version_dir

if TYPE_CHECKING:
    from tfx import v1 as tfx

    from pipeline.pipeline import Locations

# What is kept of how the model was served. A run of an earlier version does not know all of it.
_INDEX_SETTINGS = (
    "num_candidates",
    "max_users",
    "exploration_share",
    "query_encoder",
    "max_quality_loss",
    "index",
    "min_index_recall",
)


def refresh(manifest: Manifest, *, workdir: Path) -> int:
    """Encodes new items, fits the channels, and pushes the index once a real server has answered from it.

    Args:
        manifest: The dataset; its items and events are read.
        workdir: The folder of a run that pushed a model.

    Returns:
        Exit code: 0, or `NOT_BLESSED` when the server did not answer as it must and so nothing was pushed.

    Raises:
        DataError: There is no pushed model, or the items are not fit for it.
    """
    workdir = workdir.resolve()
    before = newest_version_dir(model_dir(workdir))
    if not (workdir / METADATA_FILE).is_file():
        raise DataError(
            f"{workdir} must hold the metadata of the run that trained its model. Got no {METADATA_FILE}; "
            "train one with `tandem run DATASET`."
        )
    with held(workdir), logged_to(workdir):
        from dataset.check import check_items

        started = time.monotonic()
        # Not the log: events of items that are gone since are no mistake.
        check_items(manifest, stream=sys.stdout)
        print("Starting TFX …", flush=True)
        infra = _run(manifest, workdir, replaces=int(before.name))
    after = newest_version_dir(model_dir(workdir))
    took = f"after {time.monotonic() - started:.0f} s"
    if infra["reasons"]:
        print(f"Not pushed, {took}: {' '.join(infra['reasons'])}")
        return NOT_BLESSED
    if after == before:
        print(f"Version {before.name} has this catalogue and log already; nothing pushed, {took}.")
    else:
        fitted = "" if manifest.events is None else " Its channels are fitted to the whole log."
        print(f"Pushed {after}, {took}.{fitted} {' '.join(infra['facts'])}")
    return 0


def _run(manifest: Manifest, workdir: Path, *, replaces: int) -> dict[str, list[str]]:
    """Runs the pipeline; what ServingValidator had to say."""
    from tfx.utils import path_utils

    from components.last_pushed import maker_of, pushed_last
    from components.serving_validator import REASON_FILE
    from models.trained import config_of
    from pipeline.run_results import Artifacts, read_store

    metadata_path = workdir / METADATA_FILE
    store = read_store(metadata_path)
    push = pushed_last(store)
    if push is None:
        raise DataError(
            f"{metadata_path} must know of a pushed model. Got none; train one with `tandem run DATASET`."
        )
    index, validator = (maker_of(store, *push.inputs[name]) for name in ("model", "infra_blessing"))
    (model,) = store.get_artifacts_by_id(index.inputs["model"])
    trained_on = Manifest.from_json(index.parameters["manifest"])
    _require_same_columns(manifest.items, trained_on.items)
    config = Config(
        model=config_of(path_utils.serving_model_path(model.uri)),
        serve=ServeConfig(
            **{name: index.parameters[name] for name in _INDEX_SETTINGS if name in index.parameters},
            **{name: validator.parameters[name] for name in ("max_latency_ms", "tf_serving_version")},
        ),
        beam=_last_beam(workdir),
    )
    run_in(
        workdir,
        functools.partial(
            create_refresh_pipeline,
            dataclasses.replace(manifest, name=trained_on.name),
            config,
            trained_on=_with_times_of(manifest.items, trained_on).to_json(),
            replaces=replaces,
            locations=locations_in(workdir, manifest),
        ),
    )
    reason = Artifacts(metadata_path).newest("InfraBlessing") / REASON_FILE
    infra: dict[str, list[str]] = json.loads(reason.read_text())
    return infra


def _last_beam(workdir: Path) -> BeamConfig:
    """Where Beam's stages ran in the last run that wrote a report."""
    try:
        report = json.loads((workdir / REPORT_FILE).read_text())
    except FileNotFoundError:
        return BeamConfig()
    return section_of(BeamConfig, "beam", report["configuration"]["beam"])


def _require_same_columns(now: ItemsTable, trained: ItemsTable) -> None:
    for name in ("text", "categorical", "availability", "numeric"):
        ours, theirs = getattr(now, name), getattr(trained, name)
        if ours != theirs:
            raise DataError(
                f"items.{name} must be as the model was trained with, which is {_listed(theirs)}. Got "
                f"{_listed(ours)}; train anew with `tandem run`."
            )


def _with_times_of(now: ItemsTable, trained_on: Manifest) -> Manifest:
    """The manifest of training with the columns of times of availability as they are now.

    No model sees them.
    """
    items = dataclasses.replace(
        trained_on.items, available_from=now.available_from, available_until=now.available_until
    )
    return dataclasses.replace(trained_on, items=items)


def _listed(columns: Any) -> str:
    return json.dumps(list(columns) if columns is not None and not isinstance(columns, str) else columns)


def create_refresh_pipeline(
    manifest: Manifest,
    config: Config,
    *,
    trained_on: str,
    replaces: int,
    locations: Locations,
    metadata_connection_config: Any = None,
) -> tfx.dsl.Pipeline:
    """Builds the pipeline, of the same name as that of a run and so with the same lineage and cache.

    Args:
        manifest: The dataset.
        config: The model as it was trained, how it is served, and where Beam's stages run.
        trained_on: The manifest that the model was trained with, with the columns of times of availability
            as they are now, as JSON.
        replaces: The version that is served now.
        locations: Where to put what.
        metadata_connection_config: Of ML Metadata.
    """
    from tfx import v1 as tfx
    from tfx.types import Channel, standard_artifacts

    from components.example_validator import ExampleValidator
    from components.index_builder import IndexBuilder
    from components.last_pushed import LastPushed
    from components.pusher import Pusher
    from components.serving_validator import ServingValidator
    from components.text_embedder.component import TextEmbedder
    from components.transform_applier import TransformApplier
    from pipeline.pipeline import read_table

    raw_items, _, nodes = read_table(manifest, "items", locations)
    log: dict[str, Any] = {}
    if manifest.events:
        log["newer_events"], _, log_nodes = read_table(manifest, "events", locations)
        nodes += log_nodes
    events = {"events": Channel(type=standard_artifacts.Examples)} if manifest.events else {}
    last = tfx.dsl.Resolver(
        strategy_class=LastPushed,
        **events,
        model=Channel(type=standard_artifacts.Model),
        item_transform_graph=Channel(type=standard_artifacts.TransformGraph),
        interactions=Channel(type=standard_artifacts.Examples),
        transform_graph=Channel(type=standard_artifacts.TransformGraph),
    ).with_id("Resolver.last_pushed")
    items = TransformApplier(examples=raw_items, transform_graph=last.outputs["item_transform_graph"])
    embedder = TextEmbedder(
        examples=items.outputs["transformed_examples"],
        transform_graph=last.outputs["item_transform_graph"],
        encoder=config.model.encoder,
        pooling=config.model.pooling,
        cache_dir=locations.cache,
    )
    index = IndexBuilder(
        model=last.outputs["model"],
        raw_items=raw_items,
        item_examples=items.outputs["transformed_examples"],
        item_transform_graph=last.outputs["item_transform_graph"],
        text_embeddings=embedder.outputs["embeddings"],
        interactions=last.outputs["interactions"],
        transform_graph=last.outputs["transform_graph"],
        manifest=trained_on,
        num_candidates=config.serve.num_candidates,
        max_users=config.serve.max_users,
        exploration_share=config.serve.exploration_share,
        query_encoder=config.serve.query_encoder,
        max_quality_loss=config.serve.max_quality_loss,
        index=config.serve.index,
        min_index_recall=config.serve.min_index_recall,
        forgotten=json.dumps(locations.forgotten),
        **{name: last.outputs[name] for name in events},
        **log,
    )
    for gate in (items, index):
        gate.add_upstream_nodes([node for node in nodes if isinstance(node, ExampleValidator)])
    validator = ServingValidator(
        model=index.outputs["servable"],
        max_latency_ms=config.serve.max_latency_ms,
        tf_serving_version=config.serve.tf_serving_version,
    )
    pusher = Pusher(
        model=index.outputs["servable"],
        infra_blessing=validator.outputs["blessing"],
        destination=locations.serving,
        replaces=replaces,
    )
    return tfx.dsl.Pipeline(
        pipeline_name=manifest.name,
        pipeline_root=locations.root,
        components=[*nodes, last, items, embedder, index, validator, pusher],
        enable_cache=True,
        metadata_connection_config=metadata_connection_config,
        beam_pipeline_args=config.beam.args(),
    )
