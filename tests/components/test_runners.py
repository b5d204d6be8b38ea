from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.runner import create_runner

from pipeline import features
from pipeline.beam import BeamConfig
from pipeline.manifest import Manifest, load_manifest
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
    "FlinkRunner": ("--flink_master=flink:8081", f"--sdk_container_image={IMAGE}"),
    "SparkRunner": ("--spark_master_url=spark://spark:7077", f"--sdk_container_image={IMAGE}"),
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
    key = str
    assert sorted(rows(one / "read" / "events"), key=key) == sorted(rows(many / "read" / "events"), key=key)
    for split in features.EVENT_SPLITS:
        assert records(one / "examples", split) == records(many / "examples", split) != []


class _Compiled(Exception):  # noqa: N818 (it is no error)
    """Ends an executor where its pipeline would be sent to the runner."""

    def __init__(self, proto: beam_runner_api_pb2.Pipeline):
        super().__init__()
        self.proto = proto


class _CompiledOnly(beam.Pipeline):
    def run(self, test_runner_api: str = "AUTO") -> Any:
        environment = self.runner.default_environment(self.options)
        raise _Compiled(self.to_runner_api(default_environment=environment))


@pytest.mark.parametrize("runner", REMOTE)
def test_pipelines_compile_for_remote_runners_with_the_image_as_worker(
    shop: Manifest, tmp_path: Path, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = BeamConfig(runner=runner, options=REMOTE[runner])

    def compiled_only(folder: Path, _: BeamConfig) -> Any:
        context = real_context(folder)
        options = PipelineOptions(config.args())
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
