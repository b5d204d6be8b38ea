"""What can be set about a run besides the data: a frozen dataclass a concern, from TOML and ``--set``."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from dataset.errors import DataError
from dataset.section import nearest
from pipeline.beam import BeamConfig
from serving.compatibility.stock_ops.table import stock_ops

TRAINABLE = ("frozen", "lora", "top_layers", "full")
PRECISIONS = ("float32", "mixed_bfloat16")


def _require(holds: bool, rule: str, got: Any) -> None:
    if not holds:
        raise DataError(f"configuration: {rule}. Got {got!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The architecture.

    Attributes:
        encoder: ``minilm`` (bundled), a keras-hub preset name, or a local preset or Hugging Face BERT folder.
        trainable: How much of the encoder learns: ``frozen``, ``lora``, ``top_layers`` or ``full``.
        lora_rank: Rank of the LoRA update, with ``trainable = "lora"``.
        num_top_layers: Transformer layers that learn, with ``trainable = "top_layers"``.
        pooling: ``mean`` or ``cls``.
        max_text_tokens: Tokens kept of an item's text, special tokens included.
        max_query_tokens: Tokens kept of a query, special tokens included.
        behaviour_dim: Width of the space in which users and items meet through behaviour.
        history_dim: Width of an item inside a history.
        history_heads: Attention heads over the history.
        max_history: Distinct items of a history the model looks at, most recent first.
        num_cross_layers: Depth of the ranker's cross network (DCN-v2).
    """

    encoder: str = "minilm"
    trainable: str = "frozen"
    lora_rank: int = 8
    num_top_layers: int = 2
    pooling: str = "mean"
    max_text_tokens: int = 32
    max_query_tokens: int = 32
    behaviour_dim: int = 256
    history_dim: int = 128
    history_heads: int = 4
    max_history: int = 100
    num_cross_layers: int = 2

    def __post_init__(self) -> None:
        _require(
            self.trainable in TRAINABLE,
            f"model.trainable must be one of {', '.join(TRAINABLE)}",
            self.trainable,
        )
        _require(self.pooling in ("mean", "cls"), "model.pooling must be mean or cls", self.pooling)
        for name in ("max_text_tokens", "max_query_tokens"):
            _require(
                3 <= getattr(self, name) <= 512, f"model.{name} must be from 3 to 512", getattr(self, name)
            )
        for name in (
            "lora_rank",
            "num_top_layers",
            "behaviour_dim",
            "history_dim",
            "history_heads",
            "max_history",
        ):
            _require(getattr(self, name) >= 1, f"model.{name} must be at least 1", getattr(self, name))
        _require(
            self.num_cross_layers >= 0, "model.num_cross_layers must be at least 0", self.num_cross_layers
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How the model is fitted.

    Attributes:
        epochs: Most passes over the interactions; the best one by validation is kept.
        judgment_epochs: The same for judgments, which are few.
        batch_size: Query contexts a step, over all replicas.
        targets_per_query: Items of one context (a basket) used in a step.
        uniform_negatives: Items drawn from the whole catalogue a step, beside the batch's own (mixed
            negatives).
        learning_rate: Peak of the cosine schedule.
        clip_norm: Global norm at which the gradients of a whole batch are clipped.
        accumulation_steps: Equal parts a batch is computed in, one after another, to need less memory. The
            in-batch negatives of a query are then those of its part.
        precision: ``float32``, or ``mixed_bfloat16`` to train with encoder and matrix products in 16 bits.
            The loss, and all that is measured, saved and served, has 32 bits in either case.
        item_dropout: Share of items whose id is hidden in a step, so that new items live on their text.
        history_dropout: Share of a history hidden in a step.
        user_dropout: Share of users whose id is hidden in a step.
        recency_half_life_days: Age at which an interaction weighs half in the loss.
        warm_start: Begin from the weights of the last blessed model that was trained on other data, where
            both know the same ids.
        refit: Fit once more on training and validation time together before the test window is looked at.
        ranker_epochs: Most passes over the retrieved candidates.
        ranker_users: Most users whose candidates the ranker is trained on.
        seed: Of every random choice.
    """

    epochs: int = 8
    judgment_epochs: int = 10
    batch_size: int = 64
    targets_per_query: int = 16
    uniform_negatives: int = 1024
    learning_rate: float = 1e-3
    clip_norm: float = 1.0
    accumulation_steps: int = 1
    precision: str = "float32"
    item_dropout: float = 0.1
    history_dropout: float = 0.2
    user_dropout: float = 0.5
    recency_half_life_days: float = 45.0
    warm_start: bool = False
    refit: bool = True
    ranker_epochs: int = 20
    ranker_users: int = 2000
    seed: int = 17

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "targets_per_query", "accumulation_steps", "ranker_users"):
            _require(getattr(self, name) >= 1, f"train.{name} must be at least 1", getattr(self, name))
        _require(
            self.precision in PRECISIONS,
            f"train.precision must be one of {', '.join(PRECISIONS)}",
            self.precision,
        )
        _require(
            self.batch_size % self.accumulation_steps == 0,
            f"train.batch_size must be a multiple of train.accumulation_steps, {self.accumulation_steps}",
            self.batch_size,
        )
        for name in ("judgment_epochs", "uniform_negatives", "ranker_epochs"):
            _require(getattr(self, name) >= 0, f"train.{name} must be at least 0", getattr(self, name))
        for name in ("item_dropout", "history_dropout", "user_dropout"):
            _require(
                0 <= getattr(self, name) < 1, f"train.{name} must be from 0 to below 1", getattr(self, name)
            )
        for name in ("learning_rate", "clip_norm", "recency_half_life_days"):
            _require(getattr(self, name) > 0, f"train.{name} must be above 0", getattr(self, name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """The servable and its check.

    Attributes:
        num_candidates: Items retrieved for the ranker.
        max_users: Users whose latest history the servable carries, most recently active first.
        max_latency_ms: Median latency of one search above which the servable is refused.
        tf_serving_version: The oldest stock TF Serving that must be able to load the servable.
    """

    num_candidates: int = 200
    max_users: int = 1_000_000
    max_latency_ms: float = 1000.0
    tf_serving_version: str = "2.16"

    def __post_init__(self) -> None:
        _require(self.num_candidates >= 1, "serve.num_candidates must be at least 1", self.num_candidates)
        _require(self.max_users >= 0, "serve.max_users must be at least 0", self.max_users)
        _require(self.max_latency_ms > 0, "serve.max_latency_ms must be above 0", self.max_latency_ms)
        known = stock_ops().versions
        _require(
            self.tf_serving_version in known,
            f"serve.tf_serving_version must be one of {', '.join(known)}, in quotes",
            self.tf_serving_version,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """The gate.

    Attributes:
        min_ratio_to_popularity: Recommendation nDCG@10 (NOVEL) over that of popularity, at least.
        min_ratio_to_zero_shot: Search nDCG@10 over that of the encoder as it came, at least.
        max_loss_to_blessed: Relative loss of nDCG@10 against the last blessed model, at most, where both were
            trained on the same span of events; on a later span the new model must be better.
        max_drift: Distance of a column from the last span, or of the newest window from the training data,
            from 0 to 1, above which the report names it.
        max_ease_items: Catalogue size above which EASE, which inverts an items-by-items matrix, is left out.
    """

    min_ratio_to_popularity: float = 1.0
    min_ratio_to_zero_shot: float = 0.9
    max_loss_to_blessed: float = 0.05
    max_drift: float = 0.1
    max_ease_items: int = 20_000

    def __post_init__(self) -> None:
        for name in ("min_ratio_to_popularity", "min_ratio_to_zero_shot", "max_loss_to_blessed"):
            _require(getattr(self, name) >= 0, f"evaluation.{name} must be at least 0", getattr(self, name))
        _require(0 < self.max_drift <= 1, "evaluation.max_drift must be above 0 to 1", self.max_drift)
        _require(
            self.max_ease_items >= 0, "evaluation.max_ease_items must be at least 0", self.max_ease_items
        )


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
        _require(
            not self.cpu or re.fullmatch(r"\d+(\.\d+)?|\d+m", self.cpu) is not None,
            'the cpu of kubeflow must be cores, such as "4" or "500m"',
            self.cpu,
        )
        _require(
            not self.memory or re.fullmatch(r"\d+([EPTGMK]i?)?", self.memory) is not None,
            'the memory of kubeflow must be bytes, such as "16Gi"',
            self.memory,
        )
        _require(
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
        _require(self.retries >= 0, "kubeflow.retries must be at least 0", self.retries)

    def resources(self, node: str) -> ResourceConfig:
        """What a node gets."""
        return self.nodes[node].over(self.default) if node in self.nodes else self.default


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything of the above. Survives a JSON round trip, because TFX passes parameters as JSON."""

    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    serve: ServeConfig = ServeConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
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
        return cls(**{name: _section(hints[name], name, table) for name, table in values.items()})


def _section(cls: Any, name: str, table: Any) -> Any:
    if not isinstance(table, Mapping):
        raise DataError(f"configuration: {name} must be a table. Got {table!r}.")
    hints = get_type_hints(cls)
    for key in table:
        if key not in hints:
            raise DataError(f'configuration: unknown key "{name}.{key}"; {nearest(key, hints)}')
    return cls(**{key: _typed(hints[key], f"{name}.{key}", value) for key, value in table.items()})


def _typed(kind: Any, key: str, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise DataError(f"configuration: {key} must be a list of text. Got {value!r}.")
        return tuple(value)
    if get_origin(kind) is Mapping:
        if not isinstance(value, Mapping):
            raise DataError(f"configuration: {key} must be a table. Got {value!r}.")
        return {name: _typed(get_args(kind)[1], f"{key}.{name}", entry) for name, entry in value.items()}
    if dataclasses.is_dataclass(kind):
        return _section(kind, key, value)
    if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind):
        raise DataError(f"configuration: {key} must be {kind.__name__}. Got {value!r}.")
    return value


def load_config(path: str | None, overrides: Sequence[str] = ()) -> Config:
    """Reads a TOML file and applies ``section.key=value`` overrides, values in TOML or bare text.

    Raises:
        DataError: The file cannot be read or is not TOML, an override has no ``=`` or no dot, or
            `Config.from_dict` refuses.
    """
    values: dict[str, Any] = {}
    if path:
        try:
            with open(path, "rb") as file:
                values = tomllib.load(file)
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
