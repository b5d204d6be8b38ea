"""CSV and TSV as Arrow batches of strings, with what is wrong in them named by its row."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv

from dataset.errors import DataError
from dataset.files import OnBytes, OnLines, damaged, open_text, shown
from dataset.quotations import Records

_DECIMAL_COMMAS = {b"decimal_mark": b","}
# What the header and the row after it must fit into.
_HEAD_BYTES = 1 << 18
_BLOCK_BYTES = 4 << 20
_MAX_ROW_BYTES = 8 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What may stand before a header: a mark, blank lines, and Excel's own line that names the delimiter.
_PREAMBLE = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*(?:(?i:sep)=(?P<delimiter>[,;\t|])[\r\n]+)?")
# The format's own first.
_DELIMITERS = {"csv": (",", ";", "\t", "|"), "tsv": ("\t", ",", ";", "|")}
_SPELLED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Header:
    """What the head of a file says of the rest.

    Attributes:
        names: The columns in order, "" for one without a name.
        delimiter: What stands between two values.
        has_quotes: Whether quotation marks quote; in TSV they are characters like others.
        record: The header as the file has it, without its end of line.
        rows_at: Where that end of line is in the file.
    """

    names: tuple[str, ...]
    delimiter: str
    has_quotes: bool
    record: bytes
    rows_at: int

    @property
    def columns(self) -> list[str]:
        """The names of the columns that have one."""
        return [name for name in self.names if name]


def read_header(path: str, format_: str) -> Header:
    """Reads the header of a file, and finds out what its values are separated by.

    Args:
        path: The file.
        format_: ``csv`` or ``tsv``.

    Raises:
        DataError: The file is empty, damaged or not UTF-8, or names a column twice.
    """
    content = next(_contents(path, None))[0][:_HEAD_BYTES]
    said = _PREAMBLE.match(content)
    head = content[said.end() :] if said else content
    if not head:
        raise DataError(f"{shown(path)} must have a header and rows. Got an empty file.")
    delimiter = said["delimiter"].decode() if said and said["delimiter"] else _delimiter(head, format_)
    has_quotes = delimiter != "\t" or format_ != "tsv" or _quotes_every_name(head)
    records = Records(head, delimiter.encode(), has_quotes=has_quotes)
    if not len(records.ends) and records.open_at is not None:
        raise _quotation(path, "header", head, records.open_at, "does not close")
    record = head[: records.ends[0]].rstrip(b"\r") if len(records.ends) else head
    try:
        names = _first_rows(record.decode("utf-8"), delimiter, has_quotes)[0]
    except UnicodeDecodeError as error:
        raise _not_utf8(path, "header", record, error.start) from None
    except csv.Error as error:
        raise damaged(path, error) from None
    for name in names:
        if name and names.count(name) > 1:
            raise DataError(f'{shown(path)} must name each column once. Got "{name}" twice.')
    return Header(
        names=tuple(names),
        delimiter=delimiter,
        has_quotes=has_quotes,
        record=record,
        rows_at=len(content) - len(head) + len(record),
    )


class _Quoted(csv.excel):
    """CSV by RFC 4180."""


class _Plain(csv.excel):
    """Values without quotations."""

    quoting = csv.QUOTE_NONE


def _first_rows(text: str, delimiter: str, has_quotes: bool) -> list[list[str]]:
    """The first two rows that are not blank."""
    dialect = _Quoted if has_quotes else _Plain
    rows = filter(None, csv.reader(io.StringIO(text, newline=""), dialect, delimiter=delimiter))
    return [row for row, _ in zip(rows, range(2), strict=False)]


def _delimiter(head: bytes, format_: str) -> str:
    """The one that gives the header most columns; one that gives the next row as many comes first."""
    text = head.decode("utf-8", errors="replace")
    best, best_score = _DELIMITERS[format_][0], (False, 1)
    for delimiter in _DELIMITERS[format_]:
        try:
            rows = _first_rows(text, delimiter, has_quotes=delimiter != "\t" or format_ != "tsv")
        except csv.Error:
            continue
        score = (len(rows[0]) == len(rows[-1]) and len(rows[0]) > 1, len(rows[0]))
        if score > best_score:
            best, best_score = delimiter, score
    return best


def has_decimal_commas(schema: pa.Schema) -> bool:
    """Whether the numbers of a batch may have commas before their decimals, as where semicolons delimit."""
    return (schema.metadata or {}).items() >= _DECIMAL_COMMAS.items()


def _quotes_every_name(head: bytes) -> bool:
    """Whether the header of TSV says that its writer quotes as that of CSV does."""
    names = head.splitlines()[0].split(b"\t")
    return all(len(name) > 1 and name.startswith(b'"') and name.endswith(b'"') for name in names)


def dialect_note(header: Header, format_: str) -> str:
    """What a person should know who expects the format's own delimiter; "" where the file has that."""
    if header.delimiter == _DELIMITERS[format_][0]:
        return ""
    decimals = " and decimal commas" if header.delimiter == ";" else ""
    return f"{_SPELLED[header.delimiter]} between values{decimals}"


def delimited_batches(
    path: str,
    header: Header,
    columns: Sequence[str],
    batch_rows: int,
    on_bytes: OnBytes | None,
    on_lines: OnLines | None,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The rows of a file; parameters and what is yielded are as of `tables.read_batches`.

    Raises:
        DataError: A row has too many or too few values, a quotation is wrong, the header is repeated, or the
            file is damaged or not UTF-8.
    """
    rows = _Rows(path, header, columns)
    pending: bytes | None = None
    for content, is_last in _contents(path, on_bytes):
        if on_lines is not None:
            on_lines(path, _num_lines(content, is_last=is_last))
        text = content[header.rows_at :] if pending is None else pending + content
        whole = rows.whole(text, is_last=is_last)
        pending = text[len(whole) :]
        for batch in rows.parsed(whole).to_batches(batch_rows):
            yield rows.first, batch
            rows.first += batch.num_rows


def _contents(path: str, on_bytes: OnBytes | None) -> Iterator[tuple[bytes, bool]]:
    """The content in pieces, and whether each is the last; none ends within an end of line."""
    try:
        with open_text(path, on_bytes) as stream:
            content = stream.read(_BLOCK_BYTES)
            while following := stream.read(_BLOCK_BYTES):
                if content.endswith(b"\r"):
                    content, following = content + following[:1], following[1:]
                yield content, False
                content = following
            yield content, True
    except (pa.ArrowInvalid, OSError) as error:
        raise damaged(path, error) from None


def _num_lines(content: bytes, *, is_last: bool) -> int:
    ends = content.count(b"\n") or content.count(b"\r")
    return ends + (is_last and not content.endswith((b"\n", b"\r")))


class _Rows:
    """The rows of one file, block by block.

    Attributes:
        first: The number of the row that the next block begins with.
    """

    def __init__(self, path: str, header: Header, columns: Sequence[str]) -> None:
        self._path, self._header, self._columns = path, header, list(columns)
        self.first = 1
        self._ragged: list[Any] = []
        self._options = self._arrow_options()

    def _arrow_options(self) -> dict[str, Any]:
        # By position, as several columns may have no name.
        wanted = [str(self._header.names.index(name)) for name in self._columns]
        return {
            "parse_options": pa.csv.ParseOptions(
                delimiter=self._header.delimiter,
                quote_char='"' if self._header.has_quotes else False,
                newlines_in_values=self._header.has_quotes,
                invalid_row_handler=self._bad_row,
            ),
            "convert_options": pa.csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()),
                include_columns=wanted,
                strings_can_be_null=False,
            ),
        }

    def _bad_row(self, row: Any) -> str:
        self._ragged.append(row)
        return "error"

    def whole(self, text: bytes, *, is_last: bool) -> bytes:
        """The whole rows that a text begins with, once their quotations are known to be right."""
        end = len(text) if is_last else max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if self._header.has_quotes and b'"' in text:
            records = self._records(text)
            end = end if is_last else int(records.ends[-1]) + 1 if len(records.ends) else 0
            fault = records.fault(len(self._header.names))
            if fault is not None and fault.position < end:
                raise self._quotation(records, text, fault.position, fault.got)
            is_endless = is_last or len(text) - end > _MAX_ROW_BYTES
            if is_endless and records.open_at is not None:
                raise self._quotation(records, text, records.open_at, "does not close")
        if len(text) - end > _MAX_ROW_BYTES:
            number = self.first + self._records(text).number_of(end) - 1
            raise DataError(
                f"{shown(self._path)}, row {number}: a row must fit into {_MAX_ROW_BYTES >> 20} MiB. Got a "
                f"longer one."
            )
        self._require_no_header(text[:end])
        return text[:end]

    def _records(self, text: bytes) -> Records:
        return Records(text, self._header.delimiter.encode(), has_quotes=self._header.has_quotes)

    def _quotation(self, records: Records, text: bytes, position: int, got: str) -> DataError:
        return _quotation(
            self._path, f"row {self.first + records.number_of(position) - 1}", text, position, got
        )

    def _require_no_header(self, text: bytes) -> None:
        record = self._header.record
        if len(self._header.names) == 1:
            # A word that is also the name of its column.
            return
        position = text.find(record)
        while position >= 0:
            line = text[max(text.rfind(b"\n", 0, position), text.rfind(b"\r", 0, position)) + 1 : position]
            after = text[position + len(record) : position + len(record) + 1]
            if line in (b"", _BYTE_ORDER_MARK) and after in (b"", b"\n", b"\r"):
                number = self.first + self._records(text).number_of(position) - 1
                raise DataError(
                    f"{shown(self._path)}, row {number}: a row must not repeat the header, as where two "
                    f"files were put together. Got {_shown(record)}; take the line out."
                )
            position = text.find(record, position + 1)

    def parsed(self, text: bytes) -> pa.Table:
        """Columns of strings by their names.

        Raises:
            DataError: A row has too many or too few values, or is not UTF-8.
        """
        if not text.strip(b"\r\n"):
            return pa.table({name: pa.array([], pa.string()) for name in self._columns})
        try:
            table = pa.csv.read_csv(
                pa.BufferReader(text), **self._options, read_options=self._in_one_block(text)
            )
        except pa.ArrowInvalid as error:
            raise self._bad_block(text, error) from None
        metadata = _DECIMAL_COMMAS if self._header.delimiter == ";" else None
        return table.rename_columns(self._columns).replace_schema_metadata(metadata)

    def _in_one_block(self, text: bytes) -> Any:
        # Only one thread numbers the rows it finds fault with, and several may outlive the interpreter.
        return pa.csv.ReadOptions(
            use_threads=False,
            block_size=len(text) + 1,
            column_names=[str(position) for position in range(len(self._header.names))],
        )

    def _bad_block(self, text: bytes, error: Exception) -> DataError:
        if self._ragged:
            row = self._ragged[0]
            hint = ""
            if '"' in row.text and not self._header.has_quotes:
                hint = '; if its values are quoted as in CSV, write format = "csv" in the manifest'
            return DataError(
                f"{shown(self._path)}, row {self.first + row.number - 1}: a row must have "
                f"{row.expected_columns} values as the header has. Got {row.actual_columns}{hint}."
            )
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as bad:
            number = self.first + self._records(text).number_of(bad.start) - 1
            return _not_utf8(self._path, f"row {number}", text, bad.start)
        return damaged(self._path, error)


def _not_utf8(path: str, where: str, text: bytes, position: int) -> DataError:
    got = text[max(0, position - 20) : position + 20]
    return DataError(f"{shown(path)}, {where}: text must be UTF-8. Got {got!r}.")


def _quotation(path: str, where: str, text: bytes, position: int, got: str) -> DataError:
    way_out = "quote the value, or take the mark out"
    if "backslash" in got:
        way_out = 'write the mark twice, as Spark does with option("escape", "\\"")'
    return DataError(
        f"{shown(path)}, {where}: a quotation must close at the end of its value, and marks inside it be "
        f"written twice. Got {_shown(text[position : position + 30])}, which {got}; {way_out}."
    )


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", errors="replace"))
