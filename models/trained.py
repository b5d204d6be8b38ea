"""A trained model as files: what Trainer writes and IndexBuilder reads."""

from __future__ import annotations

import dataclasses
import json
import os
import types
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dataset.errors import DataError
from dataset.settings import section_of
from models import weights
from models.config import ModelConfig, TrainConfig
from models.item_table import ItemTable
from models.matrices import item_matrix
from models.recommender import Recommender
from models.retriever import Retriever
from models.text_encoder import TextEncoder
from models.text_tokenizer import TextTokenizer
from models.tokenizer import load_tokenizer
from models.two_tower import TwoTower
from models.vocabularies import Vocabularies, carried, carried_rows, rows_of

TOWERS_FILE, SELECTED_FILE = "two_tower.npz", "selected.npz"
_DESCRIPTION = "model.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """Everything the servable is made of, but for the catalogue.

    Attributes:
        two_tower: The retrieval model.
        tokenizer: The encoder's own.
        num_user_numbers: Width of the users' numeric features.
        vocabularies: What the rows of the retrieval model's tables stand for.
        recommender: What answers without a query; ``None`` without events to learn from.
        selected: The retrieval model before it was fitted to the validation window too, from which a later
            one may begin; ``None`` if it was not, or after loading.
    """

    two_tower: TwoTower
    tokenizer: TextTokenizer
    num_user_numbers: int
    vocabularies: Vocabularies
    recommender: Recommender | None = None
    selected: TwoTower | None = None

    @property
    def weights(self) -> list[keras.Variable]:
        """Of the retrieval model, and of the ranker if there is one."""
        ranker = self.recommender.ranker.weights if self.recommender else []
        return [*self.two_tower.weights, *ranker]

    def save(self, folder: str, model: ModelConfig, train: TrainConfig) -> None:
        """Writes weights, vocabulary, architecture and settings."""
        tf.io.gfile.makedirs(folder)
        description = {
            "model": dataclasses.asdict(model),
            "train": dataclasses.asdict(train),
            "num_users": self.two_tower.query_tower.num_users,
            "user_category_sizes": [e.input_dim for e in self.two_tower.query_tower.category_embeddings],
            "num_user_numbers": self.num_user_numbers,
        }
        _write(folder, _DESCRIPTION, json.dumps(description).encode())
        self.tokenizer.save(folder)
        self.two_tower.encoder.save_architecture(folder)
        _write(folder, TOWERS_FILE, weights.to_bytes(self.two_tower))
        if self.recommender is not None:
            self.recommender.save(folder)
        self.vocabularies.save(folder)
        if self.selected is not None:
            _write(folder, SELECTED_FILE, weights.to_bytes(self.selected, trainable_only=True))

    @classmethod
    def load(cls, folder: str, items: ItemTable) -> TrainedModel:
        """Reads a model and ties it to a catalogue: that of its training, or a later one.

        Items that are new since live on what is known of them, as `ItemTower` has it: their rows are zeros.

        Raises:
            DataError: If another version of Tandem saved it.
        """
        description = _described(folder)
        config, train = description["model"], description["train"]
        two_tower = TwoTower(
            items,
            TextEncoder.from_architecture(folder, **encoder_settings(config)),
            config=config,
            train=train,
            num_users=description["num_users"],
            user_category_sizes=tuple(description["user_category_sizes"]),
            num_user_numbers=description["num_user_numbers"],
        )
        trained_on = Vocabularies.load(folder)
        vocabularies = dataclasses.replace(trained_on, items=items.ids)
        _assign(two_tower, folder, TOWERS_FILE, carried_rows(two_tower, trained_on, vocabularies))
        recommender = Recommender.load(folder)
        if recommender is not None:
            recommender = recommender.on_catalogue(rows_of(trained_on.items, items.ids), items.text_vectors)
        return cls(
            two_tower=two_tower,
            tokenizer=load_tokenizer(folder),
            num_user_numbers=description["num_user_numbers"],
            vocabularies=vocabularies,
            recommender=recommender,
        )


def build_retriever(two_tower: TwoTower) -> Retriever:
    """The dense channel over the whole catalogue, encoded now."""
    vectors = item_matrix(two_tower, two_tower.num_items)
    return Retriever(tf.constant(vectors), text_dim=two_tower.encoder.output_dim)


def encoder_settings(model: ModelConfig) -> dict[str, Any]:
    """How much of the encoder learns."""
    return {
        "trainable_part": model.trainable,
        "lora_rank": model.lora_rank,
        "num_top_layers": model.num_top_layers,
    }


def config_of(folder: str) -> ModelConfig:
    """The architecture of a saved model.

    Raises:
        DataError: If another version of Tandem saved it.
    """
    model: ModelConfig = _described(folder)["model"]
    return model


def _described(folder: str) -> dict[str, Any]:
    """What `TrainedModel.save` wrote of a model beside its weights.

    Raises:
        DataError: If another version of Tandem wrote it.
    """
    description: dict[str, Any] = json.loads(_read(folder, _DESCRIPTION))
    try:
        sections = {
            "model": section_of(ModelConfig, "model", description["model"]),
            "train": section_of(TrainConfig, "train", description["train"]),
        }
    except (KeyError, DataError) as error:
        raise DataError(
            f"{os.path.join(folder, _DESCRIPTION)} must be as this version of Tandem writes it. Got one of "
            f"another version ({error}); train it again with `tandem run`."
        ) from None
    return description | sections


def _assign(
    model: keras.Model,
    folder: str,
    name: str,
    rows: Mapping[int, np.ndarray] = types.MappingProxyType({}),
) -> None:
    for variable, value in weights.from_bytes(_read(folder, name), model, os.path.join(folder, name)):
        variable.assign(carried(value, rows[id(variable)]) if id(variable) in rows else value)


def _write(folder: str, name: str, content: bytes) -> None:
    with tf.io.gfile.GFile(os.path.join(folder, name), "wb") as file:
        file.write(content)


def _read(folder: str, name: str) -> bytes:
    with tf.io.gfile.GFile(os.path.join(folder, name), "rb") as file:
        return file.read()
