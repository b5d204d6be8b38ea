from __future__ import annotations

import time
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.pusher import Executor, push_version
from tests.components.in_memory import artifact


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "variables" / "variables.index").write_bytes(b"weights")
    return folder


def test_version_holds_the_whole_model(model: Path, tmp_path: Path) -> None:
    version = Path(push_version(str(model), str(tmp_path / "serving" / "tandem")))

    assert version.parent == tmp_path / "serving" / "tandem"
    assert version.name.isdecimal()
    assert (version / "saved_model.pb").read_bytes() == b"graph"
    assert (version / "variables" / "variables.index").read_bytes() == b"weights"
    assert [path.name for path in version.parent.iterdir()] == [version.name]


def test_versions_increase_even_within_a_second(model: Path, tmp_path: Path) -> None:
    versions = [int(Path(push_version(str(model), str(tmp_path / "base"))).name) for _ in range(3)]

    assert versions == sorted(set(versions))


def test_version_is_above_one_from_the_future(model: Path, tmp_path: Path) -> None:
    (tmp_path / "base" / "9999999999").mkdir(parents=True)

    assert Path(push_version(str(model), str(tmp_path / "base"))).name == "10000000000"


def test_version_appears_whole(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "base"
    copied = []

    def copy_and_look(source: str, target: str) -> None:
        Path(target).mkdir()
        copied.append([path.name for path in base.iterdir() if path.name.isdecimal()])
        raise OSError("the disk is full")

    monkeypatch.setattr("components.pusher.io_utils.copy_dir", copy_and_look)
    with pytest.raises(OSError, match="disk is full"):
        push_version(str(model), str(base))
    monkeypatch.undo()

    assert copied == [[]]
    assert not [path for path in base.iterdir() if path.name.isdecimal()]
    assert Path(push_version(str(model), str(base))).is_dir()


def test_what_killed_pushes_left_goes_and_a_push_under_way_stays(model: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    under_way = f".partial-{int(time.time()) - 60}"
    for name in ("1700000000", ".partial-1700000001", under_way, ".partial-mine", "notes"):
        (base / name / "variables").mkdir(parents=True)

    version = Path(push_version(str(model), str(base)))

    left = {path.name for path in base.iterdir()}
    assert left == {"1700000000", under_way, ".partial-mine", "notes", version.name}


def _push(folder: Path, destination: Path) -> str:
    blessing = artifact(standard_artifacts.InfraBlessing, folder / "blessing")
    blessing.set_int_custom_property("blessed", 1)
    pushed = artifact(standard_artifacts.PushedModel, folder / "pushed")
    inputs = {"model": [artifact(standard_artifacts.Model, folder)], "infra_blessing": [blessing]}
    Executor().Do(inputs, {"pushed_model": [pushed]}, {"destination": str(destination)})
    return str(pushed.get_string_custom_property("pushed_version"))


def test_model_is_pushed_once_unless_another_was_pushed_since(tmp_path: Path) -> None:
    for name in ("one", "other"):
        saved = tmp_path / name / "Format-Serving"
        saved.mkdir(parents=True)
        (saved / "fingerprint.pb").write_text(name)

    versions = [_push(tmp_path / name, tmp_path / "serving") for name in ("one", "one", "other", "one")]

    assert versions[0] == versions[1]
    assert len(set(versions)) == 3
    assert sorted(path.name for path in (tmp_path / "serving" / "tandem").iterdir()) == sorted(set(versions))


def test_version_that_is_not_whole_is_pushed_again(tmp_path: Path) -> None:
    saved = tmp_path / "one" / "Format-Serving"
    saved.mkdir(parents=True)
    for name in ("fingerprint.pb", "saved_model.pb"):
        (saved / name).write_text("one")
    first = _push(tmp_path / "one", tmp_path / "serving")
    (tmp_path / "serving" / "tandem" / first / "saved_model.pb").unlink()

    second = _push(tmp_path / "one", tmp_path / "serving")

    assert second != first
    assert (tmp_path / "serving" / "tandem" / second / "saved_model.pb").exists()
