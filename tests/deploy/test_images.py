from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
from repair_wheels import BUILT_FOR

from tests.deploy.files import COMPOSE, DEPLOY, DOCKERFILES, KUSTOMIZATION, ROOT, instructions, pods
from tests.deploy.image import Image

# A name, three numbers at least, and the digest once it is known.
PINNED = re.compile(r"[a-z0-9./_-]+:v?\d+\.\d+\.\d+[A-Za-z0-9._-]*(@sha256:[0-9a-f]{64})?")
PYTHON_IMAGE = r"python:(?P<version>(?P<python>\d+\.\d+)\.\d+)-(slim-)?(?P<system>[a-z]+)(@.*)?"
GLIBC = {"trixie": (2, 41)}
# These stay in the trainer, being small, but do nothing there.
TEST_TOOLS = {"axe-playwright-python", "pytest-timeout", "schemathesis"}
OWN_IMAGE = re.compile(r"tandem-[a-z]+:(?P<version>.+)")


def image_references() -> list[str]:
    references = [container["image"] for _, pod in pods() for container in pod["containers"]]
    references += [service["image"] for service in COMPOSE["services"].values()]
    references += [f"{image['newName']}:{image['newTag']}" for image in KUSTOMIZATION["images"]]
    for dockerfile in DOCKERFILES:
        stages = {"scratch"}
        for name, rest in instructions(dockerfile):
            words = rest.split()
            if name == "FROM":
                references += {words[0]} - stages
                stages.add(words[-1])
            references += {found for found in re.findall(r"--from=(\S+)", rest) if found not in stages}
    return references


@pytest.mark.parametrize("reference", sorted(set(image_references())))
def test_image_is_pinned_to_one_version(reference: str) -> None:
    assert PINNED.fullmatch(reference)


@pytest.mark.parametrize(
    "reference",
    [
        "tensorflow/serving",
        "tensorflow/serving:latest",
        "python:3.11-slim-trixie",
        "ubuntu:24.04",
        "grafana/grafana:12",
        "prom/prometheus:main",
        "python:3.11.15@sha256:1234",
    ],
)
def test_floating_reference_is_not_pinned(reference: str) -> None:
    assert not PINNED.fullmatch(reference)


def test_every_file_s_images_are_looked_at() -> None:
    names = {reference.partition(":")[0] for reference in image_references()}

    assert names == {
        "apache/beam_python3.11_sdk",
        "grafana/grafana",
        "prom/prometheus",
        "python",
        "tandem-gateway",
        "tandem-server",
        "tensorflow/serving",
    }


def test_one_image_has_one_version_everywhere() -> None:
    versions = {re.sub(r"-(slim-)?[a-z]+$", "", reference) for reference in image_references()}

    assert len(versions) == len({version.partition(":")[0] for version in versions})


def test_our_own_images_carry_the_project_s_version() -> None:
    found = [OWN_IMAGE.fullmatch(reference) for reference in image_references()]
    version = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text(encoding="utf-8"))

    assert version
    assert {match["version"] for match in found if match} == {version[1]}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfile_passes_the_linter(dockerfile: Path) -> None:
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"

    linted = subprocess.run(
        [hadolint, "--failure-threshold", "style", dockerfile], capture_output=True, text=True, check=False
    )

    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_image_runs_as_somebody_without_rights(dockerfile: Path) -> None:
    users = [rest for name, rest in instructions(dockerfile) if name == "USER"]

    # A number: Kubernetes cannot tell whether a name is root's.
    assert users == ["65532:65532"]


def test_trainer_has_the_python_of_a_lock_and_a_c_library_the_wheels_run_on() -> None:
    bases = [rest.split()[0] for name, rest in instructions(ROOT / "Dockerfile") if name == "FROM"]
    [build, run] = [re.fullmatch(PYTHON_IMAGE, base) for base in bases]

    assert build
    assert run
    # What is compiled in one runs in the other.
    assert (build["version"], build["system"]) == (run["version"], run["system"])
    found = run.groupdict()
    assert (ROOT / "requirements" / f"lock-{found['python']}.txt").exists()
    assert GLIBC[found["system"]] >= BUILT_FOR


def test_trainer_s_beam_worker_is_of_the_beam_and_the_python_that_is_installed() -> None:
    [beam] = [reference for reference in image_references() if reference.startswith("apache/beam")]
    base = next(rest for name, rest in instructions(ROOT / "Dockerfile") if name == "FROM")
    requirements = (ROOT / "requirements" / "requirements.in").read_text(encoding="utf-8")
    version = re.search(r"^apache-beam==(\S+)", requirements, flags=re.MULTILINE)

    assert version
    assert beam == f"apache/beam_python{base.removeprefix('python:')[:4]}_sdk:{version[1]}"


def test_what_the_trainer_leaves_out_only_tests_need() -> None:
    [uninstall] = [rest for name, rest in instructions(ROOT / "Dockerfile") if "pip uninstall" in rest]
    removed = set(uninstall.split(".venv/bin/python")[-1].split())
    needed_by = dependants((ROOT / "requirements" / "lock-3.11.txt").read_text(encoding="utf-8"))

    for tool in removed:
        assert needed_by[tool] <= {*removed, *TEST_TOOLS, "-r requirements/dev.in", ""}, tool


def dependants(lock: str) -> dict[str, set[str]]:
    """Each package of a lock, and what asks for it."""
    found: dict[str, set[str]] = {}
    for line in lock.splitlines():
        if entry := re.match(r"([\w.-]+)==", line):
            found[entry[1]] = needed_by = set()
        elif comment := re.match(r"    # +(?:via$|(?:via )?(.+))", line):
            needed_by.add(comment[1] or "")
    return found


@pytest.mark.parametrize(
    "dockerfile", [ROOT / "Dockerfile", DEPLOY / "gateway" / "Dockerfile"], ids=lambda path: path.parent.name
)
def test_everything_that_is_copied_is_let_through(dockerfile: Path) -> None:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in kept if line.startswith("!")}

    for name, rest in instructions(dockerfile):
        if name == "COPY" and "--from" not in rest:
            for source in rest.split()[:-1]:
                assert source == "." or any(source == one or source.startswith(f"{one}/") for one in allowed)
    assert all((ROOT / one).exists() for one in allowed)


def test_server_s_commands_are_lists_of_arguments() -> None:
    for name, rest in instructions(DEPLOY / "server" / "Dockerfile"):
        if name in ("CMD", "ENTRYPOINT"):
            # A shell in between would be told to stop in the server's place.
            assert all(isinstance(argument, str) for argument in json.loads(rest))


@pytest.mark.slow
def test_trainer_s_steps_make_what_executors_and_beam_workers_start(
    trainer_image: Image, tmp_path: Path
) -> None:
    started = (
        "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
        "apache_beam.runners.worker.sdk_worker_main",
        "components.trainer",
        "models.training",
        "models.preprocessing",
        "serving.server.__main__",
    )
    code = "\n".join(
        [
            *(f"import {module}" for module in started),
            "from models.pretrained import resolve_encoder",
            "print(models.training.__file__, resolve_encoder('minilm'))",
        ]
    )

    done = trainer_image.run(["python", "-c", code], tmp_path / "empty")

    assert done.returncode == 0, done.stderr
    home = trainer_image.root / "opt" / "tandem"
    training, encoder = done.stdout.split()
    assert training == str(home / "models" / "training.py")
    assert encoder.startswith(str(home / "cache"))


@pytest.mark.slow
def test_trainer_s_command_is_there(trainer_image: Image, tmp_path: Path) -> None:
    (command,) = [rest for name, rest in instructions(ROOT / "Dockerfile") if name == "CMD"]

    done = trainer_image.run(json.loads(command), tmp_path / "empty")

    assert done.stdout.startswith("usage: tandem")


def test_keras_2_is_set_for_every_process_of_the_trainer() -> None:
    settings = " ".join(rest for name, rest in instructions(ROOT / "Dockerfile") if name == "ENV")

    assert "TF_USE_LEGACY_KERAS=1" in settings.split()
