"""The servable, asked in process through the signatures that a server calls."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the ops of the servable)

from components.retrieval_evaluator.baselines.base import Queries
from components.retrieval_evaluator.evaluation_data import Items
from dataset.times import FIRST, LAST

Array = np.ndarray[Any, Any]

# Long enough for every metric after what the user had before is taken out.
LIST_LENGTH = 200
_MAX_HISTORY = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """Lists of a batch of requests.

    Attributes:
        rows: int64 ``[batch, k]``, -1 for none.
        scores: float32 ``[batch, k]``.
        probabilities: float32 ``[batch, k]``, of a choice or of relevance.
        reason_rows: int64 ``[batch, k]``, the item of the history that spoke most for each, -1 for none.
        matches: object ``[batch, k]``, bytes, a line ``word=column`` for each word of the query that it has.
    """

    rows: Array
    scores: Array
    probabilities: Array
    reason_rows: Array
    matches: Array

    def as_scores(self, num_items: int) -> Array:
        """float32 `[batch, num_items]`; ``-inf`` for items that are not in the list."""
        scores = np.full((len(self.rows), num_items + 1), -np.inf, np.float32)
        np.put_along_axis(scores, np.where(self.rows < 0, num_items, self.rows), self.scores, axis=1)
        return scores[:, :num_items]


class ServedModel:
    """A SavedModel and the catalogue its ids are of.

    Every item counts as available at any time that is asked for: what people chose in the past is looked for,
    and it may have gone since, or come after the moment they are asked for.

    Args:
        folder: The SavedModel.
        items: The catalogue.
    """

    def __init__(self, folder: str, items: Items) -> None:
        self._loaded = tf.saved_model.load(folder)
        self._signatures = self._loaded.signatures
        # A model without times of availability has no such variable.
        if (times := getattr(self._loaded, "times", None)) is not None:
            times.assign(np.repeat([[FIRST], [LAST]], times.shape[1], axis=1))
        self._items = items
        self._ids = np.array([item.encode() for item in items.ids], object)

    def recommend(
        self,
        queries: Queries,
        *,
        exclude_seen: bool,
        user_ids: list[str],
        now: int,
        k: int = LIST_LENGTH,
        diversity: float = 0.0,
    ) -> Answers:
        """Recommends with the histories that `queries` hold, not with those the servable carries."""
        batch = [len(queries)]
        asked = {"exclude_seen": tf.fill(batch, exclude_seen), "diversity": tf.fill(batch, diversity)}
        return self._list("recommend", self._asker(queries, user_ids, now) | asked, k)

    def channel_scores(self, queries: Queries, user_ids: list[str], now: int) -> dict[str, Array]:
        """What each channel alone says of the catalogue: float32 ``[batch, num_items]``, -inf for nothing."""
        said = self._loaded.channel_scores(**self._asker(queries, user_ids, now))
        found = {name: scores.numpy() for name, scores in said.items()}
        return {name: np.where(scores > 0, scores, -np.inf) for name, scores in found.items()}

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The channels that answer without a query; none where the towers do."""
        if not hasattr(self._loaded, "channel_scores"):
            return ()
        (function,) = self._loaded.channel_scores.concrete_functions
        return tuple(sorted(function.structured_outputs))

    def search(self, texts: list[str], *, k: int = LIST_LENGTH, spell: bool = True) -> Answers:
        """Searches for an anonymous asker, with or without a correction of the spelling."""
        nobody = {
            "user_id": tf.fill([len(texts)], ""),
            "history": tf.zeros([len(texts), 0], tf.string),
            "history_times": tf.zeros([len(texts), 0], tf.int64),
            "now": tf.zeros([len(texts)], tf.int64),
        }
        asked = {
            "query": tf.constant(texts),
            "exclude_seen": tf.fill([len(texts)], False),
            "spell": tf.fill([len(texts)], spell),
            "offset": tf.fill([len(texts)], 0),
            "sort": tf.fill([len(texts)], ""),
        }
        return self._list("search", nobody | asked, k)

    def query_vectors(self, queries: Queries, user_ids: list[str]) -> Array:
        """The query tower's vectors: float32 `[batch, dim]`."""
        asker = self._asker(queries, user_ids, now=0)
        return self._call("embed_query", asker | {"query": tf.constant(list(queries.texts))})[
            "embedding"
        ].numpy()

    def item_vectors(self) -> Array:
        """The item tower's vectors of the catalogue: float32 `[num_items, dim]`, zeros for unknown items."""
        ids, texts = tf.constant(self._ids.tolist()), tf.fill([len(self._ids)], "")
        parts = [
            self._signatures["embed_item"](item_id=ids[s : s + 1024], text=texts[s : s + 1024])[
                "embedding"
            ].numpy()
            for s in range(0, len(self._ids), 1024)
        ]
        return np.concatenate(parts)

    def _list(self, signature: str, inputs: dict[str, tf.Tensor], k: int) -> Answers:
        batch = len(next(iter(inputs.values())))
        empty = tf.zeros([batch, 0], tf.string)
        limits = {"exclude": empty, "filters": empty, "k": tf.fill([batch], k)}
        wishes = {"diversity": tf.zeros([batch]), "boost": empty, "pin": empty}
        answer = self._call(signature, limits | wishes | inputs)
        scores = answer["scores"].numpy()
        # A model of an earlier version has no probabilities and no reasons.
        speakers = answer.get("reason_item_ids", tf.fill(scores.shape, ""))
        return Answers(
            rows=self._items.rows(answer["item_ids"].numpy()),
            scores=scores,
            probabilities=answer.get("probabilities", answer["scores"]).numpy(),
            reason_rows=self._items.rows(speakers.numpy()),
            matches=answer.get("matches", tf.fill(scores.shape, "")).numpy(),
        )

    def _call(self, signature: str, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Calls a signature with those of the inputs that it has: a model of an earlier version has fewer."""
        function = self._signatures[signature]
        known = function.structured_input_signature[1]
        answer: dict[str, tf.Tensor] = function(**{name: inputs[name] for name in known})
        return answer

    def _asker(self, queries: Queries, user_ids: list[str], now: int) -> dict[str, tf.Tensor]:
        ids, times = self._histories(queries)
        return {
            "user_id": tf.constant(user_ids),
            "history": ids,
            "history_times": times,
            "now": tf.fill([len(queries)], np.int64(now)),
        }

    def _histories(self, queries: Queries) -> tuple[tf.Tensor, tf.Tensor]:
        """An id, string, and a time, int64, for each moment an item was chosen at, most recent first.

        Both are ``[batch, n]``.
        """
        rows, moments = [], []
        for start, stop in zip(queries.history_starts[:-1], queries.history_starts[1:], strict=True):
            items, times = queries.history_items[start:stop], queries.history_times[start:stop]
            # What was bought twice in one basket was chosen once.
            _, first = np.unique(np.stack([times, items]), axis=1, return_index=True)
            kept = np.sort(first)[:_MAX_HISTORY]
            rows.append(items[kept])
            moments.append(times[kept])
        width = max((len(row) for row in rows), default=0)
        table, dates = np.full((len(rows), width), b"", object), np.zeros((len(rows), width), np.int64)
        for number, (row, times) in enumerate(zip(rows, moments, strict=True)):
            table[number, : len(row)], dates[number, : len(row)] = self._ids[row], times
        return tf.constant(table.tolist(), tf.string, shape=table.shape), tf.constant(dates)
