"""Training of the ranker for queries: on what retrieval returned, with the judgments as labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from dataset import features
from models.candidate_features import CandidateFeatures
from models.config import ModelConfig, TrainConfig
from models.interactions import Contexts
from models.metrics import ndcg_at_k, rank_relevant
from models.ranker import RELEVANCE, Heads, Ranker
from models.retriever import Retriever
from models.validation import NDCG_K

_BATCH = 32
_HOLDOUT = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidates:
    """Retrieved candidates of query contexts, with their labels.

    Attributes:
        inputs: By name: ``query_vectors`` float32 ``[n, dim]``, ``rows`` int32 and ``is_valid`` bool
            ``[n, k]``, ``history_rows`` int32 and ``history_counts`` float32 ``[n, length]``.
        labels: By head: float32 ``[n, k]``, NaN where there is none.
    """

    inputs: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.inputs["rows"])

    def take(self, keep: np.ndarray) -> Candidates:
        """The contexts where bool ``[n]`` or int ``[m]`` `keep` says."""
        return Candidates(
            inputs={name: values[keep] for name, values in self.inputs.items()},
            labels={name: values[keep] for name, values in self.labels.items()},
        )

    def __add__(self, other: Candidates) -> Candidates:
        return Candidates(
            inputs={
                name: np.concatenate([values, other.inputs[name]]) for name, values in self.inputs.items()
            },
            labels={
                name: np.concatenate([values, other.labels[name]]) for name, values in self.labels.items()
            },
        )


def retrieve_candidates(
    contexts: Contexts, query_vectors: np.ndarray, retriever: Retriever, *, k: int
) -> Candidates:
    """Retrieves for each judged query and labels what comes back.

    An item that nobody judged is a negative: it was retrieved, so it is a hard one.

    Args:
        contexts: Judged queries.
        query_vectors: float32 ``[num_contexts, dim]``.
        retriever: The dense channel.
        k: Candidates of each query.
    """
    parts = [
        retriever.top(tf.constant(query_vectors[s : s + 256]), tf.constant(k))
        for s in range(0, len(contexts), 256)
    ]
    rows = np.concatenate([part[0].numpy() for part in parts])
    grades = np.zeros(retriever.item_vectors.shape[0], np.float32)
    labels = np.empty(rows.shape, np.float32)
    for label, row, targets, weights in zip(labels, rows, contexts.targets, contexts.weights, strict=True):
        grades[targets] = weights
        label[:] = np.minimum(grades[row], 1.0)
        grades[targets] = 0.0
    return Candidates(
        inputs={
            "query_vectors": query_vectors,
            "rows": rows,
            "is_valid": np.concatenate([part[2].numpy() for part in parts]),
            "history_rows": contexts.inputs[features.HISTORY_ROWS],
            "history_counts": contexts.inputs[features.HISTORY_COUNTS],
        },
        labels={RELEVANCE: labels},
    )


class RankerModel(keras.Model):
    """The ranker behind its features, so that features are computed a batch at a time."""

    def __init__(self, ranker: Ranker, candidate_features: CandidateFeatures) -> None:
        super().__init__()
        self.ranker, self._features = ranker, candidate_features

    def call(self, inputs: dict[str, tf.Tensor], training: bool = False) -> dict[str, tf.Tensor]:
        return self.ranker(
            self._features(
                inputs["query_vectors"],
                inputs["rows"],
                inputs["is_valid"],
                inputs["history_rows"],
                inputs["history_counts"],
            ),
            training=training,
        )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """`Ranker.compute_loss`, in which padding does not count."""
        return self.ranker.compute_loss(x, y, y_pred, x["is_valid"], training)


def fit_ranker(
    candidates: Candidates,
    heads: Heads,
    candidate_features: CandidateFeatures,
    *,
    model: ModelConfig,
    train: TrainConfig,
) -> tuple[Ranker, list[dict[str, Any]]]:
    """Fits on four fifths of the contexts and keeps the epoch whose order is best on the last fifth.

    Returns:
        The ranker and its learning curves.
    """
    keras.utils.set_random_seed(train.seed)
    fitted = RankerModel(
        Ranker(heads, num_cross_layers=model.num_cross_layers, seed=train.seed), candidate_features
    )
    order = np.random.default_rng(train.seed).permutation(len(candidates))
    held_out = candidates.take(np.sort(order[::_HOLDOUT]))
    # Too few to hold any out are all trained on.
    trained_on = np.delete(order, np.s_[::_HOLDOUT]) if len(order) >= _HOLDOUT else order
    training = candidates.take(np.sort(trained_on))
    data = tf.data.Dataset.from_tensor_slices((training.inputs, training.labels))
    data = data.shuffle(4096, seed=train.seed).batch(_BATCH)
    fitted.compile(optimizer=keras.optimizers.Adam(train.learning_rate), jit_compile=False)
    best, best_weights, points, losses = -1.0, [], [], []
    for epoch in range(train.ranker_epochs + 1):
        if epoch:
            losses.append(
                [epoch, float(fitted.fit(data, epochs=1, shuffle=False, verbose=0).history["loss"][0])]
            )
        value = _order_quality(fitted, held_out)
        points.append([epoch, value])
        # Epoch 0 only shows where retrieval's order stood: its probabilities mean nothing yet.
        if value > best and (epoch or not train.ranker_epochs):
            best, best_weights = value, [v.numpy() for v in fitted.ranker.variables]
    for variable, value in zip(fitted.ranker.variables, best_weights, strict=True):
        variable.assign(value)
    curves = [
        {"phase": "ranker", "metric": "val_ndcg@10", "points": points},
        {"phase": "ranker", "metric": "loss", "points": losses},
    ]
    return fitted.ranker, curves


def _order_quality(model: RankerModel, held_out: Candidates) -> float:
    """Mean nDCG@10 among the candidates."""
    predictions = model.predict(held_out.inputs, batch_size=_BATCH, verbose=0)
    is_valid = held_out.inputs["is_valid"]
    scores = np.where(is_valid, predictions[RELEVANCE], -np.inf)
    gains = sparse.csr_matrix(np.where(is_valid, held_out.labels[RELEVANCE], 0.0))
    measured = ndcg_at_k(rank_relevant(scores, gains), NDCG_K)
    return float(np.nanmean(measured)) if np.isfinite(measured).any() else 0.0
