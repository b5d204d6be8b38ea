"""Training of the recommender: what channels would have named in past windows, and what was chosen then."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from models.budget import Budget
from models.channels.channels import MAX_SEEN, Channels
from models.channels.event_store import EventStore, history_at
from models.channels.fit import fit_channels
from models.channels.history import Horizon
from models.config import TrainConfig
from models.event_log import DAY_S, EventLog, places_of
from models.heads import RATING, Heads
from models.list_ranker import ListRanker
from models.recommender import Recommender

NUM_WINDOWS = 3
NUM_NETWORKS = 4
# Unseen candidates of a list in training; more are ranked when asked, and teach nothing more.
_NUM_UNSEEN = 100
# One of so many lists is of a stranger.
_STRANGERS = 8
# Users a step, each with two lists.
_BATCH = 24
_LEARNING_RATE, _WEIGHT_DECAY, _CLIP_NORM = 2e-3, 1e-4, 1.0
_MAX_ROWS_FOR_QUANTILES = 100_000
# Scores of one channel for a chunk of users, at most.
_MAX_SCORES = 1 << 22


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lists:
    """What the channels named for users at the start of windows, and what these chose in it.

    Attributes:
        features: float32 ``[num_lists, n, num_features]``.
        is_valid: bool ``[num_lists, n]``.
        is_seen: bool ``[num_lists, n]``.
        labels: float32 ``[num_lists, n]`` by head.
    """

    features: np.ndarray
    is_valid: np.ndarray
    is_seen: np.ndarray
    labels: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def joined(cls, parts: list[Lists]) -> Lists:
        """Those of several windows."""
        return cls(
            features=np.concatenate([part.features for part in parts]),
            is_valid=np.concatenate([part.is_valid for part in parts]),
            is_seen=np.concatenate([part.is_seen for part in parts]),
            labels={name: np.concatenate([part.labels[name] for part in parts]) for name in parts[0].labels},
        )


def fit_recommender(
    log: EventLog,
    user_ids: np.ndarray,
    *,
    starts: tuple[int, int],
    text_vectors: np.ndarray,
    heads: Heads,
    train: TrainConfig,
    within_sessions: bool = False,
    budget: Budget | None = None,
) -> tuple[Recommender | None, list[dict[str, Any]]]:
    """Trains on past windows, with channels fitted strictly before each, then fits the channels at the end.

    A window is as long as validation's, and the last one is validation's. There are fewer of them if the time
    is short, but one at least.

    Args:
        log: Events; none of the test window is looked at, nor of validation's without ``train.refit``.
        user_ids: object ``[num_users]``, in the order of the log's rows.
        starts: When validation and test begin, epoch seconds.
        text_vectors: float32 ``[num_items, dim]`` of unit length.
        heads: The labels.
        train: Epochs, most users of a window, and the seed.
        within_sessions: Whether users are sessions, which are asked for their last moment.
        budget: The time there is; ``None`` for any.

    Returns:
        The recommender, ``None`` where no past window has a user with a past and a choice, and its curves.
    """
    now = starts[1] if train.refit else starts[0]
    window_s = max(starts[1] - starts[0], int(DAY_S))
    horizon = Horizon.of(log.between(None, starts[0]), window_s / DAY_S)
    budget, longest_s = budget or Budget(), 0.0
    parts: list[Lists] = []
    for k in range(NUM_WINDOWS):
        # Channels are fitted once more at the end, and the ranker before that.
        if parts and budget.left_s() < 3 * longest_s:
            budget.cut(f"The recommender learnt from {k} of {NUM_WINDOWS} past windows.")
            break
        begun, start = time.monotonic(), now - (k + 1) * window_s
        lists = window_lists(
            log,
            start,
            start + window_s,
            horizon,
            text_vectors,
            heads,
            train,
            within_sessions=within_sessions,
        )
        longest_s = max(longest_s, time.monotonic() - begun)
        if lists is not None:
            parts.append(lists)
    if not any((part.labels[heads.kinds[0]] * part.is_valid).any() for part in parts):
        return None, []
    ranker, curves = fit_list_ranker(
        Lists.joined(parts), heads, train, is_over=lambda: budget.left_s() < longest_s
    )
    num_epochs = len(curves[0]["points"])
    if num_epochs < train.recommender_epochs:
        budget.cut(f"The ranker was fitted for {num_epochs} of {train.recommender_epochs} epochs.")
    tables = fit_channels(log, now, horizon, text_vectors)
    return Recommender(tables=tables, ranker=ranker, user_ids=user_ids), curves


def window_lists(
    log: EventLog,
    start: int,
    end: int,
    horizon: Horizon,
    text_vectors: np.ndarray,
    heads: Heads,
    train: TrainConfig,
    *,
    within_sessions: bool = False,
) -> Lists | None:
    """What channels fitted before a window name for those who came back in it; ``None`` for nobody."""
    histories, window = log.cut(start, end, within=within_sessions)
    had = histories.binary()
    is_known = np.asarray(log.between(None, start).binary().sum(axis=0)).ravel() > 0
    chosen = window.binary()[:, is_known]
    users = np.flatnonzero((np.diff(had.indptr) > 0) & (np.diff(chosen.indptr) > 0))
    if not len(users):
        return None
    rng = np.random.default_rng(train.seed)
    if len(users) > train.recommender_users:
        users = np.sort(rng.choice(users, train.recommender_users, replace=False))
    tables = fit_channels(log, start, horizon, text_vectors)
    channels, events = Channels(tables, text_vectors), EventStore(histories, users)
    positions = places_of(users, tables.neighbours.user_rows).astype(np.int32)
    # What nobody had chosen yet may not have been for sale.
    is_allowed = tf.constant(is_known[None])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)] * 2, autograph=False)
    def named(place: tf.Tensor, position: tf.Tensor) -> tuple[tf.Tensor, ...]:
        rows, times, weights = events(place)
        history = history_at(rows, times, weights, tf.fill(tf.shape(place), np.int64(start)), horizon)
        found = channels.candidates(
            history, position, is_allowed, num_unseen=tf.fill(tf.shape(place), _NUM_UNSEEN)
        )
        missing = MAX_SEEN - (tf.shape(found.rows)[1] - tf.minimum(_NUM_UNSEEN, log.num_items))
        return tuple(
            tf.pad(values, [[0, 0], [missing, 0]] + [[0, 0]] * (values.shape.rank - 2))
            for values in (found.rows, found.is_valid, found.is_seen, found.features)
        )

    # Some are asked again as strangers, so that the ranker knows lists without a history too.
    strangers = np.sort(rng.permutation(len(users))[: len(users) // _STRANGERS])
    places = np.append(np.arange(len(users)), np.full(len(strangers), -1)).astype(np.int32)
    positions = np.append(positions, np.full(len(strangers), -1)).astype(np.int32)
    users = np.append(users, users[strangers])
    size = int(np.clip(_MAX_SCORES // log.num_items, 1, 64))
    chunks = []
    for s in range(0, len(users), size):
        named_here = named(tf.constant(places[s : s + size]), tf.constant(positions[s : s + size]))
        chunks.append([values.numpy() for values in named_here])
    rows, is_valid, is_seen, features = (np.concatenate(part) for part in zip(*chunks, strict=True))
    return Lists(
        features=features,
        is_valid=is_valid,
        is_seen=is_seen,
        labels=_labels(window, users, rows, heads),
    )


def _labels(window: EventLog, users: np.ndarray, rows: np.ndarray, heads: Heads) -> dict[str, np.ndarray]:
    """What became of each candidate in the window, by head: float32 ``[num_users, n]``."""
    lines = np.repeat(users, rows.shape[1])

    def at(matrix: sparse.csr_matrix) -> np.ndarray:
        return np.asarray(matrix[lines, rows.ravel()], np.float32).reshape(rows.shape)

    # Who reached a later stage of the funnel has passed the earlier ones.
    labels = {
        kind: (at(window.matrix(window.kinds >= place)) > 0).astype(np.float32)
        for place, kind in enumerate(heads.kinds)
    }
    if heads.has_rating:
        rated = np.isfinite(window.values)
        count = at(window.matrix(rated))
        total = at(window.matrix(np.where(rated, window.values, 0.0)))
        labels[RATING] = np.where(count > 0, total / np.maximum(count, 1.0), np.nan).astype(np.float32)
    return labels


def fit_list_ranker(
    lists: Lists, heads: Heads, train: TrainConfig, *, is_over: Callable[[], bool] = lambda: False
) -> tuple[ListRanker, list[dict[str, Any]]]:
    """Fits the ranker on two kinds of list for each user: what was new to them, and all of it.

    Args:
        lists: Of past windows.
        heads: The labels.
        train: Epochs and the seed.
        is_over: Asked after each epoch whether the time is over.

    Returns:
        The ranker and its learning curve.
    """
    rng = np.random.default_rng(train.seed)
    ranker = ListRanker(lists.features.shape[-1], heads, num_networks=NUM_NETWORKS, seed=train.seed)
    flat = lists.features[lists.is_valid]
    sampled = rng.choice(len(flat), min(len(flat), _MAX_ROWS_FOR_QUANTILES), replace=False)
    ranker.normalise.adapt(flat[sampled])
    normalised = np.concatenate(
        [
            ranker.normalise(tf.constant(lists.features[s : s + 256])).numpy()
            for s in range(0, len(lists), 256)
        ]
    )
    is_listed = np.stack([lists.is_valid & ~lists.is_seen, lists.is_valid])
    # A user's two lists have their logits in common, so they are in one step.
    rows = np.flatnonzero((lists.labels[heads.kinds[0]] * lists.is_valid).any(axis=1))
    variables = ranker.trainable_variables
    num_steps = max(train.recommender_epochs * -(-len(rows) // _BATCH), 1)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, num_steps),
        weight_decay=_WEIGHT_DECAY,
        clipnorm=_CLIP_NORM,
    )
    optimizer.build(variables)

    @tf.function(reduce_retracing=True, autograph=False)
    def step(
        inputs: tf.Tensor, labels: dict[str, tf.Tensor], is_valid: tf.Tensor, listed: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = ranker.loss_of(inputs, labels, is_valid, listed)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    losses = []
    for epoch in range(train.recommender_epochs):
        order, total = rng.permutation(len(rows)), 0.0
        for s in range(0, len(order), _BATCH):
            row = rows[order[s : s + _BATCH]]
            labels = {name: tf.constant(values[row]) for name, values in lists.labels.items()}
            total += float(step(normalised[row], labels, lists.is_valid[row], is_listed[:, row])) * len(row)
        losses.append([epoch + 1, total / max(len(order), 1)])
        if is_over():
            break
    return ranker, [{"phase": "list ranker", "metric": "loss", "points": losses}]
