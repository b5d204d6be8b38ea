"""The compiled specification runs: every container's command, in what an image has, to a pushed servable.

There is no cluster here. The kfp SDK orchestrates, as it does for people who try a pipeline on their own
machine; where it would ask Docker for a container, `containers` runs the container's command.
"""

from __future__ import annotations

import shutil
from typing import Any
from unittest import mock

import kfp
import numpy as np
import pytest
from kfp import local

from pipeline.cli import main
from serving.client import Client
from serving.process import ServerProcess
from tests.deploy.image import Image
from tests.e2e.conftest import SMALL, Run
from tests.e2e.containers import Containers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def cluster(trainer_image: Image, shopping: Run, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The slice's pipeline, compiled and run; the folder of its models and what ran."""
    folder = tmp_path_factory.mktemp("cluster")
    encoder = trainer_image.root / "opt" / "encoder"
    shutil.copytree(shopping.encoder, encoder)
    settings = [argument for one in (*SMALL, f"model.encoder={encoder}") for argument in ("--set", one)]
    specification = folder / "pipeline.yaml"
    arguments = ["--pipeline-root", "gs://bucket/root", "--image", "tandem-trainer:0.1.0"]
    arguments += ["--output", str(specification), *settings]
    assert main(["kubeflow", "compile", str(shopping.dataset), *arguments]) == 0

    # What the specification does not name is elsewhere.
    data = folder / "bucket" / "data"
    shutil.copytree(shopping.dataset, data)
    pipeline = kfp.components.load_component_from_file(str(specification))
    local.init(runner=local.DockerRunner(), pipeline_root=str(folder / "bucket" / "root"))
    with (
        Containers(trainer_image, folder / "containers") as containers,
        mock.patch("kfp.local.docker_task_handler.run_docker_container", containers.run_docker_container),
        mock.patch("docker.from_env"),
    ):
        pipeline(
            data=str(data),
            model_destination=str(folder / "bucket" / "serving"),
            text_cache=str(folder / "bucket" / "cache"),
        )
    return folder, containers


def test_specification_runs_from_tables_to_a_pushed_model(cluster: Any) -> None:
    folder, containers = cluster

    (version,) = (folder / "bucket" / "serving" / "tandem").iterdir()
    assert (version / "saved_model.pb").exists()
    executors = [ran.removeprefix("components.") for ran in containers.ran]
    assert len(executors) == 19
    for executor in ("trainer.Executor", "serving_validator.ServingValidator_Executor", "pusher.Executor"):
        assert executor in executors


def test_nothing_is_left_where_containers_ran(cluster: Any) -> None:
    folder, _ = cluster

    assert not [path for path in (folder / "containers").glob("*/**/*") if path.is_file()]


def test_answers_equal_those_of_the_local_run(cluster: Any, shopping: Run, shopping_client: Client) -> None:
    folder, _ = cluster
    query = (shopping.dataset / "queries.tsv").read_text().splitlines()[1].split("\t")[1]
    served = folder / "bucket" / "serving" / "tandem"

    with ServerProcess(served) as server, Client(server.address, timeout_s=60) as client:
        (ours,), (theirs,) = (one.search([query], k=20) for one in (client, shopping_client))
        vectors = [one.embed_query(queries=[query]) for one in (client, shopping_client)]

    assert len(ours) == 20
    assert [result.item_id for result in ours] == [result.item_id for result in theirs]
    scores = [[result.score for result in results] for results in (ours, theirs)]
    for found, expected in (scores, vectors):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
