"""The catalogue's columns beside a model: what an answer leaves out and a person wants to see, say a price.

One SQLite file in ``assets.extra``: a page of results is a handful of look-ups by id, so nothing is read into
memory, and a catalogue of a million items costs its reader nothing until it is asked.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

Value = float | str | None


class Catalogue:
    """The items of one version of a model; threads may share it.

    Args:
        path: Written by `write_catalogue`.

    Example:
        >>> write_catalogue("items.sqlite", {"Price": float}, [("22423", 12.75)])
        >>> catalogue = Catalogue("items.sqlite")
        >>> catalogue.columns_of(["22423"])
        {'22423': {'Price': 12.75}}
        >>> catalogue.close()
    """

    def __init__(self, path: str | Path) -> None:
        # Immutable: no locks and no side files, so that a read-only mount does.
        uri = f"{Path(path).resolve().as_uri()}?mode=ro&immutable=1"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._lock = threading.Lock()
        rows = self._connection.execute("SELECT name FROM columns ORDER BY position")
        self._names = [name for (name,) in rows]

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def columns_of(self, item_ids: Sequence[str]) -> dict[str, dict[str, float | str]]:
        """The columns of each item that the catalogue has, in the manifest's order, empty ones left out."""
        marks = ", ".join("?" * len(item_ids))
        with self._lock:
            rows = self._connection.execute(
                f"SELECT * FROM items WHERE item_id IN ({marks})", list(item_ids)
            ).fetchall()
        return {
            item_id: {
                name: value for name, value in zip(self._names, values, strict=True) if value is not None
            }
            for item_id, *values in rows
        }


def write_catalogue(
    path: str | Path,
    columns: Mapping[str, type[float] | type[str]],
    rows: Iterable[tuple[Value, ...]],
) -> None:
    """Writes the file; of a repeated id the first is kept.

    Args:
        path: A local file that does not exist.
        columns: Whether each column holds numbers or texts.
        rows: Item id and a value a column.
    """
    connection = sqlite3.connect(path)
    try:
        # Nobody reads the file before it is whole, so a crash may leave what it likes.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE columns (position INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        connection.executemany("INSERT INTO columns VALUES (?, ?)", enumerate(columns))
        # By position, as a column's name is anything that a file's header may hold.
        fields = "".join(
            f", value_{position} {'REAL' if kind is float else 'TEXT'}"
            for position, kind in enumerate(columns.values())
        )
        connection.execute(f"CREATE TABLE items (item_id TEXT PRIMARY KEY{fields}) WITHOUT ROWID")
        marks = ", ".join("?" * (1 + len(columns)))
        connection.executemany(f"INSERT OR IGNORE INTO items VALUES ({marks})", rows)
        connection.commit()
    finally:
        connection.close()
