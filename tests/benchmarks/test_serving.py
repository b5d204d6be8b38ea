"""What the serving benchmark computes of what it measures; ``make bench`` measures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.__main__ import main
from benchmarks.serving.inside import shares
from benchmarks.serving.load import Ask, Clients, Measured
from benchmarks.serving.sizes import main as main_of_sizes
from benchmarks.serving.sizes import recall
from benchmarks.serving.tables import (
    ENCODER,
    IDLE,
    PEER_ENCODER,
    CatalogueResult,
    served_table,
    where_time_goes_table,
)
from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer
from tests.serving import tiny_model


def test_time_is_split_among_what_runs_and_adds_up() -> None:
    spans = [("encode", 0, 10), ("history", 4, 8), ("history", 4, 8), ("rank", 12, 13)]

    split = shares(spans)

    assert split["encode"] == pytest.approx(4 + 4 / 3 + 2)
    assert split["history"] == pytest.approx(8 / 3)
    assert (split[IDLE], split["rank"]) == (2, 1)
    assert sum(split.values()) == pytest.approx(13)


def _measured(latencies_ms: list[float]) -> Measured:
    return Measured(latencies_ms=np.array(latencies_ms), seconds=2.0, client_cpu_ms=0.5)


def test_tables_say_who_is_ahead_and_where_time_goes() -> None:
    served = {
        (operation, 1): {"tandem": _measured([10.0] * 200), "peer": _measured([20.0] * 100)}
        for operation in ("search", "recommend", "rank")
    }
    session = {"latencies_ms": [8.0], "cpu_ms": 7.0, "num_ops": 900, "parts": {"encode": 0.75, IDLE: 0.25}}
    result = CatalogueResult(
        name="sample",
        served=served,
        called={ENCODER: [5.0], PEER_ENCODER: [4.0], "search": [9.0], "recommend": [9.0], "rank": [9.0]},
        session=dict.fromkeys(("search", "recommend", "rank"), session),
    )

    assert "| sample | search | 1 | 10.0 | 10.0 | 10.0 | 100 | 20.0 | 20.0 | 20.0 | 50 | 2.00 | 2.00 |" in (
        served_table([result])
    )
    parts = where_time_goes_table(result)
    assert "| encode | 6.00 | 6.00 | 6.00 |" in parts
    assert "| of which CPU | 7.00 | 7.00 | 7.00 |" in parts
    assert "| ops that run, number | 900 | 900 | 900 |" in parts
    assert "| protocol | 2.00 | 2.00 | 2.00 |" in parts
    assert "| served ÷ encoder alone | 2.00 | 2.00 | 2.00 |" in parts


def test_recall_counts_what_scores_as_high_as_what_is_due() -> None:
    due = np.array([[3.0, 2.0, 2.0], [5.0, 4.0, 1.0]])

    assert recall(due, due) == 1.0
    assert recall(np.array([[3.0, 2.0, 1.0], [4.0, 1.0, 0.5]]), due) == pytest.approx(4 / 6)


@pytest.mark.parametrize("sizes", ["sample", "2000,many"])
def test_size_that_is_no_number_is_refused(sizes: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_of_sizes(["no such model", "--sizes", sizes]) == 2
    assert "A size must be" in capsys.readouterr().err


def test_rounds_are_joined() -> None:
    joined = Measured.joined([_measured([1.0, 3.0]), _measured([5.0])])

    assert (joined.percentile(50), joined.per_second) == (3.0, 0.75)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("model")
    tiny_model.write(path / "1")
    server = ModelServer(
        ServerConfig(model_base_path=str(path), model_name="tandem", host="localhost", port=0)
    )
    server.start()
    yield f"localhost:{server.port}"
    server.stop()


def test_clients_of_several_processes_measure(address: str) -> None:
    asks = [Ask(query="mug", history=["apron"], candidates=["fork", "dish"])]
    with Clients(2) as clients:
        measured = clients.measure("tandem", address, "rank", asks, clients=2, seconds=0.5)

        assert measured.seconds == 0.5
        assert 0 < measured.percentile(50) <= measured.percentile(99)
        with pytest.raises(RuntimeError, match="Every request must be answered"):
            clients.measure("tandem", "localhost:1", "rank", asks, clients=1, seconds=0.1)


def test_a_size_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--sizes", "sample,many"]) == 2
    assert "'many'" in capsys.readouterr().err
