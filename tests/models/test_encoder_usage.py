from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.encoder_usage import EncoderUsage

USAGE = EncoderUsage(pooling="cls", query_prefix="query: ", text_prefix="passage: ")


@pytest.mark.parametrize("usage", [USAGE, EncoderUsage()])
def test_what_is_saved_is_read(usage: EncoderUsage, tmp_path: Path) -> None:
    usage.save(tmp_path)

    assert EncoderUsage.of_folder(tmp_path) == usage


def test_folder_that_says_nothing_is_averaged_and_has_no_prefixes(tmp_path: Path) -> None:
    assert EncoderUsage.of_folder(tmp_path) == EncoderUsage.of_folder("bert_tiny_en_uncased")
    assert EncoderUsage.of_folder(tmp_path) == EncoderUsage(pooling="mean", query_prefix="", text_prefix="")


@pytest.mark.parametrize("name", ["document", "passage"])
def test_prompts_are_read_as_sentence_transformers_writes_them(name: str, tmp_path: Path) -> None:
    prompts = {"query": "ask: ", "document": "", "passage": "", name: "told: "}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))

    usage = EncoderUsage.of_folder(tmp_path)

    assert (usage.query_prefix, usage.text_prefix) == ("ask: ", "told: ")


def test_pooling_that_is_asked_for_wins() -> None:
    assert [USAGE.pooled_by(asked) for asked in ("own", "mean", "cls")] == ["cls", "mean", "cls"]
