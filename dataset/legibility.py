"""The legibility of the catalogue's texts: what the encoder's tokens can tell apart, found in a sample."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dataset.contract import ItemsTable
from dataset.files import shown
from dataset.findings import NUM_EXAMPLES, Example, Finding, Findings

Array = np.ndarray[Any, Any]

# Enough for a share to one or two per cent, tokenised in a second or two.
_SAMPLE_SIZE = 5_000
_MOST_UNKNOWN = 0.5
_SHOWN_CHARS = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenRows:
    """What an encoder gets of texts.

    Attributes:
        rows: The tokens of each text that are looked at, the special ones left out.
        lengths: int64 `[n]`, tokens of each whole text, likewise.
        num_unknown: int64 `[n]`, those of them that stand for a word without tokens.
        is_cut: bool `[n]`, whether there are more than are looked at.
    """

    rows: Sequence[tuple[int, ...]]
    lengths: Array
    num_unknown: Array
    is_cut: Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextReader:
    """An encoder's way of reading.

    Attributes:
        encoder: Its name, ``model.encoder``.
        max_text_tokens: The tokens that it looks at, the special ones included, as the setting says it.
        read: Tokenises texts.
        multilingual: The encoder to name where this one cannot read a text; "" for none.
    """

    encoder: str
    max_text_tokens: int
    read: Callable[[list[str]], TokenRows]
    multilingual: str = ""


class TextSample:
    """Rows of the catalogue, each as likely to be kept as any other, in bounded memory.

    Args:
        table: The catalogue.
        size: Rows kept.
    """

    def __init__(self, table: ItemsTable, size: int = _SAMPLE_SIZE) -> None:
        # As Transform tokenises them: what is a category too is known as one.
        self._names = [name for name in table.text if name not in table.categorical] or list(table.text)
        self._column, self._size = table.text[0], size
        self._random = np.random.default_rng(0)
        self._keys, self._num_rows = np.zeros(0), 0
        self._kept: list[tuple[str, int, str]] = []

    def add(self, file: str, rows: Array, batch: pa.RecordBatch) -> None:
        """Takes in a canonical batch of items with the row of each in its file."""
        self._num_rows += batch.num_rows
        keys = self._random.random(batch.num_rows)
        # The keys that are kept are the lowest of all, in order.
        highest = self._keys[-1] if len(self._keys) == self._size else 1.0
        new = np.flatnonzero(keys < highest)
        new = new[np.argsort(keys[new])][: self._size]
        texts = joined(batch.select(self._names).take(pa.array(new)))
        kept = self._kept + [(file, row, text) for row, text in zip(rows[new].tolist(), texts, strict=True)]
        all_keys = np.concatenate([self._keys, keys[new]])
        order = np.argsort(all_keys, kind="stable")[: self._size]
        self._kept, self._keys = [kept[place] for place in order.tolist()], all_keys[order]

    def findings(self, reader: TextReader) -> Findings:
        """What the reader's encoder cannot tell apart or does not see."""
        kept = sorted(row for row in self._kept if row[2])
        if not kept:
            return Findings()
        table = "items" if self._num_rows == len(self._kept) else "sampled items"
        texts = [text for _, _, text in kept]
        read = reader.read(texts)
        share = read.num_unknown.sum() / max(read.lengths.sum(), 1)
        alike = _alike(texts, read.rows)
        way_out = (
            f'; model.encoder = "{reader.multilingual}" reads 94 languages' if reader.multilingual else ""
        )

        def finding(rule: str, mask: Array, expected: str, more: str) -> tuple[Finding, ...]:
            if not mask.any():
                return ()
            named = [kept[place] for place in np.flatnonzero(mask)[:NUM_EXAMPLES]]
            examples = tuple(
                Example(file=shown(file), row=row, value=_as_shown(text)) for file, row, text in named
            )
            values = ", ".join(dict.fromkeys(f'"{example.value}"' for example in examples))
            return (
                Finding(
                    rule=rule,
                    table=table,
                    column=self._column,
                    expected=expected,
                    count=int(mask.sum()),
                    examples=examples,
                    got=f"{values}{', …' if mask.sum() > len(examples) else ''}; {more}",
                ),
            )

        most = int(np.median(read.lengths[read.is_cut])) if read.is_cut.any() else 0
        return Findings(
            rows={} if table == "items" else {table: len(self._kept)},
            findings=(
                *finding(
                    "unknown_tokens",
                    read.num_unknown >= np.maximum(_MOST_UNKNOWN * read.lengths, 1),
                    f"be in a language that model.encoder, {reader.encoder}, has tokens for",
                    f"of all tokens {share:.0%} are unknown{way_out}",
                ),
                *finding(
                    "cut_texts",
                    read.is_cut,
                    f"fit into model.max_text_tokens, {reader.max_text_tokens}, with the texts behind it",
                    f"half of these have {most} tokens or more",
                ),
                *finding(
                    "alike_texts",
                    alike,
                    f"differ from other texts in its first tokens too (model.encoder, {reader.encoder}, and "
                    f"model.max_text_tokens, {reader.max_text_tokens})",
                    f"{len(set(texts)):,} texts are {len(set(read.rows)):,} in tokens",
                ),
            ),
        )


def joined(batch: pa.RecordBatch) -> list[str]:
    """The texts of each row that are not empty, as sentences, as Transform joins them."""
    columns = [_texts(column).to_pylist() for column in batch.columns]
    return [
        re.sub(r"[.\s]+$", "", "".join(f"{text}. " for text in texts if text.strip()))
        for texts in zip(*columns, strict=True)
    ]


def _texts(column: pa.Array) -> pa.StringArray:
    """A text column; of one that is a category too, the values of each row joined."""
    return pc.binary_join(column, " ") if pa.types.is_list(column.type) else column


def _alike(texts: list[str], rows: Sequence[tuple[int, ...]]) -> Array:
    """Which texts have the tokens of another text that differs by more than case, accents and spaces."""
    first: dict[tuple[int, ...], str] = {}
    shared = set()
    for text, row in zip(texts, rows, strict=True):
        other = first.setdefault(row, text)
        if other != text and _plain(other) != _plain(text):
            shared.add(row)
    return np.array([row in shared for row in rows], bool)


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(c for c in letters if not unicodedata.combining(c)).split())


def _as_shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
