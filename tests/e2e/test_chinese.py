"""A catalogue in Chinese, by the multilingual encoder and pairs of characters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.pretrained import MULTILINGUAL_ENCODER
from serving.client import Client
from serving.compatibility.check import check_compatibility
from serving.process import ServerProcess
from tests.e2e.conftest import ROOT, Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_red_mug_is_found(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(ROOT / "samples" / "chinese_shop", dataset)
    run = Run(dataset=dataset, workdir=tmp_path / "run", encoder=MULTILINGUAL_ENCODER)

    finished = run.finish(settings=("model.max_text_tokens=64",))

    assert "unknown_tokens" not in finished.output
    (version,) = run.versions
    assert check_compatibility(run.model_dir / version).versions[0] == "2.16"
    with ServerProcess(run.model_dir) as server, Client(server.address, timeout_s=120) as client:
        mugs, reading, english = client.search(["红色咖啡杯", "看书用的灯", "red coffee mug"], k=5)
    assert mugs[0].title == "红色陶瓷咖啡杯 300毫升"
    # The words "for reading" are in no title; and no article has a word of English.
    assert sum("台灯" in result.title for result in reading) >= 4
    assert all("杯" in result.title for result in english[:3])
