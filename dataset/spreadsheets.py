"""The parts of an Excel workbook: sheets, texts, styles, and the cells of a sheet (ECMA-376, part 1)."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import IO
from xml.etree import ElementTree

from dataset.utf8 import whole_text

_EPOCH = datetime.datetime(1899, 12, 30)
_EPOCH_1904 = datetime.datetime(1904, 1, 1)
# Excel takes 1900 for a leap year, so that its days before March 1900 are one too low.
_FIRST_RIGHT_DAY = 60
# The formats of dates and times that a workbook names by number alone; 45 to 47 are durations.
_DATE_FORMATS = dict.fromkeys((*range(14, 23), *range(27, 37), *range(50, 59)), "yyyy-mm-dd")
# What stands in a format's code and is not what it shows: texts, escaped characters, colours, languages.
_QUOTED = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_ZEROS = re.compile(r"0{2,}")
_WHOLE = re.compile(r"-?[0-9]+")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_TRUE = ("1", "true")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell that is not empty.

    Attributes:
        column: Its number, from 1.
        text: Its value as CSV would have it.
        formula: The formula, of a cell whose value nobody has computed.
    """

    column: int
    text: str
    formula: str | None = None


class Workbook:
    """An open workbook.

    Args:
        archive: Its parts.

    Raises:
        KeyError, ValueError, SyntaxError: If a part is missing or is not what it should be.
    """

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        (path,) = self._related("", "officeDocument").values()
        book = self._read(path)
        settings = next(_named(book, "workbookPr"), None)
        is_1904 = settings is not None and settings.get("date1904", "") in _TRUE
        self._epoch = _EPOCH_1904 if is_1904 else _EPOCH
        paths = self._related(path, "worksheet")
        self._sheets = {
            sheet.get("name", ""): paths[part]
            for sheet in _named(book, "sheet")
            if sheet.get("state", "visible") == "visible" and (part := _attribute(sheet, "id")) in paths
        }
        self._formats = [
            code for part in self._related(path, "styles").values() for code in self._codes(part)
        ]
        self._string_parts = list(self._related(path, "sharedStrings").values())

    @property
    def titles(self) -> list[str]:
        """The names of the sheets that are not hidden, in order."""
        return list(self._sheets)

    def rows(self, title: str) -> Iterator[tuple[int, list[Cell]]]:
        """The rows of a sheet that are not blank: each with its number in the sheet."""
        number = 0
        with self._archive.open(self._sheets[title]) as part:
            for row in _elements(part, "row", within="sheetData"):
                number = int(row.get("r", number + 1))
                if cells := list(self._cells(row)):
                    yield number, cells

    def _cells(self, row: ElementTree.Element) -> Iterator[Cell]:
        column = 0
        for cell in row:
            place = cell.get("r")
            column = _column(place.rstrip("0123456789")) if place else column + 1
            formula = value = inline = None
            for child in cell:
                name = _name(child)
                if name == "v":
                    value = child.text
                elif name == "f":
                    formula = child
                elif name == "is":
                    inline = child
            kind = cell.get("t", "n")
            if inline is not None:
                text = _text_of(inline)
            elif value:
                text = self._text(value, kind, int(cell.get("s", 0)))
            elif formula is not None and kind != "str":
                # The type "str" says that the value is an empty text.
                yield Cell(column=column, text="", formula=f"={formula.text or ''}")
                continue
            else:
                continue
            if text:
                yield Cell(column=column, text=text)

    def _text(self, value: str, kind: str, style: int) -> str:
        if kind == "s":
            return self._strings[int(value)]
        if kind == "b":
            return "true" if value in _TRUE else "false"
        if kind != "n":
            return _unescaped(value)
        code = self._formats[style] if style < len(self._formats) else ""
        if _shows_date(code) and (date := _date_text(float(value), self._epoch)):
            return date
        text = _number_text(value)
        # People see the zeros in front of an id that a format adds.
        return text.zfill(len(code)) if _ZEROS.fullmatch(code) and text.isdigit() else text

    @functools.cached_property
    def _strings(self) -> list[str]:
        """The texts that cells share."""
        found: list[str] = []
        for path in self._string_parts:
            with self._archive.open(path) as part:
                found.extend(_text_of(element) for element in _elements(part, "si", within="sst"))
        return found

    def _codes(self, path: str) -> list[str]:
        """The format of the numbers of each style of cells; "" for one that shows them as they are."""
        styles = self._read(path)
        codes = {
            int(code.get("numFmtId", 0)): code.get("formatCode", "") for code in _named(styles, "numFmt")
        }
        cells = [style for group in _named(styles, "cellXfs") for style in _named(group, "xf")]
        return [(_DATE_FORMATS | codes).get(int(style.get("numFmtId", 0)), "") for style in cells]

    def _related(self, path: str, kind: str) -> dict[str, str]:
        """The parts of one kind that a part refers to, by the ids it knows them by."""
        folder, name = posixpath.split(path)
        relations = posixpath.join(folder, "_rels", f"{name}.rels")
        return {
            relation.get("Id", ""): posixpath.normpath(
                posixpath.join("/", folder, relation.get("Target", ""))
            )[1:]
            for relation in _named(self._read(relations), "Relationship")
            if relation.get("Type", "").endswith(f"/{kind}")
        }

    def _read(self, path: str) -> ElementTree.Element:
        return ElementTree.fromstring(self._archive.read(path))


def _elements(part: IO[bytes], name: str, *, within: str) -> Iterator[ElementTree.Element]:
    """The elements of a name, each gone when the next is read."""
    parent: ElementTree.Element | None = None
    for event, element in ElementTree.iterparse(part, events=("start", "end")):
        if event == "start":
            if parent is None and _name(element) == within:
                parent = element
        elif parent is not None and element.tag.endswith(name) and _name(element) == name:
            yield element
            parent.clear()


def _named(element: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    # Two standards have two namespaces for the same names.
    return element.iterfind(f".//{{*}}{name}")


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _attribute(element: ElementTree.Element, name: str) -> str:
    """An attribute of another namespace."""
    return next((value for key, value in element.items() if key.endswith(f"}}{name}")), "")


@functools.cache
def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _text_of(element: ElementTree.Element) -> str:
    """A text, plain or in pieces of different looks, without the phonetic signs beside it."""
    pieces = [piece for child in element for piece in ([child] if _name(child) == "t" else _pieces(child))]
    return _unescaped("".join(piece.text or "" for piece in pieces))


def _pieces(run: ElementTree.Element) -> list[ElementTree.Element]:
    return [child for child in run if _name(child) == "t"] if _name(run) == "r" else []


def _unescaped(text: str) -> str:
    """The text with the characters that Excel writes by their numbers, as ``_x000D_``."""
    if "_x" not in text:
        return text
    return whole_text(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), text))


def _number_text(value: str) -> str:
    if _WHOLE.fullmatch(value):
        return value
    number = float(value)
    is_whole = number.is_integer() and abs(number) < 2**63
    return str(int(number) if is_whole else number)


@functools.cache
def _shows_date(code: str) -> bool:
    """Whether a format's code shows a date or a time of day, and no duration as ``[h]:mm``."""
    shown = _QUOTED.sub("", code.partition(";")[0]).lower()
    return "[" not in shown and not {*"dmyhs"}.isdisjoint(shown)


def _date_text(serial: float, epoch: datetime.datetime) -> str | None:
    """Days since the epoch in ISO 8601, midnight as the day alone; ``None`` if no calendar has them."""
    if not 0 <= serial < 3_000_000:
        return None
    days = serial + (epoch == _EPOCH and 1 <= serial < _FIRST_RIGHT_DAY)
    try:
        moment = epoch + datetime.timedelta(milliseconds=round(days * 86_400_000))
    except OverflowError:
        return None
    if serial < 1:
        return moment.time().isoformat()
    return (moment if moment.time() != datetime.time() else moment.date()).isoformat()
