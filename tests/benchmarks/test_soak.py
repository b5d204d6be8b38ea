"""The soak: that its checks see what is wrong, and its shortened form on the tiny model."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from benchmarks.serving.load import Ask
from benchmarks.soak.__main__ import Soak
from benchmarks.soak.answers import is_same, make_questions
from benchmarks.soak.fuzz import fuzzed_requests
from benchmarks.soak.load import Journal, Versions
from benchmarks.soak.report import Lives, Report
from serving.client import messages
from serving.client.results import Result
from tests.serving import tiny_model

ASKS = [
    Ask(query="mug", history=["apron"], candidates=["fork", "dish", "easel"]),
    Ask(query="réd mug", history=["dish", "easel"], candidates=["apron", "nothing"]),
]


def _results(*scored: tuple[str, float]) -> list[Result]:
    return [Result(item_id=item, score=score, title="", channel_scores=()) for item, score in scored]


@pytest.mark.parametrize(
    ("got", "same"),
    [
        ([("a", 0.9), ("b", 0.5), ("c", 0.5)], True),
        ([("a", 0.900001), ("c", 0.5), ("b", 0.5)], True),
        # A fourth item with the score of the last.
        ([("a", 0.9), ("b", 0.5), ("d", 0.5)], True),
        ([("b", 0.9), ("a", 0.5), ("c", 0.5)], False),
        ([("a", 0.9), ("b", 0.5)], False),
        ([("a", 0.9), ("b", 0.5), ("c", 0.4)], False),
        ([("d", 0.9), ("b", 0.5), ("c", 0.5)], False),
    ],
)
def test_answers_are_the_same_but_for_rounding_and_ties(got: list[tuple[str, float]], same: bool) -> None:
    assert is_same([("a", 0.9), ("b", 0.5), ("c", 0.5)], got) is same


def test_answer_of_another_version_or_of_an_outdated_one_is_wrong() -> None:
    versions = Versions([[_results(("a", 1.0))], [_results(("b", 2.0))]])
    versions.add(10, 0)
    versions.add(11, 1)

    assert versions.is_right(0, 10, [("a", 1.0)], oldest=0)
    assert not versions.is_right(0, 11, [("a", 1.0)], oldest=0)
    assert not versions.is_right(0, 10, [("a", 1.0)], oldest=11)
    assert not versions.is_right(0, 12, [("a", 1.0)], oldest=0)
    assert versions.is_right_of_any(0, [("b", 2.0)], oldest=11)
    assert not versions.is_right_of_any(0, [("a", 1.0)], oldest=11)


def test_only_what_met_a_killed_server_may_be_lost() -> None:
    journal, lives = Journal(), Lives()
    now = time.monotonic()
    lives.killed, lives.ready, lives.rss_mb = [now - 10], [now - 20, now - 5], [[], []]
    journal.failed("search", now - 11, "in flight")
    journal.failed("search", now - 7, "down")
    report = Report(
        seconds=20,
        journal=journal,
        lives=lives,
        pushed={1: now - 20},
        answered={1: 5},
        last_version=1,
        num_connected=3,
        num_connections=3,
        num_fuzzed=0,
        last_words="",
    )
    assert report.problems() == []

    journal.failed("rank", now, "lost")
    journal.was_wrong("an answer")

    assert report.problems() == ["wrong: an answer", "lost: rank: lost"]
    assert "| lost requests | 1 |" in report.markdown()


def test_process_that_ends_by_itself_is_a_crash_and_a_killed_one_is_not() -> None:
    lives = Lives()
    for is_told in (True, False):
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            lives.begin(process.pid)
            lives.sample()
            if is_told:
                lives.end()
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            for _ in range(3):
                lives.sample()

    assert lives.crashes == 1
    assert [len(samples) for samples in lives.rss_mb] == [1, 1]


def test_fuzzed_requests_are_reproducible_and_of_both_kinds() -> None:
    requests = [question.call.request for question in make_questions(ASKS)]
    fuzzed = list(itertools.islice(fuzzed_requests(requests, seed=3), 300))

    assert fuzzed == list(itertools.islice(fuzzed_requests(requests, seed=3), 300))
    readable = 0
    for content in fuzzed:
        try:
            messages.PredictRequest.FromString(content)
            readable += 1
        except DecodeError:
            pass
    assert 100 < readable < 300


@pytest.mark.slow
def test_server_survives_a_short_soak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = [tmp_path / f"variant-{seed}" for seed in range(3)]
    for seed, variant in enumerate(variants):
        vectors = np.random.default_rng(seed).normal(size=tiny_model.VECTORS.shape)
        monkeypatch.setattr(tiny_model, "VECTORS", vectors.astype(np.float32))
        tiny_model.write(variant)
    base = tmp_path / "tandem"
    base.mkdir()
    soak = Soak(
        variants,
        make_questions(ASKS),
        base=base,
        seconds=20.0,
        push_every_s=2.5,
        num_fuzzed=400,
        num_connections=200,
    )

    report = soak.run()

    assert report.problems() == []
    assert len(report.pushed) == 8
    assert (
        min(report.journal.answers[kind] for kind in ("search", "recommend", "similar", "rank", "REST")) > 20
    )
    assert len(report.lives.killed) == 1
