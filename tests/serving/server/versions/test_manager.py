"""The order in which versions are loaded and unloaded, with models that load in no time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorflow_serving.apis import predict_pb2

from serving.server.status_error import StatusError
from serving.server.versions.available import ServedModels
from serving.server.versions.manager import VersionManager
from serving.server.versions.states import State
from tests.serving.server.light_models import History, LightLoader, wait_until


class _Rig:
    """A manager and all it works with."""

    def __init__(self, **settings: Any) -> None:
        self.load = LightLoader()
        self.served = ServedModels()
        self.history = History()
        self.manager = VersionManager(
            load=self.load,
            served=self.served,
            states=self.history,
            **{"max_num_load_retries": 0, "load_retry_interval_s": 0.0, **settings},
        )
        self.manager.start()

    def aspire(self, *versions: int, name: str = "m") -> None:
        self.manager.aspire(name, {version: Path(f"/models/{name}/{version}") for version in versions})

    def settle(self, *, name: str = "m", **states: str) -> None:
        """Waits until the model's versions are as given: ``v1="AVAILABLE"``."""
        wanted = {int(version[1:]): state for version, state in states.items()}
        wait_until(lambda: self.history.of(name) == wanted)


@pytest.fixture
def make_rig() -> Iterator[Callable[..., _Rig]]:
    rigs: list[_Rig] = []

    def make(**settings: Any) -> _Rig:
        rigs.append(_Rig(**settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        for gate in rig.load.gates.values():
            gate.set()
        rig.manager.stop(timeout_s=10)


@pytest.fixture
def rig(make_rig: Callable[..., _Rig]) -> _Rig:
    return make_rig()


def test_new_version_is_available_before_the_old_one_is_unloaded(rig: _Rig) -> None:
    rig.aspire(1)
    rig.settle(v1="AVAILABLE")

    rig.aspire(2)
    rig.settle(v1="END", v2="AVAILABLE")

    assert rig.history.events == [
        ("m", 1, State.START),
        ("m", 1, State.LOADING),
        ("m", 1, State.AVAILABLE),
        ("m", 2, State.START),
        ("m", 2, State.LOADING),
        ("m", 2, State.AVAILABLE),
        ("m", 1, State.UNLOADING),
        ("m", 1, State.END),
    ]
    assert set(rig.served.versions("m")) == {2}


def test_highest_aspired_version_is_loaded_first(rig: _Rig) -> None:
    rig.aspire(1, 3, 2)
    rig.settle(v1="AVAILABLE", v2="AVAILABLE", v3="AVAILABLE")

    assert rig.load.attempts == [("m", 3), ("m", 2), ("m", 1)]


def test_nothing_aspired_unloads_the_lowest_first(rig: _Rig) -> None:
    rig.aspire(1, 2, 3)
    rig.settle(v1="AVAILABLE", v2="AVAILABLE", v3="AVAILABLE")

    rig.aspire()
    rig.settle(v1="END", v2="END", v3="END")

    ended = [version for _, version, state in rig.history.events if state is State.END]
    assert ended == [1, 2, 3]
    assert not rig.served.versions("m")


def test_of_two_outdated_versions_one_stays_until_a_new_one_is_ready(rig: _Rig) -> None:
    rig.aspire(1, 2)
    rig.settle(v1="AVAILABLE", v2="AVAILABLE")
    gate = rig.load.gates["m", 3] = threading.Event()

    rig.aspire(3)
    rig.settle(v1="END", v2="AVAILABLE", v3="LOADING")
    gate.set()
    rig.settle(v1="END", v2="END", v3="AVAILABLE")


def test_version_that_fails_leaves_the_old_one_and_is_not_tried_again(rig: _Rig) -> None:
    rig.aspire(1)
    rig.settle(v1="AVAILABLE")
    rig.load.failures["m", 2] = 1

    rig.aspire(2)
    rig.settle(v1="AVAILABLE", v2="END")
    rig.aspire(2)
    time.sleep(0.2)

    assert rig.load.attempts.count(("m", 2)) == 1
    state = rig.history.versions("m")[2]
    assert (state.error_code, state.error_message) == (5, "no op in 2")
    rig.aspire(2, 3)
    rig.settle(v1="END", v2="END", v3="AVAILABLE")


def test_failed_version_is_loaded_again_once_it_was_gone(rig: _Rig) -> None:
    rig.load.failures["m", 1] = 1
    rig.aspire(1)
    rig.settle(v1="END")

    rig.aspire()
    wait_until(lambda: not rig.manager._versions)
    rig.aspire(1)

    rig.settle(v1="AVAILABLE")


def test_failed_load_is_tried_again_while_the_state_stays_loading(make_rig: Callable[..., _Rig]) -> None:
    rig = make_rig(max_num_load_retries=2)
    rig.load.failures["m", 1] = 3

    rig.aspire(1)
    rig.settle(v1="END")

    assert rig.load.attempts == [("m", 1)] * 3
    assert {state for _, _, state in rig.history.events[1:-1]} == {State.LOADING}


def test_retry_succeeds(make_rig: Callable[..., _Rig]) -> None:
    rig = make_rig(max_num_load_retries=1)
    rig.load.failures["m", 1] = 1

    rig.aspire(1)

    rig.settle(v1="AVAILABLE")


def test_other_versions_are_loaded_while_one_waits_for_its_retry(make_rig: Callable[..., _Rig]) -> None:
    rig = make_rig(max_num_load_retries=5, load_retry_interval_s=60.0)
    rig.load.failures["m", 2] = 9

    rig.aspire(1, 2)

    rig.settle(v1="AVAILABLE", v2="LOADING")


def test_version_that_is_gone_is_not_tried_again(make_rig: Callable[..., _Rig]) -> None:
    rig = make_rig(max_num_load_retries=5, load_retry_interval_s=60.0)
    rig.load.failures["m", 1] = 9
    rig.aspire(1)
    wait_until(lambda: rig.load.attempts)

    rig.aspire()

    rig.settle(v1="END")
    assert rig.history.versions("m")[1].error_message == "no op in 1"


@pytest.mark.parametrize(("num_load_threads", "expected"), [(0, 1), (1, 1), (2, 2)])
def test_number_of_load_threads_limits_loads_of_all_models(
    make_rig: Callable[..., _Rig], num_load_threads: int, expected: int
) -> None:
    rig = make_rig(num_load_threads=num_load_threads)
    names = ["a", "b", "c"]
    for name in names:
        rig.load.gates[name, 1] = threading.Event()
        rig.aspire(1, name=name)
    wait_until(lambda: len(rig.load.attempts) == expected)
    time.sleep(0.1)

    for gate in rig.load.gates.values():
        gate.set()
    for name in names:
        rig.settle(name=name, v1="AVAILABLE")

    assert rig.load.most_at_once == expected


def test_number_of_load_threads_can_be_lowered_for_what_comes_next(make_rig: Callable[..., _Rig]) -> None:
    rig = make_rig(num_load_threads=8)
    for name in ("a", "b", "c"):
        rig.load.gates[name, 1] = threading.Event()
        rig.aspire(1, name=name)
    wait_until(lambda: len(rig.load.attempts) == 3)

    rig.manager.set_num_load_threads(0)
    rig.aspire(1, name="d")
    for name in ("a", "b"):
        rig.load.gates[name, 1].set()
        rig.settle(name=name, v1="AVAILABLE")
    assert rig.history.of("d") == {1: "START"}

    rig.load.gates["c", 1].set()
    rig.settle(name="d", v1="AVAILABLE")


def test_without_threads_an_unload_under_way_holds_up_loads(rig: _Rig) -> None:
    rig.aspire(1)
    rig.settle(v1="AVAILABLE")
    model = rig.served.versions("m")[1]
    assert model.retain()
    rig.aspire(2)
    rig.settle(v1="UNLOADING", v2="AVAILABLE")

    rig.aspire(1, name="other")
    time.sleep(0.1)
    assert rig.history.of("other") == {1: "START"}

    model.release()
    rig.settle(name="other", v1="AVAILABLE")


def test_unload_threads_keep_loads_going(make_rig: Callable[..., _Rig]) -> None:
    rig = make_rig(num_unload_threads=1)
    rig.aspire(1)
    rig.settle(v1="AVAILABLE")
    model = rig.served.versions("m")[1]
    assert model.retain()
    rig.aspire(2)
    rig.settle(v1="UNLOADING", v2="AVAILABLE")

    rig.aspire(3)
    rig.settle(v1="UNLOADING", v2="AVAILABLE", v3="AVAILABLE")

    model.release()
    rig.settle(v1="END", v2="END", v3="AVAILABLE")


def test_version_wanted_again_while_it_is_unloaded_is_loaded_anew(make_rig: Callable[..., _Rig]) -> None:
    rig = make_rig(num_unload_threads=1)
    rig.aspire(1)
    rig.settle(v1="AVAILABLE")
    model = rig.served.versions("m")[1]
    assert model.retain()
    rig.aspire()
    rig.settle(v1="UNLOADING")

    rig.aspire(1)
    model.release()

    rig.settle(v1="AVAILABLE")
    assert rig.served.versions("m")[1] is not model
    assert rig.load.attempts == [("m", 1)] * 2


def test_model_that_is_removed_while_it_loads_ends_unloaded(rig: _Rig) -> None:
    gate = rig.load.gates["m", 1] = threading.Event()
    rig.aspire(1)
    rig.settle(v1="LOADING")

    rig.aspire()
    gate.set()

    rig.settle(v1="END")
    assert not rig.served.versions("m")
    wait_until(lambda: not rig.manager._versions)


def test_stop_unloads_everything(rig: _Rig) -> None:
    rig.aspire(1, 2)
    rig.settle(v1="AVAILABLE", v2="AVAILABLE")

    rig.manager.stop(timeout_s=10)

    assert rig.history.of("m") == {1: "END", 2: "END"}


def test_stop_waits_for_a_load_under_way(rig: _Rig) -> None:
    gate = rig.load.gates["m", 1] = threading.Event()
    rig.aspire(1, 2)
    rig.settle(v1="LOADING", v2="AVAILABLE")
    threading.Timer(0.2, gate.set).start()

    rig.manager.stop(timeout_s=10)

    assert rig.history.of("m") == {1: "END", 2: "END"}


def test_stop_gives_up_on_a_load_that_does_not_end(rig: _Rig) -> None:
    rig.load.gates["m", 1] = threading.Event()
    rig.aspire(1)
    rig.settle(v1="LOADING")

    rig.manager.stop(timeout_s=0.1)

    assert rig.history.of("m") == {1: "LOADING"}


def test_nothing_is_loaded_once_stopping_began(rig: _Rig) -> None:
    rig.manager.stop(timeout_s=1)

    rig.aspire(1)
    time.sleep(0.1)

    assert rig.load.attempts == []


def test_versions_that_come_and_go_at_random_end_as_wanted(make_rig: Callable[..., _Rig]) -> None:
    rig = make_rig(num_load_threads=3, num_unload_threads=2)
    done = threading.Event()
    refused: list[StatusError] = []
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "kept"

    def ask() -> None:
        while not done.is_set():
            try:
                with rig.served.use(request):
                    pass
            except StatusError as error:
                refused.append(error)

    rig.aspire(1, name="kept")
    rig.settle(name="kept", v1="AVAILABLE")
    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    for step in range(60):
        rig.aspire(*range(step % 4, step % 7), name="m")
        rig.aspire(step, name="kept")
    done.set()
    for thread in asking:
        thread.join()

    wait_until(lambda: set(rig.served.versions("m")) == set(range(59 % 4, 59 % 7)))
    wait_until(lambda: set(rig.served.versions("kept")) == {59})
    assert refused == []
