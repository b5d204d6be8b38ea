from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.cli.main import main
from tests.serving import graphs

SCANN = graphs.node("Scann>ScannSearch", inputs=["vector"])
WEBP = graphs.node("DecodeWebP", inputs=["contents"])


def test_table_names_every_op_and_ends_in_a_sentence(
    model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(model_path)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(model_path)
    assert lines[2].split() == ["op", "count", "from", "first", "version", "problem"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[3:-2]}
    assert rows["TopKV2"] == ["5", "TensorFlow", "2.16"]
    assert lines[-1].startswith("The model loads in stock TF Serving 2.16 and later")


def test_problems_come_last_with_the_versions_that_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = (WEBP, SCANN, graphs.node("ZerosLike", inputs=["a"], T=tf.half), graphs.node("NoOp"))

    main(["doctor", str(graphs.write(tmp_path, *nodes, min_consumer=2000))])

    lines = capsys.readouterr().out.splitlines()[3:]
    assert [line.split()[0] for line in lines[:4]] == ["NoOp", "ZerosLike", "DecodeWebP", "Scann>ScannSearch"]
    assert lines[2].endswith("2.20           2.16–2.19: no such op that runs on a CPU")
    assert lines[3].endswith("none           2.16–2.20: no such op that runs on a CPU")
    assert lines[4].startswith("The graph: 2.16: the graph refuses readers of GraphDef version 1766")


def test_json_holds_all_that_the_table_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", str(graphs.write(tmp_path, WEBP, graphs.node("NoOp"))), "--json"])

    report = json.loads(capsys.readouterr().out)
    assert report["versions"] == ["2.20"]
    assert report["first_version"] == "2.20"
    assert [(op["op"], op["from"], op["count"]) for op in report["ops"]] == [
        ("DecodeWebP", "TensorFlow", 1),
        ("NoOp", "TensorFlow", 1),
    ]
    assert list(report["ops"][0]["problems"]) == ["2.16", "2.17", "2.18", "2.19"]


@pytest.mark.parametrize(("version", "code"), [("2.19", 3), ("2.20", 0)])
def test_exit_code_tells_whether_the_version_asked_about_can_load_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, code: int
) -> None:
    graphs.write(tmp_path, WEBP)

    assert main(["doctor", str(tmp_path), "--tf-serving-version", version]) == code
    assert ("DecodeWebP" in capsys.readouterr().err) is (code == 3)


def test_newest_version_is_read_of_a_folder_of_versions_and_of_a_run(
    tmp_path: Path, model_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    versions = tmp_path / "run" / "serving" / "tandem"
    graphs.write(versions / "9", SCANN)
    versions.joinpath("10").mkdir()
    shutil.copy(model_path / "saved_model.pb", versions / "10")

    for folder in (versions, tmp_path / "run"):
        assert main(["doctor", str(folder)]) == 0
        assert capsys.readouterr().out.startswith(f"{versions / '10'}\n")


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_folder_without_a_model_is_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "empty").mkdir()

    assert main(["doctor", str(tmp_path / name)]) == 2
    assert str(tmp_path / name) in capsys.readouterr().err


def test_broken_model_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"not a graph")

    assert main(["doctor", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("tandem: ")


def test_version_that_is_not_known_is_a_mistake(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(model_path), "--tf-serving-version", "1.15"]) == 2
    assert "2.16, 2.17, 2.18, 2.19, 2.20" in capsys.readouterr().err


def test_it_does_without_tensorflow(model_path: Path) -> None:
    code = (
        "import sys; from pipeline.cli.main import main; "
        f"code = main(['doctor', {str(model_path)!r}]); sys.exit(code or 'tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
