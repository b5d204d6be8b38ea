"""One finished run a sample, shared by every test that only looks at it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from serving.client import Client
from serving.process import ServerProcess
from tests.e2e import slices

ROOT = Path(__file__).parents[2]
SMALL = (
    "model.max_text_tokens=16",
    "model.max_query_tokens=12",
    "model.behaviour_dim=16",
    "model.history_dim=16",
    "model.max_history=20",
    "train.epochs=1",
    "train.judgment_epochs=1",
    "train.recommender_epochs=1",
    "train.recommender_users=40",
    "train.uniform_negatives=64",
    "serve.num_candidates=50",
    "serve.query_encoder=encoder",
    # A model this small may be as bad as it likes.
    "serve.max_latency_ms=10000",
    "evaluation.min_ratio_to_best_baseline=0",
    "evaluation.min_cold_ratio=0",
    "evaluation.min_ratio_to_zero_shot=0",
    "evaluation.max_loss_to_blessed=1",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A dataset and where it runs.

    Attributes:
        dataset: Its folder.
        workdir: The run's folder.
        encoder: A local preset.
        output: What the finished run printed.
    """

    dataset: Path
    workdir: Path
    encoder: str
    output: str = ""

    @property
    def model_dir(self) -> Path:
        return self.workdir / "serving" / "tandem"

    @property
    def versions(self) -> list[str]:
        return sorted(path.name for path in self.model_dir.iterdir())

    @property
    def errors(self) -> str:
        """What the command that was started last wrote to standard error."""
        return (self.dataset / "stderr.txt").read_text()

    def start(
        self, command: str = "run", settings: Sequence[str] = (), variants: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """The command in a process of its own, its standard output in a pipe and the rest in a file."""
        arguments = [command, str(self.dataset), "--workdir", str(self.workdir), "--debug"]
        if variants:
            arguments += ["--variants", *variants]
        if command in ("run", "compare"):
            for one in (*SMALL, f"model.encoder={self.encoder}", *settings):
                arguments += ["--set", one]
        # What is shown in tests as an error is shown to nobody in a run.
        environment = os.environ | {"PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT)}
        with (self.dataset / "stderr.txt").open("w") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "pipeline.cli", *arguments],
                cwd=self.dataset,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def finish(
        self,
        command: str = "run",
        settings: Sequence[str] = (),
        codes: Sequence[int] = (0,),
        variants: Sequence[str] = (),
    ) -> Run:
        """Runs to the end."""
        process = self.start(command, settings, variants)
        output, _ = process.communicate()
        assert process.returncode in codes, output + self.errors
        return dataclasses.replace(self, output=output)


def prepare(folder: Path, write: Callable[[Path], None]) -> Run:
    """A dataset, and an encoder for it."""
    dataset = folder / "dataset"
    dataset.mkdir()
    write(dataset)
    encoder = slices.write_encoder(folder / "encoder", dataset)
    return Run(dataset=dataset, workdir=folder / "run", encoder=encoder)


@pytest.fixture(scope="session")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Recommendation from a log of purchases. Its folder is not to be changed."""
    return prepare(tmp_path_factory.mktemp("retail"), slices.write_online_retail).finish()


@pytest.fixture(scope="session")
def shopping(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Search from judgments. Its folder is not to be changed."""
    return prepare(tmp_path_factory.mktemp("shopping"), slices.write_shopping_queries).finish()


def _served(run: Run) -> Iterator[Client]:
    with ServerProcess(run.model_dir) as server, Client(server.address, timeout_s=60) as client:
        yield client


@pytest.fixture(scope="session")
def retail_client(retail: Run) -> Iterator[Client]:
    yield from _served(retail)


@pytest.fixture(scope="session")
def shopping_client(shopping: Run) -> Iterator[Client]:
    yield from _served(shopping)
