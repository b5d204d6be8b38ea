from __future__ import annotations

from serving.server.versions.states import State, StateMonitor, VersionState

_UP = VersionState(state=State.AVAILABLE)
_FAILED = VersionState(state=State.END, error_code=2, error_message="broken")


def test_versions_are_listed_from_the_highest_and_stay_for_ever() -> None:
    states = StateMonitor()
    for version in (2, 10, 1):
        states.publish("m", version, _UP)
    states.publish("m", 2, VersionState(state=State.END))

    assert list(states.versions("m")) == [10, 2, 1]
    assert states.versions("m")[2].state is State.END
    assert states.versions("other") == {}


def test_no_models_have_arrived_at_once() -> None:
    with StateMonitor().arrivals([]) as arrivals:
        assert arrivals.wait(still_wanted=lambda: False) == {}


def test_every_model_must_have_arrived() -> None:
    states = StateMonitor()
    with states.arrivals(["a", "b"]) as arrivals:
        states.publish("a", 1, _UP)
        states.publish("b", 1, VersionState(state=State.LOADING))
        assert arrivals.wait(still_wanted=lambda: False) is None

        states.publish("b", 1, _FAILED)
        assert arrivals.wait(still_wanted=lambda: False) == {"a": (1, _UP), "b": (1, _FAILED)}


def test_arrival_counts_even_when_the_version_is_gone_by_the_time_somebody_looks() -> None:
    states = StateMonitor()
    with states.arrivals(["m"]) as arrivals:
        states.publish("m", 1, _UP)
        states.publish("m", 1, VersionState(state=State.UNLOADING))

        assert arrivals.wait(still_wanted=lambda: False) == {"m": (1, _UP)}


def test_highest_version_decides_on_a_model() -> None:
    states = StateMonitor()
    with states.arrivals(["m", "late"]) as arrivals:
        states.publish("m", 1, _UP)
        states.publish("m", 2, _FAILED)
        states.publish("late", 1, _UP)

        assert arrivals.wait(still_wanted=lambda: False) == {"m": (2, _FAILED), "late": (1, _UP)}


def test_states_of_before_and_healthy_ends_do_not_count() -> None:
    states = StateMonitor()
    states.publish("m", 1, _FAILED)
    with states.arrivals(["m"]) as arrivals:
        states.publish("m", 1, VersionState(state=State.END))

        assert arrivals.wait(still_wanted=lambda: False) is None
