from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from apache_beam.runners.dataflow.internal.apiclient import get_container_image_from_options
from apache_beam.runners.runner import create_runner
from apache_beam.transforms.environments import DockerEnvironment
from tfx.utils.dependency_utils import make_beam_dependency_flags

from benchmarks.data_nodes import Nodes
from dataset import features
from dataset.manifest import Manifest, load_manifest
from pipeline.beam import BeamConfig
from tests.components import in_memory
from tests.components.in_memory import build_interactions, read_table, records, rows

MANIFEST = """\
name = "shop"
[items]
path = "items.csv"
id = "sku"
text = ["title"]
[users]
path = "users.csv"
id = "user"
categorical = ["country"]
[events]
path = "events*.csv"
user = "user"
item = "sku"
time = "at"
kind = "purchase"
[split]
events = { validation = "1970-01-02T12:00:00", test = "1970-01-03" }
"""
PROCESSES = BeamConfig(options=("--direct_running_mode=multi_processing", "--direct_num_workers=2"))
IMAGE = "shop/tandem:1"
REMOTE = {
    "FlinkRunner": ("--flink_master=flink:8081", f"--environment_config={IMAGE}"),
    "SparkRunner": ("--spark_master_url=spark://spark:7077", f"--environment_config={IMAGE}"),
    "DataflowRunner": (
        "--project=shop",
        "--region=europe-west1",
        "--temp_location=gs://shop/tmp",
        f"--sdk_container_image={IMAGE}",
    ),
}


@pytest.fixture
def shop(tmp_path: Path) -> Manifest:
    tmp_path.joinpath("dataset.toml").write_text(MANIFEST)
    tmp_path.joinpath("items.csv").write_text("sku,title\n" + "".join(f"i{n},Item {n}\n" for n in range(9)))
    tmp_path.joinpath("users.csv").write_text("user,country\n" + "".join(f"u{n},N\n" for n in range(30)))
    for part in range(4):
        lines = [f"u{n % 23},i{n * n % 9},{1000 * n}\n" for n in range(part, 200, 4)]
        tmp_path.joinpath(f"events{part}.csv").write_text("user,sku,at\n" + "".join(lines))
    return load_manifest(tmp_path)


@pytest.mark.slow
def test_several_processes_write_what_one_writes(shop: Manifest, tmp_path: Path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    for folder, runner in ((one, BeamConfig()), (many, PROCESSES)):
        read_table(shop, "events", folder / "read", runner)
        build_interactions(shop, folder, beam=runner)

    assert len(rows(one / "read" / "events")) == 200
    read = [sorted(map(_plain, rows(folder / "read" / "events"))) for folder in (one, many)]
    assert read[0] == read[1]
    for split in features.EVENT_SPLITS:
        assert records(one / "examples", split) == records(many / "examples", split) != []


@pytest.mark.slow
def test_worker_process_knows_the_ops_of_a_transform_graph(shop: Manifest, tmp_path: Path) -> None:
    one, many = (Nodes(shop, runner.args(), tmp_path) for runner in (BeamConfig(), PROCESSES))
    one.example_gen("items")
    one.analyse_items()

    many.transform_applier()

    assert len(rows(tmp_path / "transformed")) == 9


def _plain(row: in_memory.Row) -> list[tuple[str, list[Any]]]:
    return sorted(row.items())


class _Compiled(Exception):  # noqa: N818 (it is no error)
    """Ends an executor where its pipeline would be sent to the runner."""

    def __init__(self, proto: beam_runner_api_pb2.Pipeline) -> None:
        super().__init__()
        self.proto = proto


class _CompiledOnly(beam.Pipeline):
    def run(self, test_runner_api: str = "AUTO") -> Any:
        if isinstance(self.runner, DataflowRunner):
            # As it does itself, among much that asks the network.
            environment = DockerEnvironment.from_container_image(
                get_container_image_from_options(self.options)
            )
        else:
            environment = self.runner.default_environment(self.options)
        raise _Compiled(self.to_runner_api(default_environment=environment))


@pytest.mark.parametrize("runner", REMOTE)
def test_pipelines_compile_for_remote_runners_whose_workers_are_the_image(
    shop: Manifest, tmp_path: Path, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = BeamConfig(runner=runner, options=REMOTE[runner])
    assert make_beam_dependency_flags(config.args()) == config.args()

    def compiled_only(folder: Path, _: BeamConfig) -> Any:
        context = real_context(folder)
        # Beam would list the installed packages of this machine, and look for the bucket.
        quiet = (
            "--experiments=disable_logging_submission_environment",
            "--dataflow_endpoint=http://localhost",
        )
        options = PipelineOptions([*config.args(), *quiet])
        context.make_beam_pipeline_fn = lambda: _CompiledOnly(create_runner(runner), options)
        return context

    real_context = in_memory.context
    monkeypatch.setattr(in_memory, "context", compiled_only)
    nodes = (
        lambda folder: read_table(shop, "events", folder),
        lambda folder: build_interactions(shop, folder),
    )

    for number, node in enumerate(nodes):
        with pytest.raises(_Compiled) as compiled:
            node(tmp_path / str(number))
        environments = compiled.value.proto.components.environments.values()
        images = [
            beam_runner_api_pb2.DockerPayload.FromString(e.payload).container_image for e in environments
        ]
        assert IMAGE in images
