import base64
import hashlib
import zipfile
from pathlib import Path

import pytest
import repair_wheels
from edit_elf import RepairError
from repair_wheels import KnownWheel, repair_wheel

from tests.bootstrap.tiny_elf import NEEDED, SYMBOLS, TinyElf


def wheel_of(module: bytes, folder: Path) -> Path:
    path = folder / f"tiny-1.0-cp311-cp311-{repair_wheels.BUILT_TAG}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny/extension.so", module)
        wheel.writestr("tiny-1.0.dist-info/WHEEL", f"Tag: cp311-cp311-{repair_wheels.BUILT_TAG}\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "out of date")
    return path


def know(monkeypatch: pytest.MonkeyPatch, wheel: Path, *, repaired_sha256: str, edits: int = 3) -> None:
    known = KnownWheel(
        name="tiny", built_sha256=repair_wheels.sha256(wheel), repaired_sha256=repaired_sha256, edits=edits
    )
    monkeypatch.setitem(repair_wheels.KNOWN_WHEELS, "tiny-1.0-cp311-cp311", known)


def repaired_digest(monkeypatch: pytest.MonkeyPatch, wheel: Path, folder: Path) -> str:
    """What the repair of a wheel comes out as, taken from its refusal of any other digest."""
    know(monkeypatch, wheel, repaired_sha256="unknown")
    with pytest.raises(RepairError) as refusal:
        repair_wheel(wheel, folder)
    return str(refusal.value).rstrip(".").split()[-1]


def test_repaired_wheel_has_a_lower_tag_and_a_true_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = wheel_of(bytes(TinyElf(SYMBOLS, NEEDED).data), tmp_path)
    digest = repaired_digest(monkeypatch, source, tmp_path / "out")
    know(monkeypatch, source, repaired_sha256=digest)

    target = repair_wheel(source, tmp_path / "out")

    assert target.name == "tiny-1.0-cp311-cp311-manylinux_2_34_x86_64.whl"
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    with zipfile.ZipFile(target) as wheel:
        assert wheel.read("tiny-1.0.dist-info/WHEEL") == b"Tag: cp311-cp311-manylinux_2_34_x86_64\n"
        for line in wheel.read("tiny-1.0.dist-info/RECORD").decode().splitlines()[:-1]:
            name, recorded, size = line.split(",")
            content = wheel.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            assert (recorded, int(size)) == (f"sha256={expected}", len(content))


def test_wheel_that_does_not_come_out_as_recorded_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = wheel_of(bytes(TinyElf(SYMBOLS, NEEDED).data), tmp_path)
    know(monkeypatch, source, repaired_sha256="0" * 64)

    with pytest.raises(RepairError, match="must have sha256 0000"):
        repair_wheel(source, tmp_path / "out")

    assert list((tmp_path / "out").iterdir()) == []


def test_wheel_with_another_number_of_edits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = wheel_of(bytes(TinyElf(SYMBOLS, NEEDED).data), tmp_path)
    know(monkeypatch, source, repaired_sha256="", edits=4)

    with pytest.raises(RepairError, match=r"must need 4 edits\. Got 3"):
        repair_wheel(source, tmp_path / "out")


def test_unknown_wheel_is_refused_with_its_digest(tmp_path: Path) -> None:
    source = wheel_of(b"", tmp_path)

    with pytest.raises(RepairError, match=f"Got {source.name} with sha256 {repair_wheels.sha256(source)}"):
        repair_wheel(source, tmp_path / "out")


def test_locked_requirement_is_the_pin_with_its_hashes() -> None:
    lock = "a-b==1.0 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2\n    # via c\n"
    lock += "a==2.0 \\\n    --hash=sha256:3\n"

    assert (
        repair_wheels.locked_requirement(lock, "a-b")
        == "a-b==1.0 \\\n    --hash=sha256:1 \\\n    --hash=sha256:2"
    )
    assert repair_wheels.locked_requirement(lock, "a") == "a==2.0 \\\n    --hash=sha256:3"
    with pytest.raises(RepairError, match="must name b"):
        repair_wheels.locked_requirement(lock, "b")


def test_new_c_library_needs_no_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair_wheels, "c_library_version", lambda: (2, 39))

    assert repair_wheels.repaired_wheels(tmp_path / "no-lock", tmp_path) == {}


def test_c_library_too_old_for_the_repaired_wheels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repair_wheels, "c_library_version", lambda: (2, 31))

    with pytest.raises(RepairError, match=r"need glibc 2\.34 or newer\. Got 2\.31"):
        repair_wheels.repaired_wheels(tmp_path / "no-lock", tmp_path)


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_lock_pins_the_wheels_that_the_repair_knows(python: str) -> None:
    project = Path(repair_wheels.__file__).parents[1]
    lock = (project / f"requirements/lock-{python}.txt").read_text(encoding="utf-8")

    for stem, known in repair_wheels.KNOWN_WHEELS.items():
        if stem.endswith(f"cp{python.replace('.', '')}"):
            assert known.built_sha256 in repair_wheels.locked_requirement(lock, known.name)


def test_metadata_store_reads_what_it_wrote() -> None:
    import ml_metadata
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.fake_database.SetInParent()
    store = ml_metadata.MetadataStore(config)
    kind = metadata_store_pb2.ArtifactType(name="Model", properties={"version": metadata_store_pb2.INT})
    model = metadata_store_pb2.Artifact(type_id=store.put_artifact_type(kind), uri="models/1")
    model.properties["version"].int_value = 7

    (model_id,) = store.put_artifacts([model])

    (stored,) = store.get_artifacts_by_id([model_id])
    assert (stored.uri, stored.properties["version"].int_value) == ("models/1", 7)
    with pytest.raises(ml_metadata.errors.NotFoundError):  # A C++ exception crosses the repaired module.
        store.get_artifact_type("Unknown")


@pytest.mark.slow
def test_data_validation_reads_numbers_through_the_stand_ins(tmp_path: Path) -> None:
    import pandas
    import tensorflow_data_validation as tfdv

    frame = pandas.DataFrame({"price": [1, 2, 3], "name": ["a", "b", "b"]})

    statistics = tfdv.generate_statistics_from_dataframe(frame)

    assert statistics.datasets[0].num_examples == 3
    anomalies = tfdv.validate_statistics(statistics, tfdv.infer_schema(statistics))
    assert not anomalies.anomaly_info
