"""HTML in texts: told from plain text, and taken off."""

from __future__ import annotations

import html.entities
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# A tag, a comment or an entity; not `5 < 6`, `<3` or `AT&T`.
_MARKUP = re.compile(
    r"</?[a-zA-Z][a-zA-Z0-9]*(\s[^<>]*)?/?>|<!--|<!\[CDATA\["
    r"|&(#[0-9]{1,7};|#[xX][0-9a-fA-F]{1,6};|(?P<name>[a-zA-Z][a-zA-Z0-9]{1,31};))"
)
# What stands inside a word or a line; every other tag parts two words.
_INLINE = {"a", "abbr", "b", "em", "font", "i", "mark", "s", "small", "span", "strong", "sub", "sup", "u"}
_UNREAD = {"script", "style"}
# Text that was escaped on its way into the table has tags only once it is read.
_MOST_READINGS = 2


def has_markup(texts: pa.StringArray) -> np.ndarray[Any, Any]:
    """Which texts hold tags, comments or entities of HTML: bool `[n]`, false where null."""
    found = np.zeros(len(texts), bool)
    for place in np.flatnonzero(pc.match_substring_regex(texts, r"<[a-zA-Z/!]|&[a-zA-Z#]").fill_null(False)):
        found[place] = _is_marked(texts[int(place)].as_py())
    return found


def without_markup(texts: pa.StringArray) -> pa.StringArray:
    """The texts without tags, their entities decoded, in one line; texts without mark-up stay as they are."""
    marked = has_markup(texts)
    if not marked.any():
        return texts
    read = [_read(texts[int(place)].as_py()) for place in np.flatnonzero(marked)]
    return pc.replace_with_mask(texts, pa.array(marked), pa.array(read, pa.string()))


def _is_marked(text: str) -> bool:
    names = (match["name"] for match in _MARKUP.finditer(text))
    return any(name is None or name in html.entities.html5 for name in names)


def _read(text: str) -> str:
    for _ in range(_MOST_READINGS):
        if not _is_marked(text):
            break
        parser = _Reader()
        parser.feed(text)
        parser.close()
        text = " ".join("".join(parser.parts).split())
    return text


class _Reader(HTMLParser):
    """Gathers what a browser would show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._num_unread = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._part(tag)
        self._num_unread += tag in _UNREAD

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._part(tag)

    def handle_endtag(self, tag: str) -> None:
        self._part(tag)
        self._num_unread -= tag in _UNREAD and self._num_unread > 0

    def handle_data(self, data: str) -> None:
        if not self._num_unread:
            self.parts.append(data)

    def unknown_decl(self, data: str) -> None:
        self.handle_data(data.removeprefix("CDATA["))

    def _part(self, tag: str) -> None:
        if tag not in _INLINE:
            self.parts.append(" ")
