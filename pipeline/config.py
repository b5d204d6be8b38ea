"""The configuration of a run: a frozen dataclass for each concern, from TOML and ``--set``."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

from components.retrieval_evaluator.config import EvaluationConfig
from dataset.errors import DataError
from dataset.section import nearest
from dataset.settings import require, section_of
from models.config import ModelConfig, TrainConfig
from pipeline.beam import BeamConfig
from serving.config import ServeConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceConfig:
    """What a container of a Kubeflow pipeline may use; what is empty is left to the default, or the cluster.

    Attributes:
        cpu: Cores, as Kubernetes writes them: ``4`` or ``500m``.
        memory: Bytes, as Kubernetes writes them: ``16Gi``.
        accelerator: The resource's name in the cluster, such as ``nvidia.com/gpu`` or ``google.com/tpu``.
        accelerator_count: How many of them.
        node_selector: Labels that the machine must have.
    """

    cpu: str = ""
    memory: str = ""
    accelerator: str = ""
    accelerator_count: int = 1
    node_selector: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        require(
            not self.cpu or re.fullmatch(r"\d+(\.\d+)?|\d+m", self.cpu) is not None,
            'the cpu of kubeflow must be cores, such as "4" or "500m"',
            self.cpu,
        )
        require(
            not self.memory or re.fullmatch(r"\d+([EPTGMK]i?)?", self.memory) is not None,
            'the memory of kubeflow must be bytes, such as "16Gi"',
            self.memory,
        )
        require(
            self.accelerator_count >= 1,
            "the accelerator_count of kubeflow must be at least 1",
            self.accelerator_count,
        )

    def over(self, default: ResourceConfig) -> ResourceConfig:
        """These resources, and the default's where these say nothing."""
        has_accelerator = bool(self.accelerator)
        return ResourceConfig(
            cpu=self.cpu or default.cpu,
            memory=self.memory or default.memory,
            accelerator=self.accelerator or default.accelerator,
            accelerator_count=self.accelerator_count if has_accelerator else default.accelerator_count,
            node_selector=self.node_selector or default.node_selector,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class KubeflowConfig:
    """How the nodes run as containers; has no influence on what they compute.

    Attributes:
        default: Resources of every node.
        nodes: Resources by node, such as ``Trainer`` or ``ExampleGen.events``, over the default.
        retries: How often a node that failed is started again, each time after twice the wait.
        cache: Whether a node with the same inputs and parameters is taken from an earlier run. Nodes that
            look at what may have changed outside, the data and the model that is served, always run.
    """

    default: ResourceConfig = ResourceConfig()
    nodes: Mapping[str, ResourceConfig] = dataclasses.field(default_factory=dict)
    retries: int = 2
    cache: bool = True

    def __post_init__(self) -> None:
        require(self.retries >= 0, "kubeflow.retries must be at least 0", self.retries)

    def resources(self, node: str) -> ResourceConfig:
        """What a node gets."""
        return self.nodes[node].over(self.default) if node in self.nodes else self.default


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """All sections together, as people write them. A node of the pipeline gets only what it reads of them."""

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    serve: ServeConfig = dataclasses.field(default_factory=ServeConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)
    beam: BeamConfig = dataclasses.field(default_factory=BeamConfig)
    kubeflow: KubeflowConfig = KubeflowConfig()

    def to_json(self) -> str:
        """The configuration as JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Reads what `to_json` wrote."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Builds a configuration from nested tables.

        Raises:
            DataError: A section or key is unknown, or a value has the wrong type or breaks a rule.
        """
        hints = get_type_hints(cls)
        for section in values:
            if section not in hints:
                raise DataError(f'configuration: unknown section "{section}"; {nearest(section, hints)}')
        return cls(**{name: section_of(hints[name], name, table) for name, table in values.items()})


def load_config(path: str | None, overrides: Sequence[str] = ()) -> Config:
    """Reads a TOML file and applies ``section.key=value`` overrides, values in TOML or bare text.

    Raises:
        DataError: The file cannot be read or is not TOML, an override has no ``=`` or no dot, or
            `Config.from_dict` refuses.
    """
    values: dict[str, Any] = {}
    if path:
        try:
            # Windows' editor begins a file with a byte order mark.
            with open(path, encoding="utf-8-sig") as file:
                values = tomllib.loads(file.read())
        except FileNotFoundError:
            raise DataError(f"{path}: no such configuration file.") from None
        except OSError as error:
            raise DataError(f"{path} must be a file that can be read. Got: {error.strerror}.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: not valid TOML: {error}.") from None
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot and section and key):
            raise DataError(f"--set must be of the form section.key=value. Got {override!r}.")
        table = values.setdefault(section, {})
        # Of a section that is no table `Config.from_dict` complains.
        if isinstance(table, dict):
            value = _value(text.strip())
            is_version = isinstance(value, float) and _is_text(section, key)
            table[key] = text.strip() if is_version else value
    return Config.from_dict(values)


def _is_text(section: str, key: str) -> bool:
    """Whether the key takes text: there ``2.20`` is a version and no number."""
    table = get_type_hints(Config).get(section)
    return table is not None and get_type_hints(table).get(key) is str


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
