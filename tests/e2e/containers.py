"""Stands in for Docker: a container's command as a process in what the image has, in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.deploy.image import Image

# Every command begins with ten seconds of importing TFX. One process in the image does that once and is
# forked for each container; with this variable set, each container is a process from its first line on.
FRESH = "TANDEM_FRESH_CONTAINERS"
EXECUTOR_INPUT, INPUTS_SPEC = "--json_serialized_invocation_args", "--json_serialized_inputs_spec_args"

_FORKING = """
import json, os, runpy, sys, traceback
import tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor
print("ready", flush=True)
for line in sys.stdin:
    container = json.loads(line)
    child = os.fork()
    if not child:
        log = os.open(container["log"], os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(container["cwd"])
        module, *sys.argv[1:] = container["arguments"]
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Containers:
    """Runs the containers of one pipeline.

    Args:
        image: What they have.
        folder: Where each gets a folder to start in, and a log.

    Attributes:
        ran: The class path of each container's executor, in order.
    """

    def __init__(self, image: Image, folder: Path) -> None:
        self._image, self._folder = image, folder
        self._forking: Any = None
        self.ran: list[str] = []

    def __enter__(self) -> Containers:
        self._folder.mkdir()
        if FRESH not in os.environ:
            self._forking = subprocess.Popen(
                [self._image.executable("python"), "-c", _FORKING],
                cwd=self._folder,
                env=self._image.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert self._forking.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *error: object) -> None:
        if self._forking:
            self._forking.communicate()

    def run_docker_container(
        self, client: Any, image: str, command: list[str], volumes: Any, **options: Any
    ) -> int:
        """What the kfp SDK calls; the exit code."""
        assert command[:2] == ["python", "-m"]
        name = command[command.index("--executor_class_path") + 1]
        self.ran.append(name)
        cwd, log = (self._folder / f"{len(self.ran)}{suffix}" for suffix in ("", ".log"))
        cwd.mkdir()
        arguments = _with_types(command[2:])
        if self._forking:
            container = {"cwd": str(cwd), "log": str(log), "arguments": arguments}
            self._forking.stdin.write(json.dumps(container) + "\n")
            self._forking.stdin.flush()
            code = int(self._forking.stdout.readline())
        else:
            with log.open("w") as file:
                code = subprocess.run(
                    [self._image.executable("python"), "-m", *arguments],
                    cwd=cwd,
                    env=self._image.environment,
                    stdout=file,
                    stderr=file,
                    check=False,
                ).returncode
        assert code == 0, f"{name}\n{log.read_text()[-8000:]}"
        return code


def _with_types(arguments: list[str]) -> list[str]:
    """Gives input artifacts their types back.

    A cluster hands on the type that the component declares; the local orchestrator calls each a plain
    ``system.Artifact``.
    """
    executor_input, spec = (arguments.index(flag) + 1 for flag in (EXECUTOR_INPUT, INPUTS_SPEC))
    given, declared = json.loads(arguments[executor_input]), json.loads(arguments[spec])
    for name, artifacts in given["inputs"].get("artifacts", {}).items():
        for artifact in artifacts["artifacts"]:
            artifact["type"] = declared["artifacts"][name]["artifactType"]
    return [*arguments[:executor_input], json.dumps(given), *arguments[executor_input + 1 :]]
