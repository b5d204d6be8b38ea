"""The usage of an encoder: how its vectors are pooled, and what its texts begin with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

POOLING_FILE = "1_Pooling/config.json"
PREFIXES_FILE = "config_sentence_transformers.json"
# The names under which sentence-transformers keeps what an item's text begins with.
_TEXT_PROMPTS = ("document", "passage")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderUsage:
    """What an encoder was trained to be given, and how its vectors are made.

    Attributes:
        pooling: ``mean`` over the tokens, or ``cls``, the first one.
        query_prefix: What each query begins with.
        text_prefix: What each text of an item begins with.
    """

    pooling: str = "mean"
    query_prefix: str = ""
    text_prefix: str = ""

    @classmethod
    def of_folder(cls, folder: str | Path) -> EncoderUsage:
        """Reads what sentence-transformers writes beside weights; the defaults for what is not there.

        Args:
            folder: Of the encoder, on this machine; one that does not exist has the defaults.
        """
        pooling, prompts = _read(Path(folder) / POOLING_FILE), _read(Path(folder) / PREFIXES_FILE)
        prompts = prompts.get("prompts") or {}
        return cls(
            pooling="cls" if pooling.get("pooling_mode_cls_token") else "mean",
            query_prefix=prompts.get("query", ""),
            text_prefix=next((prompts[name] for name in _TEXT_PROMPTS if prompts.get(name)), ""),
        )

    def pooled_by(self, pooling: str) -> str:
        """``mean`` or ``cls``: what the setting ``model.pooling`` asks for, or with ``own`` the encoder's."""
        return self.pooling if pooling == "own" else pooling

    def save(self, folder: Path) -> None:
        """Writes what `of_folder` reads."""
        is_cls = self.pooling == "cls"
        documents: dict[str, dict[str, Any]] = {
            POOLING_FILE: {"pooling_mode_cls_token": is_cls, "pooling_mode_mean_tokens": not is_cls},
            PREFIXES_FILE: {"prompts": {"query": self.query_prefix, "document": self.text_prefix}},
        }
        for name, document in documents.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return document
