from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kfp
import pytest
import yaml

from dataset.errors import DataError
from pipeline.cli.main import main
from pipeline.kubeflow import runs
from tests.pipeline.kubeflow.kfp_server import KfpServer

SPECIFICATION = {
    "pipelineInfo": {"name": "shop"},
    "schemaVersion": "2.1.0",
    "sdkVersion": "tfx-1.21.0",
    "deploymentSpec": {"executors": {"exec-a": {"container": {"image": "trainer"}}}},
    "components": {"comp-a": {"executorLabel": "exec-a"}},
    "root": {
        "dag": {"tasks": {"a": {"taskInfo": {"name": "a"}, "componentRef": {"name": "comp-a"}}}},
        "inputDefinitions": {
            "parameters": {
                "data": {"parameterType": "STRING"},
                "model_destination": {
                    "parameterType": "STRING",
                    "defaultValue": "gs://b/serving",
                    "isOptional": True,
                },
            }
        },
    },
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KfpServer]:
    monkeypatch.setenv("HOME", str(tmp_path))
    # The client's settings of whoever runs the tests.
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with KfpServer() as server:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", server.url)
        yield server


@pytest.fixture
def specification(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump(SPECIFICATION))
    return path


def _submit(specification: Path, *arguments: str) -> int:
    return main(["kubeflow", "submit", str(specification), "--parameter", "data=gs://b/data", *arguments])


def test_first_submission_uploads_the_file_and_runs_it(
    server: KfpServer, specification: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _submit(
        specification, "--experiment", "autumn", "--run-name", "first", "--pipeline-root", "gs://b/other"
    )

    assert code == 0
    assert "Run run-1." in capsys.readouterr().out
    ((version, pipeline, content),) = server.versions
    assert yaml.safe_load(content) == SPECIFICATION
    (run,) = server.runs
    assert run["display_name"] == "first"
    assert run["experiment_id"] == server.experiments["autumn"]
    assert run["pipeline_version_reference"] == {"pipeline_id": pipeline, "pipeline_version_id": version}
    assert run["runtime_config"]["parameters"] == {"data": "gs://b/data"}
    assert run["runtime_config"]["pipeline_root"] == "gs://b/other"


def test_second_submission_runs_a_new_version_of_the_same_pipeline(
    server: KfpServer, specification: Path
) -> None:
    assert _submit(specification) == _submit(specification) == 0

    assert list(server.pipelines) == ["shop"]
    assert len(server.versions) == 2
    ran = [run["pipeline_version_reference"]["pipeline_version_id"] for run in server.runs]
    assert ran == [version for version, _, _ in server.versions]
    assert list(server.experiments) == ["Default"]


@pytest.mark.parametrize("place", ["flag", "environment"])
def test_token_of_the_usual_places_is_sent(
    server: KfpServer, specification: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    server.token = "secret"
    token = tmp_path / "token"
    token.write_text("secret")

    if place == "environment":
        monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
        assert _submit(specification) == 0
    else:
        assert _submit(specification, "--token", str(token)) == 0

    assert len(server.runs) == 1


def _fails(capsys: pytest.CaptureFixture[str], code: int) -> str:
    assert code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_refusal_is_one_sentence_with_the_servers_reason(
    server: KfpServer, specification: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.token = "secret"

    said = _fails(capsys, _submit(specification))

    assert said.endswith("Got: 401 Unauthorized: no valid token.\n")
    assert not server.versions


def test_cluster_that_is_not_there_is_one_sentence(
    specification: Path, capsys: pytest.CaptureFixture[str], server: KfpServer
) -> None:
    server.__exit__()

    said = _fails(capsys, _submit(specification, "--host", server.url))

    assert f"Kubeflow's API must answer at {server.url}." in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--parameter", "date=1"], "--parameter must be one of data, model_destination. Got 'date'."),
        (["--parameter", "data"], "--parameter must be of the form NAME=VALUE. Got 'data'."),
        ([], "A run must be given data. Got no value; add --parameter data=…"),
        (
            ["--parameter", "data=x", "--token", "/no/such"],
            "--token must be a file that holds a token. Got /no/such.",
        ),
    ],
)
def test_mistake_uploads_nothing(
    server: KfpServer,
    specification: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    said = _fails(capsys, main(["kubeflow", "submit", str(specification), *arguments]))

    assert said == f"tandem: {sentence}\n"
    assert not server.versions


@pytest.mark.parametrize("content", ["[1, 2]", "a: {", "root: {}", ""])
def test_other_files_are_no_specification(
    server: KfpServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(content)

    said = _fails(capsys, main(["kubeflow", "submit", str(path)]))

    assert "must be what `tandem kubeflow compile` writes" in said


def _run(state: str, **tasks: str) -> dict[str, Any]:
    details = [
        {
            "display_name": name.replace("_", "-"),
            "state": task,
            "create_time": f"2026-01-01T00:00:{i:02}Z",
            **({"error": {"message": "out of memory"}} if task == "FAILED" else {}),
        }
        for i, (name, task) in enumerate(tasks.items())
    ]
    return {"run_id": "run-1", "state": state, "run_details": {"task_details": details}}


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_status_follows_the_tasks_to_the_end(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.progress = [
        _run("RUNNING", root="RUNNING", a_driver="SUCCEEDED", a="RUNNING"),
        _run("RUNNING", root="RUNNING", a_driver="SUCCEEDED", a="SUCCEEDED", b="PENDING"),
        _run("SUCCEEDED", root="SUCCEEDED", a_driver="SUCCEEDED", a="SUCCEEDED", b="SUCCEEDED"),
    ]

    code = runs.show_status(runs.Cluster(), "run-1", poll_s=0.0)

    assert code == 0
    assert _lines(capsys) == [
        "a RUNNING",
        "a SUCCEEDED",
        "b PENDING",
        "b SUCCEEDED",
        "Run run-1 succeeded.",
    ]


def test_failed_run_is_exit_code_1_with_the_reason(
    server: KfpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.progress = [_run("FAILED", a="SUCCEEDED", b="FAILED")]

    assert main(["kubeflow", "status", "run-1"]) == 1
    assert _lines(capsys) == ["a SUCCEEDED", "b FAILED: out of memory", "Run run-1 failed"]


@pytest.mark.parametrize("dropped", [[503], [502, 504], [0, 0, 0, 0, 0]])
def test_dropped_looks_do_not_end_the_status(
    server: KfpServer, capsys: pytest.CaptureFixture[str], dropped: list[int]
) -> None:
    server.progress = [_run("RUNNING", a="RUNNING"), *dropped, _run("SUCCEEDED", a="SUCCEEDED")]

    assert runs.show_status(runs.Cluster(), "run-1", poll_s=0.0) == 0
    assert _lines(capsys) == ["a RUNNING", "a SUCCEEDED", "Run run-1 succeeded."]


@pytest.mark.parametrize(("dropped", "said"), [(503, "Got: 503 Service Unavailable"), (0, "must answer at")])
def test_status_ends_where_every_look_is_dropped(server: KfpServer, dropped: int, said: str) -> None:
    server.progress = [_run("RUNNING", a="RUNNING"), dropped]

    with pytest.raises(DataError, match=said):
        runs.show_status(runs.Cluster(), "run-1", poll_s=0.0)


def test_mistake_does_not_wait(server: KfpServer) -> None:
    server.progress = [503, _run("SUCCEEDED")]

    with pytest.raises(DataError, match="503"):
        runs.show_status(runs.Cluster(), "run-1")


def test_unknown_run_is_one_sentence(server: KfpServer, capsys: pytest.CaptureFixture[str]) -> None:
    said = _fails(capsys, main(["kubeflow", "status", "no-run"]))

    assert said.endswith("Got: 404 Not Found: /runs/no-run not found.\n")
