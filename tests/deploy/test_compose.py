from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.deploy.files import COMPOSE, DEPLOY

SERVICES = COMPOSE["services"]


def check(path: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sysconfig.get_path("scripts")) / "check-jsonschema"
    command = [str(tool), "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_compose_file_is_valid() -> None:
    checked = check(DEPLOY / "compose.yaml")

    assert checked.returncode == 0, checked.stdout


def test_validation_refuses_a_misspelt_key(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("services: {a: {imagee: b}}")

    assert check(path).returncode == 1


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_to_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", SERVICES)
def test_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in service


def test_every_mounted_file_is_there() -> None:
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith("./") or (DEPLOY / source).exists()


def test_gateway_waits_for_the_server_and_asks_it() -> None:
    gateway = SERVICES["gateway"]

    assert gateway["depends_on"] == {"server": {"condition": "service_healthy"}}
    assert "--server=server:8500" in gateway["command"]
