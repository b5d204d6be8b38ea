from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from dataset.manifest import load_manifest
from models.config import TrainConfig
from pipeline.beam import BeamConfig
from pipeline.comparison.record import VariantRecord, record_path
from pipeline.config import Config
from tests.pipeline.comparison.small_records import make_record
from tests.tiny_dataset import Write


def test_record_survives_its_files(tmp_path: Path) -> None:
    record, path = make_record([0.5, np.nan], [0.25]), tmp_path / "records" / "one.json"

    record.save(path)
    read = VariantRecord.load(path)

    assert read is not None
    assert dataclasses.replace(read, values=record.values) == record
    assert read.values.known("search", "ndcg@10").tolist() == [0.5]
    assert read.values.known("novel", "ndcg@10").tolist() == [0.25]


@pytest.mark.parametrize("damage", ["json", "npz", "version"])
def test_record_that_is_not_whole_counts_as_none(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "one.json"
    make_record([0.5]).save(path)
    if damage == "npz":
        path.with_suffix(".npz").unlink()
    else:
        path.write_text("{" if damage == "json" else '{"is_blessed": true}')

    assert VariantRecord.load(path) is None


def test_record_is_of_settings_that_matter_on_the_data_as_they_are(dataset: Write, tmp_path: Path) -> None:
    folder = dataset()
    manifest, records = load_manifest(folder), tmp_path / "records"

    def path(config: Config = Config(), forgotten: tuple[str, ...] = ()) -> Path | None:  # noqa: B008 (frozen)
        return record_path(records, manifest, config, forgotten)

    before = path()
    assert before is not None
    assert before.parent == records
    assert path(Config(beam=BeamConfig(options=("--direct_num_workers=1",)))) == before
    assert path(Config(train=TrainConfig(seed=18))) != before
    assert path(forgotten=("00ff",)) != before

    (folder / "schema").mkdir()
    (folder / "schema" / "items.pbtxt").write_text("")
    with_schema = path()
    assert with_schema != before
    os.utime(folder / "items.csv", ns=(0, 0))
    assert path() not in (before, with_schema)


def test_tables_elsewhere_have_no_record_to_go_by(
    dataset: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = load_manifest(dataset())
    monkeypatch.setattr("pipeline.comparison.record.files_read", lambda manifest, table: [f"gs://b/{table}"])

    assert record_path(tmp_path, manifest, Config(), ()) is None
