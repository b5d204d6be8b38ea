"""The servable, asked in process through the signatures that a server calls."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the ops of the servable)

from components.retrieval_evaluator.evaluation_data import Items
from models.channels.base import Queries

Array = np.ndarray[Any, Any]

# Long enough for every metric after what the user had before is taken out.
LIST_LENGTH = 200
_MAX_HISTORY = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """Lists of a batch of requests: item rows int64, -1 for none, and scores float32, `[batch, k]`."""

    rows: Array
    scores: Array

    def as_scores(self, num_items: int) -> Array:
        """float32 `[batch, num_items]`; ``-inf`` for items that are not in the list."""
        scores = np.full((len(self.rows), num_items + 1), -np.inf, np.float32)
        np.put_along_axis(scores, np.where(self.rows < 0, num_items, self.rows), self.scores, axis=1)
        return scores[:, :num_items]


class ServedModel:
    """A SavedModel and the catalogue its ids are of.

    Args:
        folder: The SavedModel.
        items: The catalogue.
    """

    def __init__(self, folder: str, items: Items):
        self._loaded = tf.saved_model.load(folder)
        self._signatures = self._loaded.signatures
        self._items = items
        self._ids = np.array([item.encode() for item in items.ids], object)

    def recommend(
        self, queries: Queries, *, exclude_seen: bool, user_ids: list[str], k: int = LIST_LENGTH
    ) -> Answers:
        """Recommends with the histories that `queries` hold, not with those the servable carries."""
        asker = {"user_id": tf.constant(user_ids), "history": self._histories(queries)}
        return self._list("recommend", asker | {"exclude_seen": tf.fill([len(queries)], exclude_seen)}, k)

    def search(self, texts: list[str], *, k: int = LIST_LENGTH) -> Answers:
        """Searches for an anonymous asker."""
        nobody = {"user_id": tf.fill([len(texts)], ""), "history": tf.zeros([len(texts), 0], tf.string)}
        seen = {"exclude_seen": tf.fill([len(texts)], False)}
        return self._list("search", {"query": tf.constant(texts)} | nobody | seen, k)

    def query_vectors(self, queries: Queries, user_ids: list[str]) -> Array:
        """The query tower's vectors: float32 `[batch, dim]`."""
        answer = self._signatures["embed_query"](
            query=tf.constant(list(queries.texts)),
            user_id=tf.constant(user_ids),
            history=self._histories(queries),
        )
        return answer["embedding"].numpy()

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
        answer = self._signatures[signature](**inputs, exclude=empty, filters=empty, k=tf.fill([batch], k))
        ids = answer["item_ids"].numpy()
        return Answers(rows=self._items.rows(ids), scores=answer["scores"].numpy())

    def _histories(self, queries: Queries) -> tf.Tensor:
        """String ``[batch, n]``: an id for every moment its item was chosen at, most recent first."""
        rows = []
        for start, stop in zip(queries.history_starts[:-1], queries.history_starts[1:], strict=True):
            items, times = queries.history_items[start:stop], queries.history_times[start:stop]
            # What was bought twice in one basket was chosen once.
            _, first = np.unique(np.stack([times, items]), axis=1, return_index=True)
            rows.append(items[np.sort(first)][:_MAX_HISTORY])
        width = max((len(row) for row in rows), default=0)
        table = np.full((len(rows), width), b"", object)
        for line, row in zip(table, rows, strict=True):
            line[: len(row)] = self._ids[row]
        return tf.constant(table.tolist(), tf.string, shape=table.shape)
