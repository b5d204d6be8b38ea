"""The demo of a pushed model: it starts a server, asks it real examples over gRPC, and stops it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.errors import DataError
from serving.client import Client, Result
from serving.printing import as_table, one_line
from serving.process import ServerProcess
from serving.pushed_model import MODEL_NAME, newest_version_dir
from serving.servable.extra_assets import ExtraAssets

_NUM_RESULTS = 5
_NUM_HISTORY = 5


def demo(model_dir: Path) -> None:
    """Starts a server on the newest version under ``model_dir`` and prints its answers.

    Raises:
        DataError: If the model has no examples.
        ServingError: If the server does not start or does not answer.
    """
    examples = _read_examples(newest_version_dir(model_dir))
    print(f"Starting a server on {model_dir} ...", flush=True)
    with (
        ServerProcess(model_dir, model_name=MODEL_NAME) as server,
        Client(server.address, model_name=MODEL_NAME, timeout_s=30) as client,
    ):
        for heading, results in _scenes(client, examples):
            table = as_table(results).replace("\n", "\n  ")
            print(f"\n{heading}\n  {table}", flush=True)
    print("\nThe server is stopped; `tandem serve` starts one that stays.")


def _scenes(client: Client, examples: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[Result]]]:
    """Each question in words, with its results."""
    users, items = examples["users"], examples["items"]
    queries = examples["queries"] or [items[0]["title"]]
    yield f'Search "{queries[0]}"', client.search([queries[0]], k=_NUM_RESULTS)[0]
    item = items[0]
    if users:
        user = _middling(users)
        history = user["history"][:_NUM_HISTORY]
        heading = f"Recommendation for customer {user['user_id']}, whose last items are{_listed(history)}"
        yield heading, client.recommend(user_ids=[user["user_id"]], k=_NUM_RESULTS)[0]

        pair = next((other["history"] for other in users if other is not user), items)[:2]
        heading = f"Recommendation for a history of two items{_listed(pair)}"
        ids = [item["item_id"] for item in pair]
        yield heading, client.recommend(histories=[ids], k=_NUM_RESULTS)[0]
        # An item that somebody chose, so that what people choose has a say in what resembles it.
        item = history[0] if history else item
    yield f"Similar to{_listed([item])}", client.similar([item["item_id"]], k=_NUM_RESULTS)[0]


def _middling(users: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The user whose history is neither among the longest nor among the shortest."""
    return sorted(users, key=lambda user: len(user["history"]))[len(users) // 2]


def _listed(items: Sequence[Mapping[str, str]]) -> str:
    return "".join(f"\n  - {one_line(item['title'])} ({item['item_id']})" for item in items)


def _read_examples(version_dir: Path) -> Mapping[str, Any]:
    extra = ExtraAssets(version_dir)
    try:
        return extra.read_examples()
    except OSError as error:
        raise DataError(
            f"A pushed model must have its examples in {extra.examples_path}. Got none; "
            "train it again with `tandem run`."
        ) from error
