"""A catalogue of twelve items, a random encoder that knows thirty word pieces, and models of both."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_hub
import numpy as np
import tensorflow as tf

from dataset import features
from dataset.times import FIRST, LAST
from models.categories import CategoryColumn, Lists
from models.config import ModelConfig, TrainConfig
from models.encoding import encode_tokens
from models.event_log import DAY_S, EventLog
from models.heads import Heads
from models.item_table import ItemTable
from models.lexical.index import LexicalIndex
from models.matrices import text_matrix
from models.recommender import Recommender
from models.recommender_training import fit_recommender
from models.text_encoder import TextEncoder
from models.tokenizer import Tokenizer
from models.trained import TrainedModel, encoder_settings
from models.two_tower import TwoTower
from models.vocabularies import Vocabularies
from pipeline.config import Config
from serving.config import ServeConfig
from serving.servable.histories import UserTable
from serving.servable.recommending import Recommending
from serving.servable.searching import Searching
from serving.servable.servable import Servable
from serving.servable.suggesting import Suggesting

VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "blue", "green", "tea", "##pot", "cup", "##s", "candle"),
    *(
        "lamp",
        "garden",
        "gift",
        "box",
        "glass",
        "wood",
        "##en",
        "small",
        "big",
        "light",
        "for",
        "a",
        "set",
        "of",
    ),
    *("-", ",", "!", "cafe"),
]
TITLES = [
    *(
        "red teapot",
        "blue teapot",
        "set of cups",
        "candle",
        "garden lamp",
        "small glass box",
        "big glass box",
    ),
    *("wooden box", "gift for a garden", "green candle", "red cup", "cafe light"),
]
IDS = [f"item-{i:02d}".encode() for i in range(len(TITLES))]
ROOMS = [
    "kitchen",
    "kitchen",
    "kitchen",
    "hall",
    "garden",
    "hall",
    "hall",
    "",
    "garden",
    "hall",
    "kitchen",
    "",
]
COLOURS = ["red", "blue", "blue", "red", "green", "blue", "blue", "red", "green", "green", "red", "red"]
PRICES = [3.0, 2.0, 9.5, 1.0, float("nan"), 4.0, 8.0, 4.5, 2.5, 1.0, 2.0, 7.0]
CODES = [b"4006381-333931", b"", b"SKU 7", b"TEAPO", *[b""] * 8]
UNAVAILABLE = 11
# Times of availability, long before the log and long after our days, so that only what asks for such a moment
# sees them: one item comes, one goes, and one does both.
LATE, EARLY, SHORT = 9, 5, 3
OPENING, CLOSING = 1_000_000_000, 10_000_000_000

CONFIG = Config(
    model=ModelConfig(
        max_text_tokens=10,
        max_query_tokens=8,
        behaviour_dim=8,
        history_dim=6,
        history_heads=2,
        max_history=4,
        lora_rank=2,
        num_top_layers=1,
    ),
    train=TrainConfig(
        batch_size=4, targets_per_query=2, uniform_negatives=5, learning_rate=1e-2, recommender_epochs=1
    ),
    serve=ServeConfig(num_candidates=6),
)
NUM_USERS = 3
USER_IDS = np.array([b"ann", b"bob", b"cid"], object)
# Dee is known to the servable alone, for rows of items that she dislikes.
KNOWN_IDS, DISLIKED = np.array([*USER_IDS, b"dee"], object), [2, 5]
# Whom the log knows: Cid never did anything.
LOG_USER_IDS = np.array(sorted([b"ann", b"bob", *(f"u{n:02d}".encode() for n in range(17))]), object)
LOG_KINDS = ("click", "buy")
DAY = int(DAY_S)
# The log's first day, and the days after it on which validation, the test window and the future begin.
LOG_START = 20_000 * DAY
VALIDATION_DAY, TEST_DAY, LOG_DAYS = 150, 180, 200
USER_CATEGORY_SIZES = (3,)
NUM_USER_NUMBERS = 2


def make_tokenizer() -> Tokenizer:
    return Tokenizer(VOCABULARY)


def make_encoder(*, num_layers: int = 2, dropout: float = 0.0, **settings: Any) -> TextEncoder:
    """A random encoder, the same every time."""
    keras.utils.set_random_seed(3)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=len(VOCABULARY),
        num_layers=num_layers,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=16,
        dropout=dropout,
    )
    encoder = TextEncoder(backbone, **settings)
    randomise(encoder, scale=0.2)
    return encoder


def make_items() -> ItemTable:
    tokens = make_tokenizer()(tf.constant(TITLES), length=CONFIG.model.max_text_tokens).numpy()
    numbers = np.random.default_rng(5).normal(size=(len(IDS), 2)).astype(np.float32)
    numbers[:, 1] = 0.0
    numbers[4] = 0.0, 1.0
    return ItemTable(
        ids=np.array(IDS, object),
        titles=np.array([title.encode() for title in TITLES], object),
        tokens=tokens,
        text_vectors=encode_tokens(make_encoder(), tokens),
        categories=(
            make_categories("room", [[room] for room in ROOMS], ["hall", "kitchen", "garden"]),
            make_categories("colour", [[colour] for colour in COLOURS], ["blue", "red", "green"]),
        ),
        numbers=numbers,
        available=np.arange(len(IDS)) != UNAVAILABLE,
    )


def make_categories(
    name: str, values: Sequence[Sequence[str]], vocabulary: Sequence[str] = ()
) -> CategoryColumn:
    """A column of certain values of each item; those that the vocabulary lacks are out of it."""
    flat = [value for row in values for value in row]
    known = {value: position for position, value in enumerate(vocabulary)}
    return CategoryColumn.of(
        name,
        size=len(vocabulary) + 1,
        texts=Lists.of(
            np.array([*(value.encode() for value in flat), None], object)[:-1],
            np.array(list(map(len, values))),
        ),
        positions=np.array([known.get(value, len(vocabulary)) for value in flat]),
    )


def with_rooms(items: ItemTable, rooms: Mapping[int, Sequence[str]]) -> ItemTable:
    """The catalogue with other rooms of some rows, of which an item may have several."""
    values = [rooms.get(row, [room]) for row, room in enumerate(ROOMS)]
    column = make_categories("room", values, ["hall", "kitchen", "garden"])
    return dataclasses.replace(items, categories=(column, *items.categories[1:]))


def make_two_tower(items: ItemTable, config: Config = CONFIG, **settings: Any) -> TwoTower:
    """The retrieval model as training begins."""
    return TwoTower(
        items,
        make_encoder(**encoder_settings(config.model)),
        config=config.model,
        train=config.train,
        num_users=NUM_USERS,
        user_category_sizes=USER_CATEGORY_SIZES,
        num_user_numbers=NUM_USER_NUMBERS,
        **settings,
    )


def make_vocabularies(items: ItemTable) -> Vocabularies:
    return Vocabularies(
        items=items.ids,
        users=USER_IDS,
        item_categories=(
            np.array([b"hall", b"kitchen", b"garden"], object),
            np.array([b"blue", b"red", b"green"], object),
        ),
        user_categories=(np.array([b"new", b"regular"], object),),
    )


def make_trained(items: ItemTable) -> TrainedModel:
    """A model whose every weight has been moved, as training would."""
    two_tower = make_two_tower(items)
    randomise(two_tower, scale=0.1)
    return TrainedModel(
        two_tower=two_tower,
        tokenizer=make_tokenizer(),
        num_user_numbers=NUM_USER_NUMBERS,
        vocabularies=make_vocabularies(items),
    )


def make_log() -> EventLog:
    """Two hundred days of nineteen users; Ann's and Bob's events are the histories of `make_users`."""
    rng = np.random.default_rng(11)
    num_events = 400
    users = rng.integers(2, len(LOG_USER_IDS), num_events)
    items = rng.integers(0, len(IDS), num_events)
    days = rng.integers(0, LOG_DAYS, num_events)
    kinds = rng.integers(0, 2, num_events)
    # The latest first: what they chose, and how many days before the end of the log.
    own = [(0, row, 3 + 16 * n) for n, row in enumerate([0, 0, 3, 4, 10, 10, 10, 1, 7])]
    own += [(1, row, 20 + 40 * n) for n, row in enumerate([2, 9])]
    own_users, own_items, ages = np.array(own).T
    kinds = np.append(kinds, np.arange(len(own)) % 2)
    return EventLog.of(
        user_rows=np.append(users, own_users),
        item_rows=np.append(items, own_items),
        times=LOG_START + DAY * np.append(days, LOG_DAYS - ages) + 3600,
        kinds=kinds,
        weights=np.where(kinds == 1, 1.0, 0.2),
        num_users=len(LOG_USER_IDS),
        num_items=len(IDS),
    )


def make_recommender(items: ItemTable, log: EventLog) -> Recommender:
    recommender, _ = fit_recommender(
        log,
        LOG_USER_IDS,
        starts=(LOG_START + VALIDATION_DAY * DAY, LOG_START + TEST_DAY * DAY),
        text_vectors=items.text_vectors,
        heads=Heads(kinds=LOG_KINDS),
        train=CONFIG.train,
    )
    assert recommender is not None
    return recommender


def make_recommending(items: ItemTable, recommender: Recommender) -> Recommending:
    return Recommending(
        recommender, items.text_vectors, log=make_log(), log_users=LOG_USER_IDS, user_ids=KNOWN_IDS
    )


def make_users() -> UserTable:
    """Ann chose more than the model looks at, Bob little, and Cid nothing; Dee only dislikes."""
    return UserTable(
        ids=KNOWN_IDS,
        history_rows=np.array([[0, 3, 4, 10], [2, 9, -1, -1], *[[-1] * 4] * 2], np.int32),
        history_counts=np.array([[2, 1, 1, 3], [1, 1, 0, 0], *[[0] * 4] * 2], np.float32),
        seen=[np.array([0, 3, 4, 10, 1, 7]), np.array([2, 9]), *[np.zeros(0, np.int64)] * 2],
        user_rows=np.array([0, 1, 2, NUM_USERS], np.int32),
        categories=np.array([[0], [1], [2], [2]], np.int32),
        numbers=np.array([[0.5, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], np.float32),
        unknown_row=NUM_USERS,
        unknown_categories=np.array([2], np.int32),
        disliked=[*[np.zeros(0, np.int32)] * 3, np.array(DISLIKED)],
    )


def make_times() -> np.ndarray:
    """From when and until when each item is available, int64 ``[2, num_items]``."""
    times = np.repeat([[FIRST], [LAST]], len(IDS), axis=1)
    times[0, [LATE, SHORT]], times[1, [EARLY, SHORT]] = OPENING, CLOSING
    return times


def make_searching(items: ItemTable, trained: TrainedModel) -> Searching:
    columns = {"title": TITLES, "room": ROOMS, "colour": COLOURS}
    suggesting = Suggesting({"lamp": 3, "light": 2, "box": 2}, TITLES, {"red cup": 7, "red teapot": 2})
    return Searching(LexicalIndex(columns), text_matrix(trained.two_tower, items), suggesting)


def make_servable(items: ItemTable, trained: TrainedModel, searching: Searching | None = None) -> Servable:
    return Servable(
        trained,
        items,
        make_users(),
        searching or make_searching(items, trained),
        make_recommending(items, trained.recommender) if trained.recommender else None,
        max_history=CONFIG.model.max_history,
        max_query_tokens=CONFIG.model.max_query_tokens,
        max_text_tokens=CONFIG.model.max_text_tokens,
        num_candidates=CONFIG.serve.num_candidates,
        codes=[np.array(CODES, object)],
        numbers={"price": np.array(PRICES)},
        times=make_times(),
    )


@functools.cache
def shared_model() -> tuple[ItemTable, TrainedModel]:
    """The catalogue and a model, made once for all tests; not to be changed."""
    items = make_items()
    return items, make_trained(items)


@functools.cache
def shared_recommender() -> Recommender:
    """The recommender over the catalogue of `shared_model`, made once for all tests; not to be changed."""
    return make_recommender(shared_model()[0], make_log())


@functools.cache
def shared_servable() -> tuple[Servable, dict[str, Any]]:
    """The servable of both with its signatures, which take seconds to trace."""
    items, trained = shared_model()
    servable = make_servable(items, dataclasses.replace(trained, recommender=shared_recommender()))
    return servable, servable.signatures()


def make_inputs(batch: int, seed: int = 0, *, max_history: int = 4, num_targets: int = 2) -> dict[str, Any]:
    """What `TwoTower` takes in training: random queries, histories, users and targets."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, max_history + 1, batch)
    is_past = np.arange(max_history) < lengths[:, None]
    tokens = make_tokenizer()(tf.constant(rng.choice(TITLES, batch)), length=CONFIG.model.max_query_tokens)
    inputs = {
        "query_tokens": tokens.numpy(),
        "history_rows": np.where(is_past, rng.integers(0, len(IDS), is_past.shape), -1).astype(np.int32),
        "history_counts": np.where(is_past, rng.integers(1, 4, is_past.shape), 0).astype(np.float32),
        "user_row": rng.integers(0, NUM_USERS + 1, batch).astype(np.int32),
        features.USER_CATEGORIES: rng.integers(0, USER_CATEGORY_SIZES[0], (batch, 1)).astype(np.int32),
        features.USER_NUMBERS: rng.normal(size=(batch, NUM_USER_NUMBERS)).astype(np.float32),
        "target_rows": rng.integers(0, len(IDS), (batch, num_targets)).astype(np.int32),
        "target_weights": rng.uniform(0.1, 1.0, (batch, num_targets)).astype(np.float32),
    }
    return {name: tf.constant(value) for name, value in inputs.items()}


def randomise(model: Any, *, scale: float, seed: int = 1) -> None:
    """Moves every weight, so that what starts at zero takes part."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        moved = variable.numpy() + scale * rng.normal(size=variable.shape)
        # A variance stays positive.
        variable.assign(np.abs(moved) if "variance" in variable.path else moved)
