from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.grocery import make_log, write_grocer
from benchmarks.training import main


def test_log_of_a_grocer_has_long_histories_and_many_repeats() -> None:
    log = make_log(8_000, num_items=600, seed=1)
    again = make_log(8_000, num_items=600, seed=1)
    pairs = np.unique(np.stack([log.households, log.items]), axis=1)
    baskets = np.unique(np.stack([log.households, log.times]), axis=1)

    assert len(log.items) == pytest.approx(8_000, rel=0.35)
    assert log.households.max() < 25
    assert pairs.shape[1] < 0.6 * len(log.items)
    assert baskets.shape[1] > 30 * (log.households.max() + 1)
    np.testing.assert_array_equal(log.items, again.items)
    np.testing.assert_array_equal(log.times, again.times)


def test_grocer_is_a_data_set_that_is_written_once(tmp_path: Path) -> None:
    manifest = write_grocer(tmp_path / "grocer", 2_000, num_items=300)
    written = (tmp_path / "grocer" / "events.parquet").stat().st_mtime_ns
    events = pq.read_table(tmp_path / "grocer" / "events.parquet")
    items = pq.read_table(tmp_path / "grocer" / "items.parquet")["item"].to_pylist()

    assert manifest.events is not None
    assert set(events["item"].to_pylist()) <= set(items)
    assert write_grocer(tmp_path / "grocer", 2_000, num_items=300) == manifest
    assert (tmp_path / "grocer" / "events.parquet").stat().st_mtime_ns == written


def test_folder_without_a_manifest_is_a_mistake_of_the_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--workdir", str(tmp_path / "runs")]) == 2
    assert "must have a dataset.toml" in capsys.readouterr().err
