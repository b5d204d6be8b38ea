"""A manifest proposed by looking at the files: which table is which, and what its columns mean."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from dataset import features
from dataset.errors import DataError
from dataset.files import part_files, shown
from dataset.kinds import is_positive
from dataset.manifest import FILE_NAME, ITEM_COLUMNS, TRANSFORMED, USER_COLUMNS, load_manifest
from dataset.markup import has_markup
from dataset.profile import ColumnProfile, TableProfile, profile_table
from dataset.roles import (
    QUERY_WORDS,
    EventRoles,
    categorical_columns,
    code_columns,
    find_roles,
    gains_of,
    grade_column,
    is_name,
    link,
    query_text,
    text_columns,
    unread_time,
)
from dataset.tables import column_names, read_batches, reading_note, table_format, way_to_read
from dataset.times import parse_times
from dataset.values import as_labels, as_numbers

_KIND = ("eventtype", "action", "event", "kind", "behavior", "behaviour", "type")
# The first word that a kind is called by decides.
_KIND_WEIGHTS = {
    "dislike": -1.0,
    "downvote": -1.0,
    "impression": 0.0,
    "cart": 2.0,
    "basket": 2.0,
    "purchase": 3.0,
    "buy": 3.0,
    "order": 3.0,
    "transaction": 3.0,
}
_MAX_WORDS = 3
# A share of a column's texts in which HTML is an accident.
_FEW_MARKED = 0.01
_PURCHASE = ("purchase", "order", "transaction", "invoice", "sale", "basket")


def write_manifest(folder: str) -> Path:
    """Writes ``dataset.toml`` into a folder of tables, whole or not at all.

    Raises:
        DataError: The folder has a manifest already, or no tables that make a dataset.
    """
    target = Path(folder) / FILE_NAME
    if not Path(folder).is_dir():
        raise DataError(f"`tandem init` must be given a folder with tables. Got {shown(folder)}.")
    if target.exists():
        raise DataError(
            f"A manifest must not be overwritten. Got {shown(str(target))}; edit it, or remove it first."
        )
    text = propose_manifest(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".init-") as scratch:
        draft = Path(scratch) / FILE_NAME
        draft.write_text(text, encoding="utf-8")
        # What we write must be what we read.
        load_manifest(draft)
        draft.replace(target)
    return target


def propose_manifest(folder: str) -> str:
    """The text of a manifest for the tables in a folder.

    Raises:
        DataError: No table looks like items, or none like events or judgments.
    """
    tables = [profile_table(files, paths) for files, paths in _grouped_files(folder)]
    roles = find_roles(tables)
    if roles.items is None:
        raise DataError(
            "A dataset must have a table of items: a column of unique ids and one of text. Got "
            f"{_listed(tables)} in {shown(folder)}{_left_out(folder)}."
        )
    if roles.judgments is None and roles.events is None:
        raise DataError(
            "A dataset must have events (user, item and time) or judgments (query, item and grade). Got "
            f"{_listed(tables)} in {shown(folder)}{_time_left_out(tables)}{_left_out(folder)}."
        )
    name = (
        re.sub(r"[^A-Za-z0-9._-]+", "-", Path(folder).resolve().name.replace("_", "-")).strip("-.")
        or "dataset"
    )
    sections = [
        "# Proposed by `tandem init` from the files beside it: read it over, then `tandem check` it.\n"
        f"name = {_quoted(name)}\n",
        _items_section(roles.items),
    ]
    if roles.events is not None and roles.events.users is not None:
        sections.append(_users_section(roles.events.users))
    if roles.events is not None:
        sections.append(_events_section(roles.events))
    if roles.judgments is not None:
        sections.append(_judgments_section(roles.judgments, roles.items, roles.queries))
    sections.append(_split_section(roles.events, roles.judgments is not None))
    return "\n".join(sections)


def _grouped_files(folder: str) -> list[tuple[list[str], list[str]]]:
    """The tables of a folder, each as files and as paths; files with the same columns are parts of one."""
    groups: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
    for path in sorted(Path(folder).iterdir()):
        files = _files_of(path)
        if not files:
            continue
        columns = (table_format(files[0]), *sorted(column_names(files[0])))
        group = groups.setdefault(columns, ([], []))
        group[0].extend(files)
        group[1].append(path.name)
    return list(groups.values())


def _files_of(path: Path) -> list[str]:
    """The data files of a path in a folder, none if it holds something else: licences, notes, pictures."""
    if path.name.startswith((".", "_")):
        return []
    files = [str(path)] if path.is_file() else []
    if path.is_dir() and ((path / "_SUCCESS").exists() or path.suffix):
        files = part_files(str(path))
    try:
        formats = {table_format(file) for file in files}
    except DataError:
        return []
    return files if len(formats) == 1 else []


def _listed(tables: list[TableProfile]) -> str:
    return ", ".join(table.paths[0] for table in tables) or "no table"


def _left_out(folder: str) -> str:
    """The clause that names a table of a format that is not read, and what to do with it."""
    for path in sorted(Path(folder).iterdir()):
        way_out = way_to_read(str(path))
        if way_out and not _files_of(path):
            return f"; {path.name} was left out: {way_out}"
    return ""


def _time_left_out(tables: list[TableProfile]) -> str:
    """The clause that names a column that looks like a time and was not taken for one."""
    found = unread_time(tables)
    if found is None:
        return ""
    table, column = found
    example = column.distinct[0].as_py()
    rule = "no number of seconds from 1973 to 2099" if column.is_number else "not ISO 8601"
    return (
        f'; column "{column.name}" of {table.paths[0]} is called like a time, but {_quoted(example)} is '
        f"{rule}: write 2023-01-15, 2023-01-15T09:35:07Z or seconds since 1970"
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _quoted_list(names: list[str]) -> str:
    return f"[{', '.join(map(_quoted, names))}]"


def _path(table: TableProfile) -> str:
    note = reading_note(table.files[0])
    return f"path = {_one_or_list(table.paths)}{f'   # {note}' if note else ''}\n"


def _one_or_list(paths: Sequence[str]) -> str:
    return _quoted(paths[0]) if len(paths) == 1 else _quoted_list(list(paths))


def _numeric(table: TableProfile) -> list[ColumnProfile]:
    return [c for c in table.columns if c.is_number and c is not table.key and not is_name(c)]


def _features(table: TableProfile, *, without: ColumnProfile | None = None) -> str:
    lines = ""
    if numeric := [column for column in _numeric(table) if column is not without]:
        lines += f"numeric = {_ranges(numeric)}\n"
    if categorical := [c.name for c in categorical_columns(table) if c is not table.key and c is not without]:
        lines += f"categorical = {_quoted_list(categorical)}   # their values come back\n"
    return lines


def _ranges(numeric: list[ColumnProfile]) -> str:
    """The names alone, or with a range where one goes without saying: that of a price never below 0."""
    ranges = {c.name: "{ min = 0 }" if c.says("price") and not _has_negative(c) else "{}" for c in numeric}
    if set(ranges.values()) == {"{}"}:
        return _quoted_list(list(ranges))
    return f"{{ {', '.join(f'{_quoted(name)} = {range_}' for name, range_ in ranges.items())} }}"


def _has_negative(column: ColumnProfile) -> bool:
    numbers, given = as_numbers(column.distinct)
    return bool((numbers[given] < 0).any())


def _usable(
    table: TableProfile, taken: Sequence[str], used: Collection[str] = ()
) -> tuple[TableProfile, str]:
    """The table without columns whose names are taken, and a comment for each that is not used otherwise."""
    made = tuple(of("") for of in (features.scaled, features.missing, features.index_of))
    left_out = [
        column
        for column in table.columns
        if column is not table.key and (column.name in taken or column.name.endswith(made))
    ]
    comments = "".join(
        f"# {_quoted(column.name)} is left out: the pipeline uses this name itself; rename the column.\n"
        for column in left_out
        if column.name not in used
    )
    columns = tuple(column for column in table.columns if column not in left_out)
    return dataclasses.replace(table, columns=columns), comments


def _items_section(table: TableProfile) -> str:
    available = next((c for c in table.columns if c.is_flag and c.says("avail", "stock", "active")), None)
    found = [(key, table.find(key.replace("_", ""))) for key in ("available_from", "available_until")]
    ends = [(key, column) for key, column in found if column is not None and column.is_time]
    title = text_columns(table)[0]
    taken = [*ITEM_COLUMNS, *TRANSFORMED]
    if title.name == features.TITLE:
        taken.remove(features.TITLE)
    used = [column.name for _, column in ends] + ([available.name] if available is not None else [])
    table, left_out = _usable(table, taken, used)
    if not text_columns(table):
        raise DataError(
            f"The text of items must be in a column whose name is free. Got {_quoted(title.name)}, which the "
            "pipeline uses itself; rename it."
        )
    title, *rest = text_columns(table)
    words = [c for c in categorical_columns(table) if not c.is_flag and c is not table.key and c is not title]
    # Few, so that the first tokens of a text reach what is behind them; those that say most.
    said = sorted(words, key=lambda c: -len(c.distinct))[:_MAX_WORDS]
    text = [title.name, *(c.name for c in words if c in said), *(c.name for c in rest)]
    why = f"{len(title.distinct):,} different in {title.num_given:,} rows"
    codes = [c.name for c in code_columns(table)]
    marked = [c.name for c in (title, *rest) if has_markup(c.distinct).sum() > _FEW_MARKED * len(c.distinct)]
    return (
        f"[items]\n{_path(table)}id = {_quoted(_key_name(table))}\n"
        f"text = {_quoted_list(text)}   # the first column weighs most: {why}\n"
        f"{_features(table, without=available)}"
        + (f"strip_markup = true   # {_quoted(marked[0])} has HTML\n" if marked else "")
        + (f"codes = {_quoted_list(codes)}   # a search for one finds its item\n" if codes else "")
        + (f"availability = {_quoted(available.name)}\n" if available is not None else "")
        + "".join(f"{key} = {_quoted(column.name)}\n" for key, column in ends)
        + left_out
    )


def _users_section(table: TableProfile) -> str:
    table, left_out = _usable(table, USER_COLUMNS)
    return f"[users]\n{_path(table)}id = {_quoted(_key_name(table))}\n{_features(table)}{left_out}"


def _key_name(table: TableProfile) -> str:
    return table.key.name if table.key is not None else ""


def _events_section(events: EventRoles) -> str:
    table = events.table
    lines = [
        f"[events]\n{_path(table)}user = {_quoted(events.user)}",
        f"item = {_quoted(events.item)}",
        f"time = {_quoted(events.time)}   # ISO 8601 or epoch seconds",
        _kind(events),
    ]
    for key, words in (("value", ("rating", "stars")), ("query", QUERY_WORDS), ("session", ("session",))):
        column = table.find(*words)
        if column is not None and column.name not in (events.user, events.item, events.time):
            lines.append(f"{key} = {_quoted(column.name)}")
    return "\n".join(lines) + "\n"


def _kind(events: EventRoles) -> str:
    table, used = events.table, (events.user, events.item, events.time)
    column = table.find(*_KIND)
    if (
        column is not None
        and column.name not in used
        and not column.is_number
        and 0 < len(column.distinct) <= 20
    ):
        weights = {name: _weight(name) for name in _all_kinds(table, column.name)}
        if not any(is_positive(weight) for weight in weights.values()):
            # A log of nothing else has to be learnt from.
            weights = dict.fromkeys(weights, 1.0)
        kinds = ", ".join(f"{_quoted(name)} = {weight}" for name, weight in weights.items())
        return f"kind = {{ column = {_quoted(column.name)}, kinds = {{ {kinds} }} }}   # with their weights"
    if table.find("rating", "stars"):
        return 'kind = "rating"   # every row is one'
    is_purchase = table.says(*_PURCHASE) or table.find(*_PURCHASE) is not None
    return f'kind = "{"purchase" if is_purchase else "event"}"   # every row is one'


def _weight(kind: str) -> float:
    return next((weight for word, weight in _KIND_WEIGHTS.items() if word in kind.lower()), 1.0)


def _all_kinds(table: TableProfile, column: str) -> list[str]:
    counts = Counter[str]()
    for file in table.files:
        for _, batch in read_batches(file, columns=[column]):
            for entry in as_labels(batch.column(column)).drop_null().value_counts().to_pylist():
                counts[entry["values"]] += entry["counts"]
    return [name for name, _ in counts.most_common()]


def _judgments_section(table: TableProfile, items: TableProfile, queries: TableProfile | None) -> str:
    item = link(table, items)
    text = query_text(table)
    lines = [f"[judgments]\n{_path(table)}".rstrip()]
    if text is None and queries is not None:
        lines.append(f"queries = {_one_or_list(queries.paths)}")
        lines.append(f"query_id = {_quoted(_key_name(queries))}")
        text = query_text(queries)
    if item is None or text is None:
        raise ValueError("a table of judgments has items and queries")
    lines += [f"query = {_quoted(text.name)}", f"item = {_quoted(item.name)}"]
    grade = grade_column(table, item)
    if grade is not None and grade.is_number:
        lines.append(f"grade = {_quoted(grade.name)}")
    elif grade is not None:
        gains = gains_of(grade)
        note = "" if gains else "   # set the gain of each label"
        gains = gains or dict.fromkeys(grade.distinct.to_pylist(), 1.0)
        entries = ", ".join(f"{_quoted(label)} = {gain}" for label, gain in gains.items())
        lines.append(f"grade = {{ column = {_quoted(grade.name)}, gains = {{ {entries} }} }}{note}")
    split = table.find("split")
    if split is not None:
        lines.append(f"split = {_quoted(split.name)}")
    return "\n".join(lines) + "\n"


def _split_section(events: EventRoles | None, has_judgments: bool) -> str:
    lines = ["[split]"]
    if events is not None:
        lines.append(f"events = {_event_split(events)}")
    if has_judgments:
        lines.append("judgments = { validation = 0.15, test = 0.15 }   # by query")
    return "\n".join(lines) + "\n"


def _event_split(events: EventRoles) -> str:
    """The last whole-looking months if the log is long enough to see them, else shares of its time."""
    first, last = 2**62, -(2**62)
    for file in events.table.files:
        for _, batch in read_batches(file, columns=[events.time]):
            seconds, valid, _ = parse_times(batch.column(events.time))
            if valid.any():
                first, last = min(first, int(seconds[valid].min())), max(last, int(seconds[valid].max()))
    begin, end = (datetime.datetime.fromtimestamp(s, datetime.UTC).date() for s in (first, last))
    if (end - begin).days < 180:
        return "{ validation = 0.1, test = 0.1 }   # shares of the time the events cover"
    # A month that has only begun is too short to test on.
    test = (end if end.day > 20 else end - datetime.timedelta(days=end.day)).replace(day=1)
    validation = (test - datetime.timedelta(days=1)).replace(day=1)
    return f'{{ validation = "{validation}", test = "{test}" }}   # each begins at its date'
