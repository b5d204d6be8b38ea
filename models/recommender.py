"""The recommender: fitted channels and the ranker of what they name, as files and in the graph."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from typing import Any

import numpy as np
import tensorflow as tf

from models import weights
from models.channels.channels import Channels
from models.channels.cosine import text_links
from models.channels.fit import MAX_TEXT_LINKS, NUM_LINKS, ChannelTables, fit_channels
from models.channels.history import Horizon
from models.channels.links import Links
from models.channels.neighbours import NeighbourTables
from models.event_log import EventLog, places_of
from models.heads import Heads
from models.list_ranker import ListRanker

_TABLES_FILE, _RANKER_FILE, _DESCRIPTION_FILE = "channels.npz", "list_ranker.npz", "recommender.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recommender:
    """What answers without a query.

    Attributes:
        tables: The channels.
        ranker: The order of what they name.
        user_ids: object ``[num_users]``, the ids of the log's users in byte order; who is a neighbour is
            told by the place here.
    """

    tables: ChannelTables
    ranker: ListRanker
    user_ids: np.ndarray

    def save(self, folder: str) -> None:
        """Writes three files beside a model."""
        tables = self.tables
        arrays: dict[str, Any] = {"statistics": tables.statistics, "user_ids": self.user_ids.astype("S")}
        for name, links in tables.links.items():
            arrays |= {f"links/{name}/items": links.items, f"links/{name}/weights": links.weights}
        for field in dataclasses.fields(tables.neighbours):
            arrays[f"neighbours/{field.name}"] = getattr(tables.neighbours, field.name)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        _write(folder, _TABLES_FILE, buffer.getvalue())
        _write(folder, _RANKER_FILE, weights.to_bytes(self.ranker))
        description = {
            "now": tables.now,
            "horizon": dataclasses.asdict(tables.horizon),
            "links": list(tables.links),
            "heads": dataclasses.asdict(self.ranker.heads),
            "num_features": self.ranker.num_features,
            "num_networks": self.ranker.num_networks,
        }
        _write(folder, _DESCRIPTION_FILE, json.dumps(description).encode())

    @classmethod
    def load(cls, folder: str) -> Recommender | None:
        """Reads what `save` wrote; ``None`` beside a model that has none."""
        if not tf.io.gfile.exists(os.path.join(folder, _DESCRIPTION_FILE)):
            return None
        described: dict[str, Any] = json.loads(_read(folder, _DESCRIPTION_FILE))
        arrays = np.load(io.BytesIO(_read(folder, _TABLES_FILE)))
        heads = described["heads"]
        ranker = ListRanker(
            described["num_features"],
            Heads.from_config(heads),
            num_networks=described["num_networks"],
        )
        path = os.path.join(folder, _RANKER_FILE)
        for variable, value in weights.from_bytes(_read(folder, _RANKER_FILE), ranker, path):
            variable.assign(value)
        tables = ChannelTables(
            now=described["now"],
            horizon=Horizon(**described["horizon"]),
            links={
                name: Links(items=arrays[f"links/{name}/items"], weights=arrays[f"links/{name}/weights"])
                for name in described["links"]
            },
            neighbours=NeighbourTables(
                **{
                    field.name: arrays[f"neighbours/{field.name}"]
                    for field in dataclasses.fields(NeighbourTables)
                }
            ),
            statistics=arrays["statistics"],
        )
        return cls(tables=tables, ranker=ranker, user_ids=arrays["user_ids"].astype(object))

    def on_catalogue(self, rows: np.ndarray, text_vectors: np.ndarray) -> Recommender:
        """The same over another catalogue: what is new lives on its text, what is gone says nothing.

        Args:
            rows: int64 ``[num_items_before]``, the new row of each item, -1 where it is gone.
            text_vectors: float32 ``[num_items, dim]`` of unit length, of the new catalogue.
        """
        num_items = len(text_vectors)
        before = self.tables
        stays = rows >= 0
        statistics = np.zeros((num_items, before.statistics.shape[1]), np.float32)
        statistics[rows[stays]] = before.statistics[stays]
        links = {name: link.on_rows(rows, num_items) for name, link in before.links.items()}
        if num_items <= MAX_TEXT_LINKS:
            links["text"] = text_links(text_vectors, num_links=NUM_LINKS)
        tables = dataclasses.replace(
            before,
            links=links,
            statistics=statistics,
            neighbours=before.neighbours.on_rows(rows, num_items),
        )
        return dataclasses.replace(self, tables=tables)

    def refitted(self, log: EventLog, user_ids: np.ndarray, text_vectors: np.ndarray) -> Recommender:
        """The same ranker over channels that are fitted to a whole log.

        Args:
            log: Events.
            user_ids: object ``[num_users]``, in the order of the log's rows.
            text_vectors: float32 ``[num_items, dim]`` of unit length.
        """
        now = int(log.times.max(initial=self.tables.now)) + 1
        tables = fit_channels(log, now, self.tables.horizon, text_vectors)
        return dataclasses.replace(self, tables=tables, user_ids=user_ids)

    def channels(self, text_vectors: tf.Tensor | tf.Variable) -> Channels:
        """The channels in the graph, over the texts of the catalogue; a variable of them is shared."""
        return Channels(self.tables, text_vectors)

    def neighbour_positions(self, user_ids: np.ndarray) -> np.ndarray:
        """The place of each of object ``[n]`` ids among the neighbours: int32 ``[n]``, -1 for none."""
        users = places_of(user_ids, self.user_ids)
        positions = places_of(users, self.tables.neighbours.user_rows)
        return np.where(users >= 0, positions, -1).astype(np.int32)


def _write(folder: str, name: str, content: bytes) -> None:
    with tf.io.gfile.GFile(os.path.join(folder, name), "wb") as file:
        file.write(content)


def _read(folder: str, name: str) -> bytes:
    with tf.io.gfile.GFile(os.path.join(folder, name), "rb") as file:
        return file.read()
