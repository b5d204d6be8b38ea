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
from serving.client.errors import ModelNotFoundError
from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer, StartError
from tests.serving.conftest import Publish
from tests.serving.server.light_models import wait_until


def _states(client: Client) -> dict[int, str]:
    return {version.version: version.state for version in client.status()}


def test_hot_swap_and_new_models_under_load_fail_no_request(
    base_path: Path, model_path: Path, publish: Publish
) -> None:
    publish(1)
    other = base_path.with_name("other")
    other.mkdir()
    (other / "1").symlink_to(model_path)
    config_file = base_path.with_name("models.config")

    def list_models(*paths: Path) -> None:
        models = "".join(
            f'config {{ name: "{path.name}" base_path: "{path}" model_platform: "tensorflow" }}'
            for path in paths
        )
        config_file.with_suffix(".new").write_text(f"model_config_list {{ {models} }}")
        config_file.with_suffix(".new").rename(config_file)

    list_models(base_path)
    server = ModelServer(
        ServerConfig(
            model_config_file=config_file,
            model_config_file_poll_wait_seconds=0.05,
            host="localhost",
            port=0,
            file_system_poll_wait_seconds=0.05,
            num_load_threads=1,
        )
    )
    server.start()
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

    threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    with (
        Client(f"localhost:{server.port}") as client,
        Client(f"localhost:{server.port}", model_name="other") as added,
    ):
        publish(2)
        list_models(other, base_path)
        wait_until(lambda: _states(client) == {2: "AVAILABLE", 1: "END"})
        wait_until(lambda: _is_listed(added))
        publish(3)
        wait_until(lambda: _states(added) == {1: "AVAILABLE"})
        list_models(base_path)
        wait_until(lambda: _states(client) == {3: "AVAILABLE", 2: "END", 1: "END"})
        wait_until(lambda: _states(added) == {1: "END"})
        assert list(_states(client)) == [3, 2, 1]
    done.set()
    for thread in threads:
        thread.join()
    server.stop()

    assert failures == []
    assert min(counts) > 10


def _is_listed(client: Client) -> bool:
    try:
        return bool(client.status())
    except ModelNotFoundError:
        return False


def test_broken_version_ends_while_the_old_one_serves(
    publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(1)
    server = start_server()

    publish(2, broken=True)

    with Client(f"localhost:{server.port}") as client:
        wait_until(lambda: _states(client).get(2) == "END")
        newest, oldest = client.status()
        assert newest.error != ""
        assert oldest.state == "AVAILABLE"
        assert len(client.search(["hello"], k=2)[0]) == 2

        publish(3)
        wait_until(lambda: _states(client) == {3: "AVAILABLE", 2: "END", 1: "END"})


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
        wait_until(lambda: _states(client) == {2: "AVAILABLE", 1: "END"})


def test_request_under_way_keeps_its_version_until_it_is_done(
    publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(1)
    server = start_server()
    with Client(f"localhost:{server.port}") as client:
        assert _states(client) == {1: "AVAILABLE"}
        answers: list[object] = []
        slow = threading.Thread(
            target=lambda: answers.append(client.predict("wait", {"seconds": np.array([2.5])}))
        )
        slow.start()
        time.sleep(0.5)

        publish(2)

        wait_until(lambda: _states(client).get(2) == "AVAILABLE")
        assert len(client.search(["hello"], k=2)[0]) == 2
        slow.join()
        assert len(answers) == 1
        wait_until(lambda: _states(client)[1] == "END")


def test_only_version_that_cannot_be_loaded_stops_the_start(
    publish: Publish, start_server: Callable[[], ModelServer]
) -> None:
    publish(4, broken=True)

    with pytest.raises(
        StartError,
        match=r"UNKNOWN: 1 servable\(s\) did not become available: \{\{\{name: tandem version: 4\} due",
    ):
        start_server()


def test_stop_while_a_model_is_loaded_ends_the_start(base_path: Path, publish: Publish) -> None:
    publish(1)
    server = ModelServer(
        ServerConfig(model_base_path=base_path, model_name="tandem", host="localhost", port=0)
    )
    errors: list[StartError] = []

    def start() -> None:
        try:
            server.start()
        except StartError as error:
            errors.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    time.sleep(0.05)

    server.stop()

    starting.join(10)
    assert [str(error).partition(":")[0] for error in errors] == ["CANCELLED"]


@pytest.mark.parametrize("allowed", [False, True])
def test_label_of_the_first_configuration_needs_a_flag(
    base_path: Path, publish: Publish, allowed: bool
) -> None:
    publish(6)
    config_file = base_path.with_name("models.config")
    config_file.write_text(
        f'model_config_list {{ config {{ name: "tandem" base_path: "{base_path}" '
        'model_platform: "tensorflow" version_labels { key: "stable" value: 6 } } }'
    )
    server = ModelServer(
        ServerConfig(
            model_config_file=config_file,
            host="localhost",
            port=0,
            allow_version_labels_for_unavailable_models=allowed,
        )
    )
    try:
        if allowed:
            server.start()
            with Client(f"localhost:{server.port}", version_label="stable") as client:
                assert len(client.search(["hello"], k=2)[0]) == 2
        else:
            with pytest.raises(StartError) as error:
                server.start()
            assert str(error.value) == (
                "FAILED_PRECONDITION: Request to assign label to version 6 of model tandem, "
                "which is not currently available for inference"
            )
    finally:
        server.stop()
