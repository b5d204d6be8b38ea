"""Excel workbooks (.xlsx): the first sheet as Arrow batches of strings, as CSV would give it."""

from __future__ import annotations

import dataclasses
import datetime
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from openpyxl import load_workbook
from openpyxl.utils import get_column_letter
from openpyxl.utils.datetime import from_excel
from openpyxl.utils.escape import unescape
from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

from dataset.errors import DataError
from dataset.files import OnBytes, open_file, shown
from dataset.utf8 import whole_text

_WAY_OUT = "save its sheet as CSV UTF-8"
# What an older workbook and an encrypted one begin with.
_OLE = b"\xd0\xcf\x11\xe0"

# A cell as openpyxl parses it: its value, its type and the number of its style.
Cell = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sheet:
    """The first sheet that is not hidden.

    Attributes:
        title: Its name.
        num_sheets: How many the workbook has that are not hidden.
        names: Its columns by their numbers, which begin at 1; of those that have a name.
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
    book = _Book(path, None)
    for row, cells in book.rows():
        return book.sheet(row, cells)
    raise DataError(f'{shown(path)} must have a header and rows. Got an empty sheet "{book.title}".')


def sheet_batches(
    path: str, columns: Sequence[str], batch_rows: int, on_bytes: OnBytes | None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of the first sheet; parameters and what is yielded are as of `tables.read_batches`.

    Raises:
        DataError: The file is damaged, or a formula has no value.
    """
    book = _Book(path, on_bytes)
    rows = book.rows()
    names = book.sheet(*next(rows)).names
    place = {name: columns.index(name) for name in columns}
    first = 1
    values: list[list[str]] = []
    for row, cells in rows:
        named = [cell for cell in cells if cell["column"] in names]
        if not named:
            continue
        values.append([""] * len(columns))
        for cell in named:
            name = names[cell["column"]]
            if name in place:
                values[-1][place[name]] = book.text(row, cell)
        if len(values) == batch_rows:
            yield first, _batch(values, columns)
            first, values = first + len(values), []
    if values:
        yield first, _batch(values, columns)


def _batch(values: list[list[str]], columns: Sequence[str]) -> pa.RecordBatch:
    arrays = [pa.array(column, pa.string()) for column in zip(*values, strict=True)]
    return pa.record_batch(arrays, names=list(columns))


class _Book:
    """An open workbook."""

    def __init__(self, path: str, on_bytes: OnBytes | None) -> None:
        self._path = path
        self._stream = open_file(path, on_bytes)
        try:
            self._book = _opened(self._stream)
            self._sheets = [sheet for sheet in self._book.worksheets if sheet.sheet_state == "visible"]
            self._sheet = self._sheets[0]
        # A damaged workbook stops openpyxl with whatever its parts raise.
        except Exception as error:
            raise self._damaged(error) from None

    @property
    def title(self) -> str:
        return str(self._sheet.title)

    def sheet(self, row: int, header: list[Cell]) -> Sheet:
        """The description of the sheet by its header."""
        names = {cell["column"]: self.text(row, cell) for cell in header}
        for name in names.values():
            if list(names.values()).count(name) > 1:
                raise DataError(f'{shown(self._path)} must name each column once. Got "{name}" twice.')
        return Sheet(title=self.title, num_sheets=len(self._sheets), names=names)

    def rows(self) -> Iterator[tuple[int, list[Cell]]]:
        """The rows that are not blank, the header first: the number in the sheet, and the cells not empty."""
        archive, part = self._book._archive, self._sheet._worksheet_path
        try:
            with self._stream, archive.open(part) as source:
                for number, cells in _Cells(source, self._sheet._shared_strings, data_only=True).parse():
                    if given := [cell for cell in cells if cell["value"] not in (None, "")]:
                        yield number, given
        except Exception as error:
            raise self._damaged(error) from None

    def text(self, row: int, cell: Cell) -> str:
        """A cell as CSV would have it, "" if it is empty."""
        value = cell["value"]
        if cell["data_type"] == "f":
            place = f"{get_column_letter(cell['column'])}{row}"
            raise DataError(
                f"{shown(self._path)}, cell {place}: a formula must have its value beside it. Got {value} "
                f"without one; open the file in Excel or LibreOffice and save it, or {_WAY_OUT}."
            )
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            is_date = cell["style_id"] in self._book._date_formats
            return (_date_text(value, self._book.epoch) if is_date else None) or _number_text(value)
        if isinstance(value, datetime.date | datetime.time):
            return _moment_text(value)
        return "" if value is None else whole_text(unescape(str(value)))

    def _damaged(self, error: Exception) -> DataError:
        return DataError(
            f"{shown(self._path)} must be a workbook that Excel opens. Got: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}; {_WAY_OUT}."
        )


def _opened(stream: Any) -> Any:
    if bytes(stream.read(len(_OLE))) == _OLE:
        raise ValueError("a workbook with a password, or of Excel 2003 and before")
    stream.seek(0)
    with warnings.catch_warnings():
        # openpyxl warns of looks that it does not know.
        warnings.simplefilter("ignore")
        return load_workbook(stream, read_only=True, data_only=True)


def _number_text(value: float) -> str:
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**63
    return str(int(value) if is_whole else value)


def _date_text(value: float, epoch: datetime.datetime) -> str | None:
    """A number that is shown as a date or time; ``None`` if no calendar has it."""
    try:
        return _moment_text(from_excel(value, epoch))
    except (OverflowError, ValueError):
        return None


def _moment_text(moment: datetime.date | datetime.time) -> str:
    """ISO 8601, without the time of day at midnight."""
    if isinstance(moment, datetime.datetime) and moment.time() == datetime.time():
        moment = moment.date()
    return moment.isoformat()


class _Cells(WorkSheetParser):
    """The cells of a sheet, with formulas that nobody has computed marked as such."""

    def parse_cell(self, element: Any) -> dict[str, Any]:
        cell: dict[str, Any] = super().parse_cell(element)
        # The type "str" says that the value is an empty text.
        is_open = cell["value"] is None and cell["data_type"] != "str"
        if is_open and (formula := element.find(FORMULA_TAG)) is not None:
            cell |= {"data_type": "f", "value": f"={formula.text or ''}"}
        return cell

    # Looks and rules of input say nothing about values, and openpyxl warns of those that it does not know.
    def parse_formatting(self, element: Any) -> None:
        pass

    def parse_extensions(self, element: Any) -> None:
        pass
