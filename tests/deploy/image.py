"""The trainer's image without Docker: the steps of its Dockerfile, taken in a folder instead of in layers."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deploy.files import ROOT, instructions

HOME = "/opt/tandem"
# Another image's files, which no registry of packages has.
_ELSEWHERE = "apache/beam_python"
# Layers must not hold a cache; here one saves the download of two gigabytes.
_NO_CACHE = re.compile(r"\b(UV_NO_CACHE|PIP_NO_CACHE_DIR)=1 ")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Image:
    """What a container of the image would have.

    Attributes:
        root: The folder that stands for ``/``; only `HOME` is in it.
        environment: All of a container's environment variables.
    """

    root: Path
    environment: dict[str, str]

    def executable(self, name: str) -> str:
        """Where a command is."""
        found = shutil.which(name, path=self.environment["PATH"])
        assert found, name
        return found

    def run(self, command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        """Runs a command as a container of the image does, in an empty folder."""
        cwd.mkdir(parents=True)
        return subprocess.run(
            [self.executable(command[0]), *command[1:]],
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


def build_image(root: Path) -> Image:
    """Takes the steps of the root ``Dockerfile``. Both stages share the folder: none copies of the other."""
    python = root / "usr" / "bin" / "python"
    python.parent.mkdir(parents=True)
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    python.write_text(f'#!/bin/sh\nexec {base} "$@"\n')
    python.chmod(0o755)
    _seed(root)

    def inside(text: str) -> str:
        return text.replace(HOME, f"{root}{HOME}")

    # What the machine needs to reach a package index; Python's own settings are not the image's.
    kept = re.compile(r"(PIP|UV|SSL|HTTPS?|NO|http|https|no)_|HOME$|LANG$")
    outer = {name: value for name, value in os.environ.items() if kept.match(name)}
    environment, workdir = dict[str, str](), root
    for name, rest in instructions(ROOT / "Dockerfile"):
        if name == "FROM":
            environment = {"PATH": f"{python.parent}:/usr/bin:/bin"}
        elif name == "ENV":
            for variable, value in re.findall(r"(\w+)=(\S+)", rest):
                environment[variable] = inside(value).replace("$PATH", environment["PATH"])
        elif name == "WORKDIR":
            workdir = Path(inside(rest))
            workdir.mkdir(parents=True, exist_ok=True)
        elif name == "COPY" and "--from=" not in rest:
            *sources, target = rest.split()
            if target.endswith("/"):
                (workdir / target).mkdir(parents=True, exist_ok=True)
            for source in sources:
                _copy(ROOT / source, workdir / target)
        elif name == "COPY":
            assert _ELSEWHERE in rest or rest.endswith(f"{HOME} ."), rest
        elif name == "RUN":
            command = _NO_CACHE.sub("", inside(rest))
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=workdir,
                env=environment | outer,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return Image(root=root, environment=environment)


def _seed(root: Path) -> None:
    """Puts what the machine has fetched before where the image's steps look for it."""
    cache = Path(os.environ.get("TANDEM_CACHE", "~/.cache/tandem")).expanduser()
    if (cache / "encoders").is_dir():
        shutil.copytree(cache / "encoders", Path(f"{root}{HOME}/cache/encoders"))


def _copy(source: Path, target: Path) -> None:
    """Copies what ``.dockerignore`` lets through; a folder's content, not the folder, as Docker does."""
    if source == ROOT:
        lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        for allowed in (line.removeprefix("!") for line in lines if line.startswith("!")):
            _copy(ROOT / allowed, target / allowed)
    elif source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        path = target / source.name if target.is_dir() else target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, path)
