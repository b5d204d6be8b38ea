from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import kfp
import pytest
import yaml
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_entrypoint_utils import _retrieve_class_path

from pipeline.cli.main import main
from tests.tiny_dataset import Write

SAMPLES = Path(__file__).parents[3] / "samples"
ROOT = "gs://bucket/root"
IMAGE = "registry.example.com/tandem-trainer:0.1.0"
RESOURCES = """
[kubeflow]
retries = 4
default = { cpu = "2", memory = "8Gi" }

[kubeflow.nodes.Trainer]
memory = "32Gi"
accelerator = "nvidia.com/gpu"
accelerator_count = 2
node_selector = { "cloud.google.com/gke-accelerator" = "nvidia-l4" }
"""


def _compile(dataset: Path, output: Path, *arguments: str) -> int:
    where = ["--pipeline-root", ROOT, "--image", IMAGE, "--output", str(output)]
    return main(["kubeflow", "compile", str(dataset), *where, *arguments])


class Compiled:
    """A specification, read back."""

    def __init__(self, path: Path) -> None:
        self.path, self.text = path, path.read_text()
        self.documents: list[dict[str, Any]] = list(yaml.safe_load_all(self.text))
        self.specification = self.documents[0]
        self.tasks = self.specification["root"]["dag"]["tasks"]
        self.parameters = self.specification["root"]["inputDefinitions"]["parameters"]

    def container(self, task: str) -> dict[str, Any]:
        label = self.component(task)["executorLabel"]
        return self.specification["deploymentSpec"]["executors"][label]["container"]

    def component(self, task: str) -> dict[str, Any]:
        return self.specification["components"][self.tasks[task]["componentRef"]["name"]]


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The sample's pipeline with resources, compiled where there is nothing of its data but the manifest."""
    folder = tmp_path_factory.mktemp("retail")
    shutil.copy(SAMPLES / "online_retail" / "dataset.toml", folder)
    (folder / "schema").mkdir()
    (folder / "schema" / "users.pbtxt").write_text("# curated")
    (folder / "settings.toml").write_text(RESOURCES)
    assert _compile(folder, folder / "pipeline.yaml", "--config", str(folder / "settings.toml")) == 0
    return Compiled(folder / "pipeline.yaml")


def test_kfp_loads_the_specification(retail: Compiled) -> None:
    pipeline = kfp.components.load_component_from_file(str(retail.path))

    assert retail.specification["schemaVersion"] == "2.1.0"
    assert set(pipeline.component_spec.inputs) == {"data", "model_destination", "text_cache"}


def test_run_is_told_where_its_data_and_its_model_are(retail: Compiled) -> None:
    assert "defaultValue" not in retail.parameters["data"]
    assert retail.parameters["model_destination"]["defaultValue"] == f"{ROOT}/serving"
    assert retail.parameters["text_cache"]["defaultValue"] == f"{ROOT}/cache/text"
    assert retail.specification["defaultPipelineRoot"] == ROOT
    asked = {
        task: value["componentInputParameter"]
        for task, spec in retail.tasks.items()
        for value in spec["inputs"].get("parameters", {}).values()
        if "componentInputParameter" in value
    }
    assert asked == {
        "examplegen-items": "data",
        "examplegen-users": "data",
        "examplegen-events": "data",
        "textembedder": "text_cache",
        "pushedmodel": "model_destination",
        "pusher": "model_destination",
    }


def test_nothing_of_this_machine_is_in_the_specification(retail: Compiled) -> None:
    for path in (retail.path.parent, Path.cwd(), Path.home() / ".cache", Path("/tmp")):
        assert str(path) not in retail.text


def test_every_task_is_a_container_of_the_image(retail: Compiled) -> None:
    for executor in retail.specification["deploymentSpec"]["executors"].values():
        assert list(executor) == ["container"]
        assert executor["container"]["image"] == IMAGE
        assert executor["container"]["command"][:2] == ["python", "-m"]


def test_names_are_what_argo_takes(retail: Compiled) -> None:
    for task, spec in retail.tasks.items():
        assert re.fullmatch(r"[a-z0-9][-a-z0-9]*", task)
        assert spec["taskInfo"]["name"] == task
        assert set(spec.get("dependentTasks", [])) <= set(retail.tasks)
        for artifact in spec["inputs"].get("artifacts", {}).values():
            assert artifact["taskOutputArtifact"]["producerTask"] in retail.tasks


def test_executors_and_artifacts_are_found_by_their_names(retail: Compiled) -> None:
    paths = set()
    for task in retail.tasks:
        arguments = retail.container(task)["args"]
        paths.add(arguments[arguments.index("--executor_class_path") + 1])
        for artifact in retail.component(task)["outputDefinitions"]["artifacts"].values():
            schema = pipeline_spec_pb2.ArtifactTypeSchema(
                instance_schema=artifact["artifactType"]["instanceSchema"]
            )
            paths.add(_retrieve_class_path(schema))

    assert "components.TextEmbeddings" in paths
    for path in paths:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path


def test_node_has_its_own_resources_over_the_default(retail: Compiled) -> None:
    default, trainer = retail.container("pusher")["resources"], retail.container("trainer")["resources"]

    assert default == {
        "cpuLimit": 2.0,
        "cpuRequest": 2.0,
        "memoryLimit": 8.589934592,
        "memoryRequest": 8.589934592,
        "resourceCpuLimit": "2",
        "resourceCpuRequest": "2",
        "resourceMemoryLimit": "8Gi",
        "resourceMemoryRequest": "8Gi",
    }
    assert trainer["resourceCpuLimit"] == "2"
    assert trainer["resourceMemoryLimit"] == "32Gi"
    assert trainer["accelerator"] == {
        "type": "nvidia.com/gpu",
        "count": "2",
        "resourceType": "nvidia.com/gpu",
        "resourceCount": "2",
    }


def test_node_selector_is_in_the_platform_s_document(retail: Compiled) -> None:
    label = retail.component("trainer")["executorLabel"]

    assert retail.documents[1] == {
        "platforms": {
            "kubernetes": {
                "deploymentSpec": {
                    "executors": {
                        label: {"nodeSelector": {"labels": {"cloud.google.com/gke-accelerator": "nvidia-l4"}}}
                    }
                }
            }
        }
    }


def test_what_looks_outside_is_never_cached(retail: Compiled) -> None:
    cached = {task for task, spec in retail.tasks.items() if spec["cachingOptions"].get("enableCache")}

    always = {"examplegen-items", "examplegen-users", "examplegen-events", "pushedmodel"}
    assert set(retail.tasks) - cached == always
    assert {spec["retryPolicy"]["maxRetryCount"] for spec in retail.tasks.values()} == {4}


def test_curated_schema_is_part_of_the_specification(retail: Compiled) -> None:
    text = retail.tasks["schemagen-users"]["inputs"]["parameters"]["text"]

    assert text["runtimeValue"]["constant"] == "# curated"


def test_resources_reach_no_parameter(retail: Compiled) -> None:
    for task in retail.tasks.values():
        assert "32Gi" not in json.dumps(task["inputs"])


def test_defaults_set_no_resources_and_need_no_second_document(dataset: Write, tmp_path: Path) -> None:
    assert _compile(dataset(), tmp_path / "pipeline.yaml", "--set", "kubeflow.cache=false") == 0

    compiled = Compiled(tmp_path / "pipeline.yaml")
    assert len(compiled.documents) == 1
    assert "resources" not in compiled.container("trainer")
    assert not any(spec["cachingOptions"].get("enableCache") for spec in compiled.tasks.values())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--pipeline-root", "/data"], "The pipeline root must be on Google Cloud Storage"),
        (["--pipeline-root", "s3://bucket"], "The pipeline root must be on Google Cloud Storage"),
        (["--output", "pipeline.json"], "The specification must be a .yaml file. Got pipeline.json."),
        (["--output", "no/folder/p.yaml"], "The specification must go into a folder that exists."),
        (["--set", "model.encoder=./mine"], "model.encoder must be found inside the image."),
        (
            ["--set", 'kubeflow.nodes={Trianer={cpu="1"}}'],
            'kubeflow.nodes must name nodes of the pipeline. Got "Trianer"; did you mean "Trainer"?',
        ),
        (["--set", 'kubeflow.default={memory="lots"}'], "the memory of kubeflow must be bytes"),
        (["--set", "kubeflow.nodes={Trainer={gpu=1}}"], 'unknown key "kubeflow.nodes.Trainer.gpu"'),
    ],
)
def test_mistake_writes_nothing(
    dataset: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    folder = dataset()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    assert _compile(folder, tmp_path / "pipeline.yaml", *arguments) == 2

    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_path_that_no_cluster_has_is_named(
    dataset: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dataset()
    manifest = folder / "dataset.toml"
    manifest.write_text(manifest.read_text().replace('"items.csv"', f'"{folder}/items.csv"'))

    assert _compile(folder, tmp_path / "pipeline.yaml") == 2
    assert "items.path must be relative to the manifest" in capsys.readouterr().err
