"""A tiny model with all that lies beside one, a server on it, and gateways in front."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from starlette.testclient import TestClient

from serving.client.results import CHANNELS
from serving.servable.catalogue import write_catalogue
from serving.servable.extra_assets import ExtraAssets
from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer
from serving.web.app import create_app
from serving.web.config import GatewayConfig
from tests.serving import tiny_model

# What text has of each item's score; behaviour has the rest.
TEXT_SHARES = [1.0, 0.7, 0.0, 1.0, 0.5, 0.3]
PRICES = [19.5, 7.0, 2.1, None, 45.0, 0.85]
ROOMS = ["kitchen", "hall", "hall", "kitchen", "studio", None]
QUERIES = ["a red apron", "something for the hall"]

OpenGateway = Callable[..., TestClient]


class TwoPartModel(tiny_model.TinyModel):
    """The tiny model, with both parts in its scores, and with reasons for what it recommends.

    The latest item of the history speaks for every other one. Without a history everything is popular at the
    newest moment, and new at any other.
    """

    def _best(self, *arguments: Any) -> dict[str, Any]:
        answer = super()._best(*arguments)
        is_item = tf.equal(answer["item_ids"][..., None], tf.constant(tiny_model.ITEM_IDS))
        text = answer["scores"] * tf.reduce_sum(tf.cast(is_item, tf.float32) * TEXT_SHARES, axis=-1)
        behaviour = answer["scores"] - text
        said = {"dense_text": text, "dense_behaviour": behaviour}
        scores = [said.get(channel, tf.zeros_like(text)) for channel in CHANNELS]
        return answer | {"channel_scores": tf.stack(scores, axis=-1)}

    def recommend(self, *_: Any, **inputs: Any) -> dict[str, Any]:
        answer = super().recommend(**inputs)
        history, history_times, now = (inputs[name] for name in ("history", "history_times", "now"))
        ids = answer["item_ids"]
        place = tf.range(tf.shape(history, tf.int64)[1])
        latest = tf.argmax(tf.where(history != "", 1000 * (1 + history_times) - place, 0), axis=1)
        speaker = tf.gather(history, latest, batch_dims=1)[:, None]
        is_own = tf.reduce_any(tf.equal(ids[..., None], history[:, None]), axis=2)
        reasons = tf.where(now == 0, "popular", "new")[:, None]
        reasons = tf.where(is_own, "again", tf.where(speaker != "", "history", reasons))
        speakers = tf.where(is_own, ids, speaker)
        is_speaker = tf.equal(speakers[..., None], tiny_model.ITEM_IDS)
        titles = tf.gather(tiny_model.TITLES, tf.argmax(is_speaker, axis=2))
        titles = tf.where(tf.reduce_any(is_speaker, axis=2), titles, "")
        return answer | {
            "reasons": tf.where(ids != "", reasons, ""),
            "reason_item_ids": tf.where(ids != "", speakers, ""),
            "reason_titles": tf.where(ids != "", titles, ""),
        }


def named(*places: int) -> list[dict[str, str]]:
    return [{"item_id": tiny_model.ITEM_IDS[place], "title": tiny_model.TITLES[place]} for place in places]


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with version 1 in it; not to be changed."""
    folder = tmp_path_factory.mktemp("web") / "tandem"
    model = TwoPartModel()
    signatures = {
        name: tf.function(getattr(model, name)).get_concrete_function(**tiny_model.INPUTS[name])
        for name in ("search", "suggest", "facets", "recommend", "similar", "complement", "rank")
    }
    tf.saved_model.save(model, str(folder / "1"), signatures=signatures)
    extra = ExtraAssets(folder / "1")
    Path(extra.folder).mkdir()
    rows = zip(tiny_model.ITEM_IDS, PRICES, ROOMS, strict=True)
    write_catalogue(extra.catalogue_path, {"Price": float, "Room": str}, rows)
    examples = {
        "queries": QUERIES,
        "users": [
            {"user_id": "12352", "history": named(1, 2)},
            {"user_id": "7", "history": named(3)},
        ],
        "items": named(0, 1, 2),
    }
    extra.write_examples(examples)
    return folder


@pytest.fixture(scope="session")
def server_address(model_dir: Path) -> Iterator[str]:
    server = ModelServer(
        ServerConfig(model_base_path=model_dir, model_name="tandem", host="localhost", port=0)
    )
    server.start()
    yield f"localhost:{server.port}"
    server.stop()


@pytest.fixture
def log() -> io.StringIO:
    """What the gateways have written into their request log."""
    return io.StringIO()


@pytest.fixture
def open_gateway(log: io.StringIO) -> Iterator[OpenGateway]:
    """Opens gateways, each with its own settings, and closes them."""
    opened: list[TestClient] = []

    def open_gateway(
        *, address: str = "127.0.0.1", base_url: str = "http://localhost", **settings: Any
    ) -> Any:
        app = create_app(GatewayConfig(**settings), log=log)
        client = TestClient(app, base_url=base_url, client=(address, 50_000), raise_server_exceptions=False)
        client.__enter__()
        opened.append(client)
        return client

    yield open_gateway
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def gateway(open_gateway: OpenGateway, server_address: str, model_dir: Path) -> TestClient:
    """A gateway as it is on one's own machine: no keys, no limits."""
    return open_gateway(server=server_address, model_dir=model_dir)
