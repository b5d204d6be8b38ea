from __future__ import annotations

from pathlib import Path

import numpy as np

from dataset.findings import Findings
from models.interaction_summary import Summary


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    findings = Findings(rows={"events": 7})

    Summary(findings=findings, starts=(10, 20), item_counts=np.array([3, 0, 4])).save(str(tmp_path))

    loaded = Summary.load(str(tmp_path))
    assert loaded.findings.to_json() == findings.to_json()
    assert loaded.starts == (10, 20)
    np.testing.assert_array_equal(loaded.item_counts, [3, 0, 4])
