"""Settings of the model: its architecture, and how it is fitted."""

from __future__ import annotations

import dataclasses

from dataset.settings import require

TRAINABLE = ("frozen", "lora", "top_layers", "full")
POOLINGS = ("own", "mean", "cls")
PRECISIONS = ("float32", "mixed_bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The architecture.

    Attributes:
        encoder: ``minilm`` or ``bge-small``, which packages ship; a keras-hub preset name; or a local preset
            or Hugging Face BERT folder.
        trainable: How much of the encoder learns: ``frozen``, ``lora``, ``top_layers`` or ``full``.
        lora_rank: Rank of the LoRA update, with ``trainable = "lora"``.
        num_top_layers: Transformer layers that learn, with ``trainable = "top_layers"``.
        pooling: ``mean``, ``cls``, or ``own``: that of the encoder, as its folder says it, else ``mean``.
        max_text_tokens: Tokens kept of an item's text, special tokens included.
        max_query_tokens: Tokens kept of a query, special tokens included.
        behaviour_dim: Width of the space in which users and items meet through behaviour.
        history_dim: Width of an item inside a history.
        history_heads: Attention heads over the history.
        max_history: Distinct items of a history the model looks at, most recent first.
    """

    encoder: str = "minilm"
    trainable: str = "frozen"
    lora_rank: int = 8
    num_top_layers: int = 2
    pooling: str = "own"
    max_text_tokens: int = 128
    max_query_tokens: int = 32
    behaviour_dim: int = 256
    history_dim: int = 128
    history_heads: int = 4
    max_history: int = 100

    def __post_init__(self) -> None:
        require(
            self.trainable in TRAINABLE,
            f"model.trainable must be one of {', '.join(TRAINABLE)}",
            self.trainable,
        )
        require(self.pooling in POOLINGS, f"model.pooling must be one of {', '.join(POOLINGS)}", self.pooling)
        for name in ("max_text_tokens", "max_query_tokens"):
            require(
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
            require(getattr(self, name) >= 1, f"model.{name} must be at least 1", getattr(self, name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How the model is fitted.

    Attributes:
        epochs: Most passes over the interactions; the best one by validation is kept.
        judgment_epochs: The same for judgments, which are few.
        patience: Epochs in a row without a better validation after which a phase ends early.
        max_contexts: Query contexts of an epoch. Of a larger log, an epoch is a sample that prefers what is
            recent, so that the time of an epoch grows no further with the log.
        max_minutes: Wall-clock time for all of the training, 0 for no limit. What is then left out is in the
            log and in the report. Where time ends training, two runs of one seed are no longer the same.
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
        recommender_epochs: Passes over what the channels named in past windows.
        recommender_users: Most users of each window.
        seed: Of every random choice.
    """

    epochs: int = 4
    judgment_epochs: int = 10
    patience: int = 2
    max_contexts: int = 30_000
    max_minutes: float = 0.0
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
    recommender_epochs: int = 8
    recommender_users: int = 2000
    seed: int = 17

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "patience",
            "max_contexts",
            "batch_size",
            "targets_per_query",
            "accumulation_steps",
            "recommender_users",
        ):
            require(getattr(self, name) >= 1, f"train.{name} must be at least 1", getattr(self, name))
        require(
            self.precision in PRECISIONS,
            f"train.precision must be one of {', '.join(PRECISIONS)}",
            self.precision,
        )
        require(
            self.batch_size % self.accumulation_steps == 0,
            f"train.batch_size must be a multiple of train.accumulation_steps, {self.accumulation_steps}",
            self.batch_size,
        )
        for name in ("judgment_epochs", "max_minutes", "uniform_negatives", "recommender_epochs"):
            require(getattr(self, name) >= 0, f"train.{name} must be at least 0", getattr(self, name))
        for name in ("item_dropout", "history_dropout", "user_dropout"):
            require(
                0 <= getattr(self, name) < 1, f"train.{name} must be from 0 to below 1", getattr(self, name)
            )
        for name in ("learning_rate", "clip_norm", "recency_half_life_days"):
            require(getattr(self, name) > 0, f"train.{name} must be above 0", getattr(self, name))
