from __future__ import annotations

import json
import types
from pathlib import Path

from models.worker import ARGUMENTS_FILE, write_arguments


def test_arguments_are_what_a_worker_needs_and_json_can_hold(tmp_path: Path) -> None:
    plain = {
        "model_run_dir": str(tmp_path / "run"),
        "base_model": None,
        "custom_config": {"encoder": "minilm"},
    }
    write_arguments(types.SimpleNamespace(**plain, data_accessor=object()))

    assert json.loads((tmp_path / "run" / ARGUMENTS_FILE).read_text()) == plain
