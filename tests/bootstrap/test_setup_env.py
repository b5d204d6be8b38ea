import platform
import sys
from pathlib import Path

import pytest
import setup_env
from edit_elf import RepairError

PYTHON = Path(sys.executable)


def test_stamp_holds_only_for_the_same_files(tmp_path: Path) -> None:
    lock, stamp = tmp_path / "lock", tmp_path / "stamp"
    lock.write_text("a==1")
    assert not setup_env.is_made_from(stamp, setup_env.digest(lock))

    stamp.write_text(setup_env.digest(lock))
    assert setup_env.is_made_from(stamp, setup_env.digest(lock))

    lock.write_text("a==2")
    assert not setup_env.is_made_from(stamp, setup_env.digest(lock))


def test_mirror_and_certificate_of_pip_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("PIP_CERT", "/etc/company.pem")
    for name in setup_env.PIP_TO_UV.values():
        monkeypatch.delenv(name, raising=False)

    environment = setup_env.installer_environment(PYTHON)

    assert environment["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert environment["SSL_CERT_FILE"] == "/etc/company.pem"


def test_setting_of_uv_goes_before_that_of_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://other.example/simple")

    assert setup_env.installer_environment(PYTHON)["UV_DEFAULT_INDEX"] == "https://other.example/simple"


def test_python_without_a_lock_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_env, "LOCK", tmp_path / "lock-3.13.txt")

    with pytest.raises(RepairError, match=r"Python must be 3\.11 or 3\.12"):
        setup_env.check_machine()


def test_other_processor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")

    with pytest.raises(RepairError, match="Linux on aarch64"):
        setup_env.check_machine()


def test_direct_dependencies_are_locked_at_the_version_asked_for() -> None:
    for name in ("requirements.in", "dev.in"):
        for line in (setup_env.PROJECT / "requirements" / name).read_text(encoding="utf-8").splitlines():
            pin = line.partition("#")[0].strip().lower()
            if pin:
                for python in ("3.11", "3.12"):
                    lock = (setup_env.PROJECT / f"requirements/lock-{python}.txt").read_text(encoding="utf-8")
                    assert f"\n{pin} \\\n" in lock or f"\n{pin}==" in lock, (pin, python)
