"""Excel workbooks (.xlsx): the first sheet as Arrow batches of strings, as CSV would give it."""

from __future__ import annotations

import contextlib
import dataclasses
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

import pyarrow as pa

from dataset.errors import DataError
from dataset.files import OnBytes, open_file, shown
from dataset.spreadsheets import Cell, Workbook

_WAY_OUT = "save its sheet as CSV UTF-8"
# What an older workbook and an encrypted one begin with.
_OLE = b"\xd0\xcf\x11\xe0"
# What the standard library raises for a damaged archive or XML, or for a packing it does not know.
_DAMAGES = (
    *(zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError),
    *(ElementTree.ParseError, LookupError, ValueError),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sheet:
    """The first sheet that is not hidden.

    Attributes:
        title: Its name.
        num_sheets: How many the workbook has that are not hidden.
        names: The columns that have a name, by their numbers, from 1.
    """

    title: str
    num_sheets: int
    names: dict[int, str]

    @property
    def columns(self) -> list[str]:
        """The names of the columns that have one."""
        return list(self.names.values())

    @property
    def note(self) -> str:
        """What a person should know who has filled several sheets; "" for one sheet."""
        return f'sheet "{self.title}", the first of {self.num_sheets}' if self.num_sheets > 1 else ""


def read_sheet(path: str) -> Sheet:
    """Reads the header of the first sheet, which is its first row that is not blank.

    Raises:
        DataError: The file is no such workbook, has no rows, or names a column twice.
    """
    with _first_sheet(path, None) as (sheet, _):
        return sheet


def sheet_batches(
    path: str, columns: Sequence[str], batch_rows: int, on_bytes: OnBytes | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of the first sheet; parameters and what is yielded are as of `tables.read_batches`.

    Raises:
        DataError: The file is damaged, or a formula has no value.
    """
    with _first_sheet(path, on_bytes) as (sheet, rows):
        wanted = [name for name in sheet.columns if name in columns]
        places = {number: columns.index(name) for number, name in sheet.names.items() if name in wanted}
        first = 1
        values: list[list[str]] = []
        for number, cells in rows:
            if all(cell.column not in sheet.names for cell in cells):
                continue
            values.append([""] * len(columns))
            for cell in cells:
                if cell.column in places:
                    values[-1][places[cell.column]] = _computed(path, number, cell)
            if len(values) == batch_rows:
                yield first, _batch(values, columns)
                first, values = first + len(values), []
        if values:
            yield first, _batch(values, columns)


def _batch(values: list[list[str]], columns: Sequence[str]) -> pa.RecordBatch:
    arrays = [pa.array(column, pa.string()) for column in zip(*values, strict=True)]
    return pa.record_batch(arrays, names=list(columns))


@contextlib.contextmanager
def _first_sheet(
    path: str, on_bytes: OnBytes | None
) -> Iterator[tuple[Sheet, Iterator[tuple[int, list[Cell]]]]]:
    """The first sheet, and its rows after the header; what is wrong with the file becomes a sentence."""
    with open_file(path, on_bytes) as stream:
        begin = bytes(stream.read(len(_OLE)))
        if not begin:
            raise _damaged(path, "an empty file")
        if begin == _OLE:
            raise _damaged(path, "a workbook with a password, or of Excel 2003 and before")
        try:
            with zipfile.ZipFile(stream) as archive:
                book = Workbook(archive)
                title = book.titles[0]
                rows = book.rows(title)
                header = next(rows, None)
                if header is None:
                    raise DataError(
                        f'{shown(path)} must have a header and rows. Got an empty sheet "{title}".'
                    )
                names = {cell.column: _computed(path, header[0], cell) for cell in header[1]}
                _require_once(path, list(names.values()))
                yield Sheet(title=title, num_sheets=len(book.titles), names=names), rows
        except DataError:
            raise
        except _DAMAGES as error:
            raise _damaged(path, str(error) or "a file that breaks off") from None


def _require_once(path: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise DataError(f'{shown(path)} must name each column once. Got "{name}" twice.')


def _computed(path: str, row: int, cell: Cell) -> str:
    if cell.formula is not None:
        raise DataError(
            f"{shown(path)}, row {row} of the sheet: a formula must have its value beside it. Got "
            f"{cell.formula} without one; open the file in Excel or LibreOffice and save it, or {_WAY_OUT}."
        )
    return cell.text


def _damaged(path: str, got: str) -> DataError:
    return DataError(
        f"{shown(path)} must be a workbook that Excel opens. Got: {got.rstrip('.')}; {_WAY_OUT}."
    )
