"""Transformed interactions as batches of the retrieval model, read from disk as they are needed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from dataset import features
from dataset.manifest import Manifest
from models.config import ModelConfig, TrainConfig
from models.encoding import encode_tokens
from models.recency_sample import RecencySample, recency
from models.text_encoder import TextEncoder

# The lists of an interaction that `Contexts` holds, by attribute.
_LISTS = {
    "histories": features.HISTORY_ROWS,
    "targets": features.TARGET_ROWS,
    "weights": features.TARGET_WEIGHTS,
    "kinds": features.KIND,
    "values": features.VALUE,
}
_CHUNK = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contexts:
    """Query contexts of one split, padded.

    Attributes:
        inputs: What `TwoTower` takes, by name, ``[num_contexts, …]``.
        user_ids: bytes ``[num_contexts]``.
        times: int64 ``[num_contexts]``, epoch seconds.
        queries: bytes ``[num_contexts]``.
        histories: One int64 ``[length]`` array a context: the whole of it, most recent first.
        targets: One int64 ``[num]`` array of item rows a context.
        weights: float32 ``[num]``, likewise.
        kinds: bytes ``[num]``, likewise; empty for judgments.
        values: float32 ``[num]``, likewise.
    """

    inputs: dict[str, np.ndarray]
    user_ids: np.ndarray
    times: np.ndarray
    queries: np.ndarray
    histories: list[np.ndarray]
    targets: list[np.ndarray]
    weights: list[np.ndarray]
    kinds: list[np.ndarray]
    values: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.user_ids)

    def take(self, rows: np.ndarray) -> Contexts:
        """The contexts at int64 ``[n]`` positions."""
        return Contexts(
            inputs={name: values[rows] for name, values in self.inputs.items()},
            user_ids=self.user_ids[rows],
            times=self.times[rows],
            queries=self.queries[rows],
            **{name: [getattr(self, name)[row] for row in rows] for name in _LISTS},
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Targets:
    """What was chosen in the contexts of some splits.

    Attributes:
        times: int64 ``[num_contexts]``, epoch seconds; 0 for none.
        contexts: int32 ``[num_targets]``, the positions of the contexts.
        rows: int32 ``[num_targets]``, the items chosen in them with a positive weight.
    """

    times: np.ndarray
    contexts: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def joined(cls, parts: Sequence[Targets]) -> Targets:
        """Those of several parts, whose contexts are counted through."""
        starts = np.cumsum([0, *map(len, parts)])
        none = np.zeros(0, np.int32)
        return cls(
            times=np.concatenate([none.astype(np.int64), *(part.times for part in parts)]),
            contexts=np.concatenate(
                [none, *(p.contexts + s for p, s in zip(parts, starts, strict=False))]
            ).astype(np.int32),
            rows=np.concatenate([none, *(part.rows for part in parts)]),
        )


class InteractionSource:
    """The splits of the interactions, as TFX Transform left them.

    Args:
        folder: The artifact, with one ``Split-NAME`` folder a split.
        transform_graph: Folder of TFX Transform's output.
        manifest: The dataset.
        model: Lengths of query and history.
        encoder: Given when it is frozen: each distinct query is then encoded once, here.
    """

    def __init__(
        self,
        folder: str,
        *,
        transform_graph: str,
        manifest: Manifest,
        model: ModelConfig,
        encoder: TextEncoder | None = None,
    ) -> None:
        self._folder, self._manifest, self._model = folder, manifest, model
        output = tft.TFTransformOutput(transform_graph)
        self._spec = output.transformed_feature_spec()
        self._encoder = encoder
        self._vectors: dict[bytes, np.ndarray] = {}
        users = manifest.users
        categorical = [features.user_feature(c) for c in users.categorical] if users else []
        self._categorical = [features.index_of(name) for name in categorical]
        self._numeric = [
            kind(features.user_feature(c))
            for c in (users.numeric if users else ())
            for kind in (features.scaled, features.missing)
        ]
        self.category_sizes = tuple(
            output.vocabulary_size_by_name(features.vocabulary_of(c)) + 1 for c in categorical
        )
        self.num_user_numbers = len(self._numeric)
        name = features.vocabulary_of(features.USER_ID)
        self.num_users = output.vocabulary_size_by_name(name) if manifest.events else 0
        self.user_ids = output.vocabulary_by_name(name) if manifest.events else []

    def files(self, split: str) -> list[str]:
        """The split's files, sorted."""
        return sorted(tf.io.gfile.glob(os.path.join(self._folder, f"Split-{split}", "*")))

    def targets(self, split: str) -> Targets:
        """What was chosen in the contexts of a split, and when."""
        spec = {n: self._spec[n] for n in (features.TIME, features.TARGET_ROWS, features.TARGET_WEIGHTS)}
        parts = []
        for records in _records(self.files(split)).batch(_CHUNK):
            parsed = tf.io.parse_example(records, spec)
            rows, weights = parsed[features.TARGET_ROWS], parsed[features.TARGET_WEIGHTS].values.numpy()
            parts.append(
                Targets(
                    times=parsed[features.TIME].numpy(),
                    contexts=rows.indices.numpy()[weights > 0, 0].astype(np.int32),
                    rows=rows.values.numpy()[weights > 0].astype(np.int32),
                )
            )
        return Targets.joined(parts)

    def load(self, split: str) -> Contexts:
        """Reads a whole split of evaluation contexts, one a user or query, in order of user and query."""
        files = self.files(split)
        self._encode_queries(files)
        records = _records(files).batch(_CHUNK)
        batches = [tf.io.parse_example(batch, self._spec) for batch in records]
        if not batches:
            return Contexts(
                inputs={}, user_ids=np.zeros(0, object), times=np.zeros(0, np.int64),
                queries=np.zeros(0, object), **{name: [] for name in _LISTS},
            )  # fmt: skip
        inputs = [{n: v.numpy() for n, v in self._inputs(batch).items()} for batch in batches]
        lists = {
            name: [row for batch in batches for row in _rows(batch[feature])]
            for name, feature in _LISTS.items()
        }
        contexts = Contexts(
            inputs={name: np.concatenate([part[name] for part in inputs]) for name in inputs[0]},
            user_ids=np.concatenate([batch[features.USER_ID].numpy() for batch in batches]),
            times=np.concatenate([batch[features.TIME].numpy() for batch in batches]),
            queries=np.concatenate([batch[features.QUERY].numpy() for batch in batches]),
            **lists,
        )
        return contexts.take(np.lexsort((contexts.queries.astype("S"), contexts.user_ids.astype("S"))))

    def dataset(
        self, splits: list[str], train: TrainConfig, *, end_time: int, sample: RecencySample
    ) -> tf.data.Dataset:
        """Endless shuffled training batches.

        Args:
            splits: Whose contexts; those without a target of positive weight are left out.
            train: Batch size, targets a context, half-life of an interaction and seed.
            end_time: Epoch seconds from which ages are counted.
            sample: Which contexts each pass draws.

        Returns:
            Batches as `TwoTower` takes them in training, of static shape.
        """
        files = [file for split in splits for file in self.files(split)]
        spec = {features.TIME: self._spec[features.TIME]}

        def recencies(records: tf.Tensor) -> tf.Tensor:
            times = tf.io.parse_example(records, spec)[features.TIME]
            return recency(times, end_time, train.recency_half_life_days)

        data = sample.passes(_records(files), recencies, seed=train.seed)
        data = data.batch(train.batch_size, drop_remainder=True)

        def prepare(records: tf.Tensor) -> dict[str, tf.Tensor]:
            parsed = tf.io.parse_example(records, self._spec)
            columns = self._inputs(parsed) | _targets(parsed, train, end_time, sample)
            # A TPU compiles the step for one shape.
            return {
                name: tf.ensure_shape(values, [train.batch_size, *values.shape[1:]])
                for name, values in columns.items()
            }

        self._encode_queries(files)
        return data.map(prepare, num_parallel_calls=2, deterministic=True).prefetch(2)

    def _inputs(self, parsed: dict[str, Any]) -> dict[str, tf.Tensor]:
        length = self._model.max_history
        # A column of padding, so that a batch of empty histories still has one.
        rows, counts = (
            tf.pad(tf.sparse.to_dense(parsed[name], default), [[0, 0], [0, length]], constant_values=default)[
                :, :length
            ]
            for name, default in ((features.HISTORY_ROWS, -1), (features.HISTORY_COUNTS, 0))
        )
        batch = tf.shape(rows)[0]
        categories = [parsed[name] for name in self._categorical]
        numbers = [parsed[name] for name in self._numeric]
        inputs = {
            features.QUERY_TOKENS: tf.cast(parsed[features.QUERY_TOKENS], tf.int32),
            features.HISTORY_ROWS: tf.ensure_shape(tf.cast(rows, tf.int32), [None, length]),
            features.HISTORY_COUNTS: tf.ensure_shape(tf.cast(counts, tf.float32), [None, length]),
            features.USER_ROW: tf.cast(parsed[features.USER_ROW], tf.int32),
            features.USER_CATEGORIES: tf.cast(tf.stack(categories, 1), tf.int32)
            if categories
            else tf.zeros([batch, 0], tf.int32),
            features.USER_NUMBERS: tf.stack(numbers, 1) if numbers else tf.zeros([batch, 0]),
        }
        if self._encoder is not None:
            inputs[features.QUERY_VECTORS] = self._lookup(parsed[features.QUERY])
        return inputs

    def _lookup(self, queries: tf.Tensor) -> tf.Tensor:
        keys, vectors = tf.constant(list(self._vectors)), np.stack(list(self._vectors.values()))
        initializer = tf.lookup.KeyValueTensorInitializer(keys, tf.range(len(vectors)))
        return tf.gather(vectors, tf.lookup.StaticHashTable(initializer, 0).lookup(queries))

    def _encode_queries(self, files: list[str]) -> None:
        """Encodes each distinct query of some files once."""
        if self._encoder is None:
            return
        self._vectors.setdefault(b"", np.zeros(self._encoder.output_dim, np.float32))
        spec = {name: self._spec[name] for name in (features.QUERY, features.QUERY_TOKENS)}
        new: dict[bytes, np.ndarray] = {}
        for records in _records(files).batch(4096):
            batch = tf.io.parse_example(records, spec)
            pairs = zip(batch[features.QUERY].numpy(), batch[features.QUERY_TOKENS].numpy(), strict=True)
            new.update((query, tokens) for query, tokens in pairs if query not in self._vectors)
        if new:
            vectors = encode_tokens(self._encoder, np.stack(list(new.values())).astype(np.int32))
            self._vectors.update(zip(new, vectors, strict=True))


def _targets(
    parsed: dict[str, Any], train: TrainConfig, end_time: int, sample: RecencySample
) -> dict[str, tf.Tensor]:
    """Some targets of each context, drawn anew every time.

    A context with fewer repeats them at weight zero. A context's weight is the square root of its number of
    targets, halved for every half-life of its age as far as the sample has not done so, and spread over them
    by their own weights.
    """
    rows = tf.sparse.to_dense(parsed[features.TARGET_ROWS])
    weights = tf.sparse.to_dense(parsed[features.TARGET_WEIGHTS])
    is_target = weights > 0
    num_targets = tf.reduce_sum(tf.cast(is_target, tf.int32), axis=1)
    drawn = tf.where(is_target, tf.random.uniform(tf.shape(weights), seed=train.seed), 2.0)
    order = tf.argsort(drawn, axis=1, stable=True)
    slots = tf.range(train.targets_per_query)[None]
    chosen = tf.gather(order, slots % tf.maximum(num_targets[:, None], 1), batch_dims=1)
    shown = tf.minimum(num_targets, train.targets_per_query)[:, None]
    context = (
        sample.weight(recency(parsed[features.TIME], end_time, train.recency_half_life_days))
        * tf.sqrt(tf.cast(num_targets, tf.float32))
        / tf.maximum(tf.cast(shown[:, 0], tf.float32), 1.0)
    )
    weight = tf.gather(weights, chosen, batch_dims=1) * context[:, None]
    shape = [None, train.targets_per_query]
    return {
        features.TARGET_ROWS: tf.ensure_shape(
            tf.cast(tf.gather(rows, chosen, batch_dims=1), tf.int32), shape
        ),
        features.TARGET_WEIGHTS: tf.ensure_shape(tf.where(slots < shown, weight, 0.0), shape),
    }


def _records(files: list[str]) -> tf.data.Dataset:
    return (
        tf.data.TFRecordDataset(files, "GZIP") if files else tf.data.Dataset.from_tensor_slices([""]).take(0)
    )


def _rows(values: tf.SparseTensor) -> list[np.ndarray]:
    ragged = tf.RaggedTensor.from_sparse(values)
    flat, splits = ragged.flat_values.numpy(), ragged.row_splits.numpy()
    return np.split(flat, splits[1:-1])
