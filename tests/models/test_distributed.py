"""Training on several devices gives what one device gives, and workers survive one another."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def start(mode: str, output: Path, **environment: str) -> subprocess.Popen[bytes]:
    output.mkdir(exist_ok=True)
    with (output / f"{mode}-{len(list(output.iterdir()))}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.models.distributed", mode, str(output)],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def logs_of(output: Path) -> str:
    return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(output.glob("*.log")))


def start_workers(output: Path) -> list[subprocess.Popen[bytes]]:
    cluster = {"worker": [f"localhost:{free_port()}" for _ in range(2)]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": i}} for i in range(2)]
    return [start("worker", output, TF_CONFIG=json.dumps(task)) for task in tasks]


def result_of(output: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((output / "result.json").read_text())
    return result


@pytest.fixture(scope="module")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process wrote that had two devices."""
    output = tmp_path_factory.mktemp("one_process")
    assert start("replicas", output).wait() == 0, logs_of(output)
    return output


@pytest.mark.slow
def test_two_replicas_give_what_one_device_gives(one_process: Path) -> None:
    written = np.load(one_process / "replicas.npz")

    names = [name for name in written.files if name.startswith("one_gradient")]
    # Keras adds up the norms of rows that occur several times, so it clips somewhat below one.
    assert 0.8 < sum((written[name] ** 2).sum() for name in names) < 1.0001
    assert sum(written[name].any() for name in names) > 40
    for name in names:
        for replica in (0, 1):
            gradient = written[f"two{name[3:-1]}{replica}"]
            np.testing.assert_allclose(gradient, written[name], atol=1e-5, err_msg=name)
    np.testing.assert_allclose(written["two_losses"], written["one_losses"], rtol=1e-5)


@pytest.mark.slow
def test_killed_worker_costs_no_more_than_its_epoch(one_process: Path, tmp_path: Path) -> None:
    output = tmp_path / "workers"
    workers = start_workers(output)
    while not list(output.glob("backups/refit_events/ckpt-*.index")):
        assert [worker.poll() for worker in workers] == [None, None], logs_of(output)
        time.sleep(0.01)
    # Nobody is left to train with: whoever runs the workers ends all of them, and starts them again.
    for worker in reversed(workers):
        worker.kill()
        worker.wait()
    assert not (output / "result.json").exists()
    assert [worker.wait() for worker in start_workers(output)] == [0, 0], logs_of(output)

    expected, result = result_of(one_process), result_of(output)
    assert expected["first"] == [0, 0]
    # Selected already, and refitted in part.
    assert result["first"][0] == 2
    assert result["first"][1] >= 1
    # The other worker measures what would have it choose another epoch, and takes the chief's.
    chosen = [json.loads(path.read_text()) for path in output.glob("best-*.json")]
    assert chosen == [expected["best"]] * 2
    assert [len(curve["points"]) for curve in result["curves"]] == [2, 3, 4]
    for curve, same in zip(result["curves"], expected["curves"], strict=True):
        np.testing.assert_allclose(curve["points"], same["points"], rtol=1e-4)
    np.testing.assert_allclose(result["weights"], expected["weights"], rtol=1e-3, atol=1e-4)
    assert not (output / "backups").exists()
