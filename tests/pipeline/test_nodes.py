from __future__ import annotations

from pathlib import Path
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.compiler.compiler import Compiler
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils

from dataset.manifest import load_manifest
from pipeline.beam import BeamConfig
from pipeline.config import Config
from pipeline.local import locations_in
from pipeline.nodes import NodeMonitor, WatchedLauncher
from pipeline.pipeline import create_pipeline
from tests.tiny_dataset import Write


def _launcher(folder: Path, dataset: Path, beam: BeamConfig, node_id: str) -> Any:
    manifest = load_manifest(dataset)
    database = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(folder / "metadata.sqlite"))
    pipeline = create_pipeline(
        manifest,
        Config(beam=beam),
        locations=locations_in(folder, manifest),
        metadata_connection_config=database,
    )
    compiled = Compiler().compile(pipeline)
    deployment = runner_utils.extract_local_deployment_config(compiled)
    (node,) = (n.pipeline_node for n in compiled.nodes if n.pipeline_node.node_info.id == node_id)
    return WatchedLauncher(
        monitor=NodeMonitor(num_nodes=1, previous=folder / "durations.json"),
        pipeline_node=node,
        mlmd_connection=metadata.Metadata(database),
        pipeline_info=compiled.pipeline_info,
        pipeline_runtime_spec=compiled.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, node_id),
    )


def test_flags_of_beam_reach_the_node_and_not_its_cache_key(dataset: Write, tmp_path: Path) -> None:
    folder = dataset()

    one, other = (
        _launcher(tmp_path, folder, BeamConfig(options=options), "StatisticsGen.items")
        for options in ((), ("--direct_num_workers=2",))
    )

    assert one._executor_spec == other._executor_spec
    assert "StatisticsGen" in str(one._executor_spec) or "statistics_gen" in str(one._executor_spec)
    assert "--direct_num_workers=2" in str(other._executor_operator.beam_pipeline_args)
    assert "--direct_num_workers=2" not in str(one._executor_operator.beam_pipeline_args)
