"""The set-up of the project's virtual environment from the lock file, which is done only once.

    python3.11 bootstrap/setup_env.py [--venv .venv] [--cache ~/.cache/tandem]

The set-up installs exactly the lock of this Python (`requirements/lock-3.11.txt` or `lock-3.12.txt`). It
checks each file against its hash, and resolves nothing. Last, it writes a stamp with the digest of everything
the environment was made from. So a set-up that was killed starts over, and a changed lock is installed
afresh. The module uses only the standard library.

uv does the installing. It does not read pip's configuration, so the set-up hands pip's index, certificate and
time-out (a company's mirror, for example) on to uv, unless uv has settings of its own.
"""

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from edit_elf import RepairError
from repair_wheels import (
    BUILT_FOR,
    c_library_version,
    dotted,
    locked_requirement,
    repaired_wheels,
    sha256,
)

BOOTSTRAP = Path(__file__).resolve().parent
PROJECT = BOOTSTRAP.parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LOCK = PROJECT / "requirements" / f"lock-{PYTHON}.txt"
INSTALLER_LOCK = PROJECT / "requirements" / "bootstrap.txt"

# A few locked packages are published as source only, and these tools build them.
BUILD_TOOLS = ("setuptools", "wheel", "packaging")

PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE", "timeout": "UV_HTTP_TIMEOUT"}


def check_machine() -> None:
    """Raises `RepairError` unless the locks are made for this machine and this Python."""
    if not LOCK.exists():
        raise RepairError(
            f"Python must be 3.11 or 3.12. Got {platform.python_version()};"
            " name another one, as in PYTHON=/usr/bin/python3.11."
        )
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise RepairError(
            "The locked packages are built for Linux on x86-64."
            f" Got {platform.system()} on {platform.machine()}; use the container image there."
        )


def digest(*paths: Path) -> str:
    """One digest of this Python's version and of the contents of files."""
    contents = "\n".join([platform.python_version(), *map(sha256, paths)])
    return hashlib.sha256(contents.encode()).hexdigest()


def installer_environment(python: Path) -> dict[str, str]:
    """The environment variables for uv: the caller's, and pip's configuration where uv has no setting."""
    environment = {**os.environ, "VIRTUAL_ENV": str(python.parents[1])}
    for pip_name, uv_name in PIP_TO_UV.items():
        value = _pip_setting(python, pip_name)
        if value and uv_name not in os.environ:
            environment[uv_name] = value
    environment.setdefault("UV_HTTP_TIMEOUT", "180")
    return environment


def _pip_setting(python: Path, name: str) -> str | None:
    variable = "PIP_DEFAULT_TIMEOUT" if name == "timeout" else f"PIP_{name.upper().replace('-', '_')}"
    if variable in os.environ:
        return os.environ[variable]
    for section in ("install", "global"):
        command = [str(python), "-m", "pip", "config", "get", f"{section}.{name}"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            return answer.stdout.strip()
    return None


def make_environment(venv: Path, cache: Path) -> None:
    """Makes the environment from nothing: first the virtual environment, then uv, then the locked packages.

    Raises:
        RepairError: If this machine cannot install a locked wheel even when repaired.
        subprocess.CalledProcessError: If pip or uv fails.
    """
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--require-hashes"]
    subprocess.run([*pip, "--only-binary=:all:", f"--requirement={INSTALLER_LOCK}"], check=True)

    lock = LOCK.read_text(encoding="utf-8")
    build_tools = "\n".join(locked_requirement(lock, name) for name in BUILD_TOOLS)
    repaired = repaired_wheels(LOCK, cache / "wheels")
    for name, wheel in repaired.items():
        entry = f"{name} @ {wheel.resolve().as_uri()} --hash=sha256:{sha256(wheel)}"
        lock = lock.replace(locked_requirement(lock, name), entry)
    if repaired:
        print(
            f"The C library, glibc {dotted(c_library_version())}, is older than {dotted(BUILT_FOR)}:"
            f" installing repaired wheels of {' and '.join(repaired)}.",
            flush=True,
        )
    for name, requirements in (("build-tools.txt", build_tools), ("lock.txt", lock)):
        (venv / name).write_text(requirements, encoding="utf-8")
        options = ["--no-deps", "--require-hashes", "--no-build-isolation", "--compile-bytecode"]
        install(python, *options, f"--requirement={venv / name}")


def install(python: Path, *arguments: str) -> None:
    """Runs `uv pip install`. On a terminal it shows its progress, elsewhere only its errors."""
    verbosity = [] if sys.stderr.isatty() else ["--quiet"]
    command = [str(python.parent / "uv"), "pip", "install", *verbosity, f"--python={python}", *arguments]
    subprocess.run(command, check=True, env=installer_environment(python))


def is_made_from(stamp: Path, current: str) -> bool:
    """Whether the stamp of an earlier set-up has the current digest."""
    return stamp.exists() and stamp.read_text(encoding="utf-8") == current


def set_up(venv: Path, cache: Path) -> None:
    """Makes or completes the environment, as the module's docstring says."""
    check_machine()
    environment_stamp, environment = (
        venv / "made-from",
        digest(LOCK, INSTALLER_LOCK, *sorted(BOOTSTRAP.glob("*.py"))),
    )
    if not is_made_from(environment_stamp, environment):
        started = time.monotonic()
        print(
            f"Installing {LOCK.relative_to(PROJECT)} into {venv}; the first time takes some minutes.",
            flush=True,
        )
        make_environment(venv, cache)
        environment_stamp.write_text(environment, encoding="utf-8")
        print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)

    project_stamp, project = venv / "project-made-from", digest(PROJECT / "setup.py")
    if not is_made_from(project_stamp, project):
        install(venv / "bin" / "python", "--no-deps", "--no-build-isolation", f"--editable={PROJECT}")
        project_stamp.write_text(project, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Make the virtual environment of the project from its lock file."
    )
    parser.add_argument("--venv", type=Path, default=PROJECT / ".venv")
    parser.add_argument("--cache", type=Path, default=Path(os.environ.get("TANDEM_CACHE", "~/.cache/tandem")))
    arguments = parser.parse_args()
    try:
        set_up(arguments.venv.resolve(), arguments.cache.expanduser())
    except RepairError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"The set-up stopped at: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
