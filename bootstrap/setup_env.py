"""Makes the project's virtual environment from the lock file; does nothing when it is already made.

    python3.11 bootstrap/setup_env.py [--venv .venv] [--cache ~/.cache/tandem]

What is installed is exactly the lock of this Python (`requirements/lock-3.11.txt` or `lock-3.12.txt`), each
file checked against its hash; nothing is resolved. A stamp in the environment, written last, holds the digest
of all that it was made from, so a set-up that was killed starts over and a changed lock is installed afresh.
Only the standard library is used.

uv does the installing. It does not read pip's configuration, so the index, certificate and time-out that pip
is set to use (a company's mirror, for example) are handed on to it, unless uv's own settings are there.
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

# What builds the few locked packages that are published as source only.
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
    """One digest of this Python's version and of the content of files."""
    contents = "\n".join([platform.python_version(), *map(sha256, paths)])
    return hashlib.sha256(contents.encode()).hexdigest()


def installer_environment(python: Path) -> dict[str, str]:
    """The environment for uv: the caller's, and pip's configuration where uv has no setting of its own."""
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
    """Makes the environment from nothing: virtual environment, uv, then every package of the lock.

    Raises:
        RepairError: if this machine cannot install a locked wheel even when repaired.
        subprocess.CalledProcessError: if pip or uv fails.
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
    """Runs `uv pip install`, with its progress on a terminal and only its errors elsewhere."""
    verbosity = [] if sys.stderr.isatty() else ["--quiet"]
    command = [str(python.parent / "uv"), "pip", "install", *verbosity, f"--python={python}", *arguments]
    subprocess.run(command, check=True, env=installer_environment(python))


def is_made_from(stamp: Path, current: str) -> bool:
    """Whether the stamp of an earlier set-up says that it was made from the same."""
    return stamp.exists() and stamp.read_text(encoding="utf-8") == current


def set_up(venv: Path, cache: Path) -> None:
    """Makes or completes the environment; see the module's docstring."""
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
