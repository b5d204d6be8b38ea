from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serving.web.cli import add_arguments
from serving.web.server import _DRAIN_S as DRAIN_S
from tests.deploy.files import COMPOSE, DEPLOY, ROOT, container_of, instructions, manifest

LOCKED = DEPLOY / "gateway" / "requirements.txt"


def entries(lock: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Each package of a lock with its version and its hashes."""
    found = re.findall(r"^([\w.-]+)==(\S+).*\n((?:    --hash=.*\n)+)", lock.read_text(encoding="utf-8"), re.M)
    return {name: (version, frozenset(re.findall(r"sha256:\w+", hashes))) for name, version, hashes in found}


def test_image_installs_the_files_the_project_is_tested_with() -> None:
    project = entries(ROOT / "requirements" / "lock-3.11.txt")
    gateway = entries(LOCKED)

    assert gateway
    assert all(project[name] == entry for name, entry in gateway.items())


def test_gateway_needs_no_package_that_its_image_does_not_have() -> None:
    command = [sys.executable, "-m", "tests.deploy.only_locked", *entries(LOCKED)]

    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert made.stdout == "made False\n", made.stderr


def test_gateway_needs_fastapi() -> None:
    command = [sys.executable, "-m", "tests.deploy.only_locked", *(entries(LOCKED).keys() - {"fastapi"})]

    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert "No module named 'fastapi'" in made.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        container_of("tandem-gateway")["args"],
        COMPOSE["services"]["gateway"]["command"],
    ],
    ids=["kubernetes", "compose"],
)
def test_gateway_understands_its_arguments(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    parsed = parser.parse_args(arguments)

    assert parsed.host == "0.0.0.0"
    assert parsed.keys
    assert parsed.model_dir == Path("/models/tandem")


def test_port_is_the_gateway_s_own() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    port = parser.parse_args([]).port

    exposed = [rest for name, rest in instructions(DEPLOY / "gateway" / "Dockerfile") if name == "EXPOSE"]
    assert exposed == [str(port)]
    assert [found["containerPort"] for found in container_of("tandem-gateway")["ports"]] == [port]


def test_pod_outlives_the_answers_under_way() -> None:
    spec = manifest("Deployment", "tandem-gateway")["spec"]["template"]["spec"]
    before_stop_s = container_of("tandem-gateway")["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert before_stop_s + DRAIN_S < spec["terminationGracePeriodSeconds"]
