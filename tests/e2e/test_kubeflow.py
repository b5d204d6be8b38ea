"""The compiled specification runs: every container's command, in what an image has, to a pushed servable.

There is no cluster here. The kfp SDK orchestrates, as it does for people who try a pipeline on their own
machine; where it would ask Docker for a container, `containers` runs the container's command. The dataset has
every kind of table, so that every node has all its inputs.
"""

from __future__ import annotations

import csv
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import kfp
import numpy as np
import pytest
from kfp import local

from pipeline.cli.main import main
from serving.client import Client
from serving.process import ServerProcess
from tests.deploy.image import Image
from tests.e2e import slices
from tests.e2e.conftest import SMALL, Run, prepare
from tests.e2e.containers import Containers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """A pipeline that ran twice.

    Attributes:
        here: The run on this machine.
        folder: Of the containers and of the bucket.
        ran: The class path of each container's executor.
    """

    here: Run
    folder: Path
    ran: list[str]

    @property
    def model_dir(self) -> Path:
        return self.folder / "bucket" / "serving" / "tandem"


@pytest.fixture(scope="module")
def cluster(trainer_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """The slice's pipeline, compiled and run in containers, while it also runs as on one machine."""
    folder = tmp_path_factory.mktemp("cluster")
    here = prepare(folder, slices.write_every_table)
    encoder = trainer_image.root / "opt" / "encoder"
    shutil.copytree(here.encoder, encoder)
    settings = [argument for one in (*SMALL, f"model.encoder={encoder}") for argument in ("--set", one)]
    specification = folder / "pipeline.yaml"
    arguments = ["--pipeline-root", "gs://bucket/root", "--image", "tandem-trainer:0.1.0"]
    arguments += ["--output", str(specification), *settings]
    assert main(["kubeflow", "compile", str(here.dataset), *arguments]) == 0

    # What the specification does not name is elsewhere.
    data = folder / "bucket" / "data"
    shutil.copytree(here.dataset, data)
    pipeline = kfp.components.load_component_from_file(str(specification))
    local.init(runner=local.DockerRunner(), pipeline_root=str(folder / "bucket" / "root"))
    with (
        here.start() as process,
        Containers(trainer_image, folder / "containers") as containers,
        mock.patch("kfp.local.docker_task_handler.run_docker_container", containers.run_docker_container),
        mock.patch("docker.from_env"),
    ):
        pipeline(
            data=str(data),
            model_destination=str(folder / "bucket" / "serving"),
            text_cache=str(folder / "bucket" / "cache"),
        )
        output, _ = process.communicate()
    assert process.returncode == 0, output + here.errors
    return Cluster(here=here, folder=folder, ran=containers.ran)


def test_specification_runs_from_tables_to_a_pushed_model(cluster: Cluster) -> None:
    (version,) = cluster.model_dir.iterdir()

    assert (version / "saved_model.pb").exists()
    executors = [ran.removeprefix("components.") for ran in cluster.ran]
    assert len(executors) == 30
    for executor in ("trainer.Executor", "serving_validator.ServingValidator_Executor", "pusher.Executor"):
        assert executor in executors


def test_nothing_is_left_where_containers_ran(cluster: Cluster) -> None:
    assert not [path for path in (cluster.folder / "containers").glob("*/**/*") if path.is_file()]


def test_answers_equal_those_of_the_local_run(cluster: Cluster) -> None:
    users, items, (query, *_) = (
        _column(cluster.here.dataset / f"{table}.csv") for table in ("users", "items", "judgments")
    )
    asked: list[Callable[[Client], Any]] = [
        lambda client: client.search([query], k=20),
        lambda client: client.search([query], user_ids=users[:1], k=20),
        lambda client: client.recommend(user_ids=users[:8], k=20),
        lambda client: client.recommend(histories=[items[:2]], k=20),
    ]

    answers = []
    for model_dir in (cluster.model_dir, cluster.here.model_dir):
        with ServerProcess(model_dir) as server, Client(server.address, timeout_s=60) as client:
            found = [result for ask in asked for results in ask(client) for result in results]
            answers.append((found, client.embed_query(queries=[query], user_ids=users[:1])))

    (ours, our_vector), (theirs, their_vector) = answers
    assert len(ours) == 11 * 20
    assert [result.item_id for result in ours] == [result.item_id for result in theirs]
    our_scores, their_scores = ([result.score for result in results] for results in (ours, theirs))
    np.testing.assert_allclose(our_scores, their_scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(our_vector, their_vector, rtol=1e-4, atol=1e-5)


def _column(file: Path) -> list[str]:
    """The first column."""
    with file.open(newline="") as lines:
        return [row[0] for row in csv.reader(lines)][1:]
