from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import tensorflow as tf

from pipeline.cli.main import _parser
from pipeline.config import Config, KubeflowConfig
from pipeline.kubeflow.compiling import _check_root

PAGE = (Path(__file__).parents[3] / "docs" / "kubeflow.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def _commands() -> list[str]:
    """Every command of ours in the page, in blocks and in the text, with its variables set."""
    variables = dict(re.findall(r"^([A-Z]+)=(\S+)$", PAGE, flags=re.MULTILINE))
    lines = [line for kind, block in BLOCKS if not kind for line in block.splitlines()]
    lines += re.findall(r"`(tandem [^`]*)`", PAGE)
    found = [line for line in lines if line.startswith("tandem ")]
    for name, value in variables.items():
        found = [line.replace(f"${name}", value) for line in found]
    return found


@pytest.mark.parametrize("command", _commands())
def test_command_is_one_that_tandem_takes(command: str) -> None:
    _, *arguments = shlex.split(command)

    if arguments != ["run"]:
        _parser().parse_args(arguments)


def test_commands_go_from_compiling_to_an_answer() -> None:
    steps = [" ".join(command.split()[1:3]) for command in _commands()]

    order = ["kubeflow compile", "kubeflow submit", "kubeflow status", "serve --workdir", "search gift"]
    positions = [next(i for i, step in enumerate(steps) if step.replace('"', "") == one) for one in order]
    assert positions == sorted(positions)


def test_settings_are_settings() -> None:
    (settings,) = [block for kind, block in BLOCKS if kind == "toml"]

    config = Config.from_dict(tomllib.loads(settings))

    assert config.kubeflow.resources("Trainer").accelerator == "nvidia.com/gpu"
    assert config.kubeflow != KubeflowConfig()


def test_pipeline_root_of_the_page_is_one() -> None:
    (compiled,) = [line for line in _commands() if "kubeflow compile" in line]
    arguments = _parser().parse_args(shlex.split(compiled)[1:])

    _check_root(arguments.pipeline_root)
    assert (Path(__file__).parents[3] / arguments.dataset / "dataset.toml").exists()


def test_tensorflow_opens_the_buckets_that_the_page_names() -> None:
    assert "gs://" in PAGE
    assert "gs" in tf.io.gfile.get_registered_schemes()
