from __future__ import annotations

import io

import pytest

from dataset.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that Progress sees, set by its only element."""
    now = [0.0]
    monkeypatch.setattr("dataset.progress.time.monotonic", lambda: now[0])
    return now


def test_rest_is_estimated_from_what_is_done(clock: list[float]) -> None:
    stream = Terminal()
    progress = Progress(stream, total=100)

    clock[0] = 10.0
    progress.add(25)

    assert stream.getvalue() == "\r   25%, about 30 s left"


def test_short_work_and_files_show_nothing(clock: list[float]) -> None:
    for stream, seconds in ((Terminal(), 0.1), (io.StringIO(), 10.0)):
        progress = Progress(stream, total=100)
        clock[0] += seconds
        progress.add(25)
        progress.clear()

        assert stream.getvalue() == ""


def test_cleared_line_leaves_nothing_behind(clock: list[float]) -> None:
    stream = Terminal()
    progress = Progress(stream, total=100)
    clock[0] = 1.0
    progress.add(50)
    written = len(stream.getvalue()) - 1

    progress.clear()

    assert stream.getvalue().endswith("\r" + " " * written + "\r")
