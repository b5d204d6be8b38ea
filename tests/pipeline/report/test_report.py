import dataclasses
from pathlib import Path

import pytest

from dataset.errors import DataError
from pipeline.report.report import DATA_FILE, NodeCost, ReportData
from tests.pipeline.report.small_report import small_report


def test_a_report_survives_the_file(tmp_path: Path) -> None:
    small_report().save(tmp_path)
    assert ReportData.load(tmp_path) == small_report()


def test_nan_is_not_written() -> None:
    node = NodeCost(node="Trainer", wall_time_s=float("nan"), peak_memory_mb=None, is_cached=False)
    with pytest.raises(ValueError, match="not JSON compliant"):
        dataclasses.replace(small_report(), nodes=(node,)).to_json()


def test_a_folder_without_a_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"must hold a finished run. Got no {DATA_FILE}"):
        ReportData.load(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["{", "[]", '{"dataset": "x"}', '{"unknown": 1}'])
def test_a_file_that_is_no_report_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / DATA_FILE).write_text(text)
    with pytest.raises(DataError, match="must be a report of this version"):
        ReportData.load(tmp_path)
