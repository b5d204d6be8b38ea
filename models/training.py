"""The `run_fn` of TFX's Trainer: the towers and the recommender."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dataset import features
from dataset.manifest import Manifest
from dataset.settings import section_of
from models.budget import Budget
from models.config import ModelConfig, TrainConfig
from models.event_log import kinds_of, read_dislikes, read_event_log
from models.heads import Heads
from models.interaction_summary import Summary
from models.interactions import InteractionSource
from models.item_table import ItemTable, load_item_table, load_text_vectors
from models.phases import phases
from models.recommender import Recommender
from models.recommender_training import fit_recommender
from models.retrieval_training import RetrievalTrainer
from models.strategy import is_chief, training_strategy
from models.text_encoder import TextEncoder
from models.tokenizer import Tokenizer
from models.trained import TrainedModel, encoder_settings
from models.vocabularies import Vocabularies
from models.warm_start import Origin, WarmStart

CURVES_FILE = "curves.json"
# Of the time there is, what the towers may take where a recommender is fitted after them.
_TOWERS_SHARE = 2 / 3
# Hard negatives of a user, in every step.
_MOST_DISLIKES = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What training reads of a run's configuration.

    Attributes:
        manifest: The dataset.
        model: The architecture.
        train: How it is fitted.
    """

    manifest: Manifest
    model: ModelConfig
    train: TrainConfig

    def custom_config(self) -> dict[str, Any]:
        """As TFX hands it to `run_fn`."""
        return {
            "manifest": self.manifest.to_json(),
            "model": dataclasses.asdict(self.model),
            "train": dataclasses.asdict(self.train),
        }

    @classmethod
    def from_custom_config(cls, custom_config: dict[str, Any]) -> Settings:
        """Reads what `custom_config` wrote."""
        return cls(
            manifest=Manifest.from_json(custom_config["manifest"]),
            model=section_of(ModelConfig, "model", custom_config["model"]),
            train=section_of(TrainConfig, "train", custom_config["train"]),
        )


def run_fn(fn_args: Any) -> None:
    """Trains and saves.

    Args:
        fn_args: TFX's `FnArgs` with, beside the usual, ``item_examples``, ``item_transform_graph``,
            ``text_embeddings`` and ``summary`` folders, ``events`` (``None`` without a log), and
            ``custom_config`` as `Settings` writes it.
    """
    settings = Settings.from_custom_config(fn_args.custom_config)
    strategy = training_strategy()
    keras.utils.set_random_seed(settings.train.seed)
    tf.config.experimental.enable_op_determinism()
    _train(fn_args, settings, strategy)


def _train(fn_args: Any, settings: Settings, strategy: tf.distribute.Strategy) -> None:
    manifest, config, train = settings.manifest, settings.model, settings.train
    budget = Budget(train.max_minutes)

    def encoder() -> TextEncoder:
        return TextEncoder.from_pretrained(config.encoder, pooling=config.pooling, **encoder_settings(config))

    items = load_item_table(
        manifest.items,
        examples_pattern=os.path.join(fn_args.item_examples, f"Split-{features.ALL}", "*"),
        transform_graph=fn_args.item_transform_graph,
        text_vectors=load_text_vectors(fn_args.text_embeddings),
    )
    source = InteractionSource(
        fn_args.interactions,
        transform_graph=fn_args.transform_graph_path,
        manifest=manifest,
        model=config,
        encoder=encoder() if config.trainable == "frozen" else None,
    )
    summary = Summary.load(fn_args.summary)
    starts = summary.starts
    counts = summary.item_counts if len(summary.item_counts) else np.zeros(len(items), np.int64)
    vocabularies = Vocabularies.read(
        manifest,
        items,
        item_transform_graph=fn_args.item_transform_graph,
        transform_graph=fn_args.transform_graph_path,
    )
    base, origin = fn_args.base_model, Origin.of(manifest, starts)
    trainer = RetrievalTrainer(
        items=items,
        source=source,
        encoder=encoder,
        model=config,
        train=train,
        item_counts=counts,
        starts=starts,
        log_dir=fn_args.model_run_dir,
        strategy=strategy,
        warm_start=WarmStart(base, vocabularies, config, origin) if base else None,
        budget=budget.share(_TOWERS_SHARE) if manifest.events else budget,
        dislikes=_dislikes(fn_args.events, items, source, settings),
    )
    phase_list = phases(
        train,
        has_events=manifest.events is not None,
        has_judgments=manifest.judgments is not None,
        within_sessions=manifest.events is not None and manifest.events.users_are_sessions,
    )
    selected, epochs = trainer.select(phase_list)
    fitted_again = trainer.refit(phase_list, epochs) if train.refit else None
    if not is_chief(strategy):
        # TFX wants to find it after every `run_fn`.
        tf.io.gfile.makedirs(fn_args.serving_model_dir)
        return
    # What follows is small: the chief fits it alone.
    recommender, curves = _fit_recommender(fn_args.events, items, starts, settings, budget)
    model = TrainedModel(
        two_tower=selected if fitted_again is None else fitted_again,
        tokenizer=Tokenizer.from_pretrained(config.encoder),
        num_user_numbers=source.num_user_numbers,
        vocabularies=vocabularies,
        recommender=recommender,
        selected=None if fitted_again is None else selected,
    )
    model.save(fn_args.serving_model_dir, config, train)
    origin.save(fn_args.serving_model_dir)
    written = {"curves": trainer.curves + curves, "best_epochs": epochs, "cuts": budget.cuts}
    with tf.io.gfile.GFile(os.path.join(fn_args.model_run_dir, CURVES_FILE), "w") as file:
        json.dump(written, file)
    trainer.remove_backups()


def _dislikes(
    folder: str | None, items: ItemTable, source: InteractionSource, settings: Settings
) -> Callable[[int], np.ndarray] | None:
    """Some of what each user disliked before a moment, as `TwoTower` takes it."""
    table = settings.manifest.events
    if table is None or folder is None or not table.kind.has_negative:
        return None
    pattern = os.path.join(folder, f"Split-{features.ALL}", "*")

    def before(moment: int) -> np.ndarray:
        ids = np.array([*source.user_ids, b""], object)
        rng = np.random.default_rng(settings.train.seed)
        rows = np.full((len(ids), _MOST_DISLIKES), -1, np.int32)
        for user, disliked in enumerate(read_dislikes(pattern, table, items.ids, ids, before=moment)[:-1]):
            drawn = rng.permutation(disliked)[:_MOST_DISLIKES]
            rows[user, : len(drawn)] = drawn
        return rows

    return before


def _fit_recommender(
    folder: str | None, items: ItemTable, starts: tuple[int, int], settings: Settings, budget: Budget
) -> tuple[Recommender | None, list[dict[str, Any]]]:
    """Fits the recommender on the log; ``None`` where there is none to learn from."""
    table = settings.manifest.events
    if table is None or folder is None:
        return None, []
    pattern = os.path.join(folder, f"Split-{features.ALL}", "*")
    log, user_ids = read_event_log(pattern, table, items.ids)
    return fit_recommender(
        log,
        user_ids,
        starts=starts,
        text_vectors=items.text_vectors,
        heads=Heads(kinds=kinds_of(table), has_rating=table.value is not None),
        train=settings.train,
        within_sessions=table.users_are_sessions,
        budget=budget,
    )
