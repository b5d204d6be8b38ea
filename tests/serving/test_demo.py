from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataset.errors import DataError
from serving.demo import demo
from serving.servable.extra_assets import ExtraAssets
from tests.serving.conftest import Publish

_ITEMS = [
    {"item_id": "apron", "title": "Apron é"},
    {"item_id": "basket", "title": "Basket é"},
    {"item_id": "fork", "title": "Fork é"},
]


def _write_examples(base_path: Path, examples: dict[str, Any]) -> None:
    ExtraAssets(base_path / "1").write_examples(examples)


@pytest.mark.slow
def test_demo_with_users_shows_every_kind_of_request(
    base_path: Path, publish: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(1)
    histories = {"6": _ITEMS[:3], "7": _ITEMS[:1], "8": _ITEMS[1:]}
    users = [{"user_id": user_id, "history": history} for user_id, history in histories.items()]
    _write_examples(base_path, {"queries": ["kitchen gift"], "users": users, "items": _ITEMS})

    demo(base_path)

    output = capsys.readouterr().out
    headings = [line for line in output.splitlines() if line and not line.startswith(" ")]
    assert headings[1:5] == [
        'Search "kitchen gift"',
        # Their history is neither the longest nor the shortest.
        "Recommendation for customer 8, whose last items are",
        "Recommendation for a history of two items",
        "Similar to",
    ]
    assert "last items are\n  - Basket é (basket)\n  - Fork é (fork)\n" in output
    # An item that somebody chose.
    assert "Similar to\n  - Basket é (basket)\n" in output


@pytest.mark.slow
def test_demo_without_events_shows_search_and_similar(
    base_path: Path, publish: Publish, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(1)
    _write_examples(base_path, {"queries": [], "users": [], "items": _ITEMS})

    demo(base_path)

    output = capsys.readouterr().out
    assert 'Search "Apron é"' in output
    assert "Similar to\n  - Apron é (apron)" in output
    assert "Recommendation" not in output


def test_model_without_examples_is_named(base_path: Path, publish: Publish) -> None:
    publish(1)

    with pytest.raises(
        DataError, match=r"A pushed model must have its examples in .*examples\.json\. Got none"
    ):
        demo(base_path)
