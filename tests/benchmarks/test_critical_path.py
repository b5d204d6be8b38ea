from __future__ import annotations

from benchmarks.critical_path import critical_path


def test_longest_chain_is_found_through_the_later_of_two_nodes() -> None:
    upstream = {"a": [], "b": [], "join": ["a", "b"], "side": ["a"], "end": ["join", "side"]}

    path = critical_path({"a": 3.0, "b": 2.0, "join": 1.0, "side": 4.0, "end": 1.0}, upstream)

    assert path == ["a", "side", "end"]


def test_node_that_never_ran_takes_no_time() -> None:
    assert critical_path({"a": 1.0, "c": 1.0}, {"a": [], "new": ["a"], "c": ["new"]}) == ["a", "new", "c"]
