from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from dataset.errors import DataError
from dataset.manifest import load_manifest
from pipeline import local
from tests.tiny_dataset import EVENTS, Write

ROOT = Path(__file__).parents[2]

# The command, which at its end tells what heavy packages it imported.
COMMAND = """
import atexit, sys
from pipeline.cli.main import command
heavy = {"tfx", "tensorflow", "keras", "apache_beam"}
atexit.register(lambda: print("imported:", *heavy & set(sys.modules), flush=True))
command()
"""


def _run(dataset: Path, workdir: Path, *overrides: str) -> int:
    return local.run(load_manifest(dataset), workdir=workdir, overrides=overrides)


@pytest.mark.parametrize("place", ["file/runs", "file", "/proc/runs"])
def test_working_folder_must_be_writable(dataset: Write, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    workdir = tmp_path / place

    with pytest.raises(DataError) as error:
        _run(dataset(), workdir)

    assert str(error.value).startswith(f"The working folder {workdir} must be writable. Got: ")
    assert str(error.value).endswith("choose another with --workdir.")


def test_disk_must_have_room(dataset: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(free=100 << 20))

    with pytest.raises(DataError) as error:
        _run(dataset(), tmp_path / "run")

    assert str(error.value) == (
        f"The disk of {tmp_path / 'run'} must have 1,024 MB free. Got 100 MB; make room, or choose another "
        "folder with --workdir."
    )


def test_folder_in_use_says_by_whom_and_is_left_unharmed(dataset: Write, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from pipeline.local import held\n"
            "with held(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()",
            str(workdir),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        (workdir / "precious").write_text("of the other run")
        before = {path.name: path.read_bytes() for path in workdir.iterdir()}

        for _ in range(2):
            with pytest.raises(
                DataError, match=rf"in use by another run\. Got one by process {holder.pid} since "
            ):
                _run(dataset(), workdir)

        assert {path.name: path.read_bytes() for path in workdir.iterdir()} == before
    finally:
        holder.stdin.close()
        holder.wait(10)
        holder.stdout.close()


def test_folder_of_a_run_that_was_killed_is_free(dataset: Write, tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    code = (
        "import os, signal, sys; from pathlib import Path; from pipeline.local import held\n"
        "with held(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(workdir)], cwd=ROOT, check=False)
    assert (workdir / ".lock").exists()

    with local.held(workdir):
        assert f"process {os.getpid()} " in (workdir / ".lock").read_text()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.epoch=1", 'unknown key "train.epoch"; did you mean "epochs"?'),
        ("train.epochs=0", "train.epochs must be at least 1. Got 0."),
        ("epochs=1", "--set must be of the form section.key=value."),
    ],
)
def test_mistake_in_the_configuration_leaves_no_trace(
    dataset: Write, tmp_path: Path, override: str, sentence: str
) -> None:
    with pytest.raises(DataError) as error:
        _run(dataset(), tmp_path / "run", override)

    assert sentence in str(error.value)
    assert not (tmp_path / "run").exists()


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, "run", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (
            {"events__csv": EVENTS.replace("2024-01-02 10:00", "yesterday")},
            ("events.csv", "row 2", '"at"', "yesterday"),
        ),
        ({"events__csv": EVENTS.replace("001", "999")}, ("events.csv", "rows 1, 4", '"sku"', "999")),
        ({"items__csv": "sku,name\n1,a\n"}, ("items.csv", "title")),
        ({"items__csv": "sku,title,price\n1,a,2\n2,b,3,4\n"}, ("items.csv", "row 2")),
        ({"events__csv": ""}, ("events.csv",)),
    ],
)
def test_bad_data_stop_the_run_before_anything_heavy_is_imported(
    dataset: Write, tmp_path: Path, files: dict[str, str], named: tuple[str, ...]
) -> None:
    done = _command(str(dataset(**files)), "--workdir", str(tmp_path / "run"))

    assert done.returncode == 2, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["imported:"]
    (sentence,) = done.stderr.splitlines()
    assert all(part in sentence for part in named), sentence


def test_encoder_that_is_not_there_stops_the_run_early(dataset: Write, tmp_path: Path) -> None:
    done = _command(str(dataset()), "--workdir", str(tmp_path / "run"), "--set", "model.encoder=./nowhere")

    assert done.returncode == 2
    assert done.stdout.splitlines()[-1].split() == ["imported:"]
    assert done.stderr == (
        "tandem: The encoder must be an existing folder or the name of a preset. Got './nowhere'.\n"
    )
