"""Versions as they come and go under a server that is being asked."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from serving.client import Client
from serving.server.model_server import ModelServer, StartError
from tests.serving.conftest import Publish


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _states(client: Client) -> dict[int, str]:
    return {version.version: version.state for version in client.status()}


def test_hot_swap_under_load_fails_no_request(
    base_path: Path, publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(1)
    server = start_server()
    done = threading.Event()
    failures: list[Exception] = []
    counts = [0, 0, 0]

    def ask(number: int) -> None:
        with Client(f"localhost:{server.port}") as client:
            while not done.is_set():
                try:
                    assert len(client.search(["hello"], k=3)[0]) == 3
                    counts[number] += 1
                except Exception as error:
                    failures.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    with Client(f"localhost:{server.port}") as client:
        for version in (2, 3):
            publish(version)
            _wait_for(lambda: _states(client).get(version) == "AVAILABLE")  # noqa: B023  called at once
        _wait_for(lambda: _states(client) == {3: "AVAILABLE", 2: "END", 1: "END"})
        assert list(_states(client)) == [3, 2, 1]
    done.set()
    for thread in threads:
        thread.join()

    assert failures == []
    assert min(counts) > 10


def test_broken_version_ends_while_the_old_one_serves(
    publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(1)
    server = start_server()

    publish(2, broken=True)

    with Client(f"localhost:{server.port}") as client:
        _wait_for(lambda: _states(client).get(2) == "END")
        newest, oldest = client.status()
        assert newest.error != ""
        assert oldest.state == "AVAILABLE"
        assert len(client.search(["hello"], k=2)[0]) == 2

        publish(3)
        _wait_for(lambda: _states(client) == {3: "AVAILABLE", 2: "END", 1: "END"})


def test_half_copied_version_is_not_there_until_it_is_complete(
    base_path: Path, model_path: Path, publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(1)
    server = start_server()
    shutil.copytree(model_path, base_path / "2", ignore=shutil.ignore_patterns("saved_model.pb"))

    with Client(f"localhost:{server.port}") as client:
        time.sleep(0.3)
        assert _states(client) == {1: "AVAILABLE"}

        shutil.copy(model_path / "saved_model.pb", base_path / "2" / "copying")
        (base_path / "2" / "copying").rename(base_path / "2" / "saved_model.pb")
        _wait_for(lambda: _states(client) == {2: "AVAILABLE", 1: "END"})


def test_request_under_way_keeps_its_version_until_it_is_done(
    publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(1)
    server = start_server()
    with Client(f"localhost:{server.port}") as client:
        answers: list[object] = []
        slow = threading.Thread(
            target=lambda: answers.append(client.predict("wait", {"seconds": np.array([2.5])}))
        )
        slow.start()
        time.sleep(0.2)

        publish(2)

        _wait_for(lambda: _states(client).get(2) == "AVAILABLE")
        _wait_for(lambda: _states(client)[1] == "UNLOADING")
        assert len(client.search(["hello"], k=2)[0]) == 2
        slow.join()
        assert len(answers) == 1
        _wait_for(lambda: _states(client)[1] == "END")


def test_older_version_comes_back_when_the_newer_one_is_withdrawn(
    base_path: Path, publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(1)
    publish(2)
    server = start_server()

    with Client(f"localhost:{server.port}") as client:
        assert _states(client) == {2: "AVAILABLE"}
        (base_path / "2").rename(base_path / ".withdrawn")
        _wait_for(lambda: _states(client) == {2: "END", 1: "AVAILABLE"})


def test_names_that_are_not_numbers_are_ignored(
    base_path: Path, publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(7)
    (base_path / "7").rename(base_path / "00000007")
    shutil.copytree(base_path / "00000007", base_path / "8-new")
    (base_path / "README").write_text("9")

    with Client(f"localhost:{start_server().port}") as client:
        assert _states(client) == {7: "AVAILABLE"}


def test_vanished_base_path_unloads_nothing(
    base_path: Path, publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(1)
    server = start_server()
    base_path.rename(base_path.with_name("elsewhere"))
    time.sleep(0.3)

    with Client(f"localhost:{server.port}") as client:
        assert _states(client) == {1: "AVAILABLE"}
        base_path.mkdir()
        _wait_for(lambda: _states(client) == {1: "END"})


def test_only_version_that_cannot_be_loaded_stops_the_start(
    publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(4, broken=True)

    with pytest.raises(
        StartError,
        match=r"UNKNOWN: 1 servable\(s\) did not become available: \{\{\{name: tandem version: 4\} due",
    ):
        start_server()
