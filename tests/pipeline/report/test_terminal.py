from pathlib import Path

import pytest

from dataset.errors import DataError
from pipeline.report.terminal import print_report
from tests.pipeline.report.small_report import small_report


def test_the_main_table_is_aligned_and_the_report_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_report().save(tmp_path)
    assert print_report(tmp_path) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    head = next(line for line in lines if "NOVEL recall@20" in line)
    ours = next(line for line in lines if line.startswith("> tandem"))
    assert len(head) == len(ours)
    assert "*0.123" in ours
    assert str(tmp_path / "report.html") in out
    assert "Drift since the last span: In item_id of events one value's share has changed by 21.3%.\n" in out
    assert "Skew, newest window against training: value of interactions has moved.\n" in out


def test_a_missing_report_is_a_mistake_of_the_person(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold a finished run"):
        print_report(tmp_path)
