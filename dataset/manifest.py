"""A dataset's manifest: the data contract of one dataset, read from its ``dataset.toml``."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset import features
from dataset.contract import (
    FORMATS,
    LANGUAGES,
    MISSING_IDS,
    EventSplit,
    EventsTable,
    Grade,
    ItemsTable,
    JudgmentSplit,
    JudgmentsTable,
    Kind,
    KindRule,
    Limits,
    Range,
    Split,
    UsersTable,
)
from dataset.errors import DataError
from dataset.kinds import is_positive
from dataset.labels import as_label
from dataset.section import Section
from dataset.span_paths import has_spans, span_mistake

FILE_NAME = "dataset.toml"
# Curated schemas, NAME.pbtxt, beside the manifest.
SCHEMAS_FOLDER = "schema"
TABLES = ("items", "users", "events", "judgments")
ITEM_COLUMNS = (features.ITEM_ID, features.AVAILABLE, features.AVAILABLE_FROM, features.AVAILABLE_UNTIL)
USER_COLUMNS = (features.USER_ID,)
# What Transform makes of an item beside its columns.
TRANSFORMED = (features.TITLE, features.TOKENS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """A whole dataset. Paths inside are relative to `folder` unless they are absolute or have a scheme."""

    name: str
    folder: str
    items: ItemsTable
    users: UsersTable | None = None
    events: EventsTable | None = None
    judgments: JudgmentsTable | None = None
    split: Split = dataclasses.field(default_factory=Split)
    limits: Limits = dataclasses.field(default_factory=Limits)

    def to_json(self) -> str:
        """JSON text that `from_json` turns into an equal manifest."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The inverse of `to_json`.

        Raises:
            DataError: The text is not a manifest.
        """
        document = json.loads(text)
        return _manifest(document, document.pop("folder"), "the manifest")


def load_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Reads a dataset's manifest.

    Args:
        path: The manifest, or the folder with its ``dataset.toml``; local or any filesystem Beam opens.

    Raises:
        DataError: The file is missing, is not TOML, or has an unknown key or a value of the wrong kind.
    """
    # Only here, so that the classes above stay free of pyarrow.
    from dataset.files import is_remote, join, read_bytes, shown

    folder, file = os.fspath(path), os.fspath(path)
    if file.endswith(".toml"):
        folder = file.rpartition("/")[0] or "."
    else:
        file = join(folder, FILE_NAME)
    try:
        # Windows' editor begins a file with a byte order mark.
        document = tomllib.loads(read_bytes(file).decode("utf-8-sig"))
    except FileNotFoundError:
        raise DataError(
            f"A dataset must have a manifest. Got no {shown(file)}; `tandem init {shown(folder)}` writes one."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{shown(file)} must be TOML in UTF-8. Got: {error}.") from None
    return _manifest(document, folder if is_remote(folder) else str(Path(folder).absolute()), shown(file))


def _ranges(section: Section, key: str) -> dict[str, Range]:
    """Numeric columns: a list of names, or a table from the name to its range."""
    if not isinstance(section.value(key), Mapping):
        return {name: Range() for name in section.texts(key)}
    table = section.section(key)
    ranges = {}
    for name in table:
        bounds = table.section(name, ("min", "max"))
        low, high = (bounds.number(end) if end in bounds else None for end in ("min", "max"))
        if low is not None and high is not None and low > high:
            raise table.error(name, "must have a min that is not above its max")
        ranges[name] = Range(min=low, max=high)
    return ranges


def _manifest(document: Any, folder: str, file: str) -> Manifest:
    known = ("name", "items", "users", "events", "judgments", "split", "limits")
    top = Section(document, file, "", known)
    name = top.text("name")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise top.error("name", "must be letters, digits, dots, dashes and underscores, as it names a folder")
    if "items" not in top:
        raise DataError(f"{file}: a dataset must have the table [items]. Got {', '.join(top) or 'nothing'}.")
    if "events" not in top and "judgments" not in top:
        raise DataError(f"{file}: a dataset must have [events] or [judgments] to learn from. Got neither.")
    split = top.section("split", ("events", "judgments"))
    return Manifest(
        name=name,
        folder=folder,
        items=_items(top.section("items", _fields(ItemsTable))),
        users=_users(top.section("users", _fields(UsersTable))) if "users" in top else None,
        events=_events(top.section("events", _fields(EventsTable))) if "events" in top else None,
        judgments=_judgments(top.section("judgments", _fields(JudgmentsTable)))
        if "judgments" in top
        else None,
        split=Split(events=_event_split(split), judgments=_judgment_split(split)),
        limits=_limits(top.section("limits", _fields(Limits))),
    )


def _fields(table: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(table)]


def _format(section: Section) -> str | None:
    format_ = section.optional_text("format")
    if format_ is not None and format_ not in FORMATS:
        raise section.error("format", f"must be one of {', '.join(FORMATS)}")
    return format_


def _features(
    section: Section, reserved: tuple[str, ...], text: tuple[str, ...] = ()
) -> tuple[dict[str, Range], tuple[str, ...]]:
    numeric, categorical = _ranges(section, "numeric"), section.texts("categorical")
    for key, names in (("text", text), ("numeric", numeric), ("categorical", categorical)):
        for name in names:
            if name in reserved:
                raise section.error(key, f'must not name a column "{name}", which the pipeline uses itself')
    for name in numeric:
        if name in text or name in categorical:
            raise section.error("numeric", f'must not name "{name}", which is text or categorical already')
    return numeric, categorical


def _require_own_features(
    section: Section, text: tuple[str, ...], numeric: Mapping[str, Range], categorical: tuple[str, ...]
) -> None:
    """Holds that no column takes the place of what Transform makes of another."""
    made = dict.fromkeys(TRANSFORMED, "which the pipeline uses itself")
    for name in numeric:
        made |= dict.fromkeys((features.scaled(name), features.missing(name)), f'which is made of "{name}"')
    for name in categorical:
        made[features.index_of(name)] = f'which is made of "{name}"'
    vocabularies: dict[str, str] = {}
    for name in categorical:
        # A title that is a category as well is the same in both.
        if name in made and (name, *text[:1]) != (features.TITLE, features.TITLE):
            raise section.error(
                "categorical",
                f'must not name a column "{name}", {made[name]}; rename it in the file and here',
            )
        other = vocabularies.setdefault(features.vocabulary_of(name), name)
        if other != name:
            raise section.error("categorical", f'must not name both "{other}" and "{name}"; rename one')


def _missing_ids(section: Section) -> tuple[str, ...]:
    if "missing_ids" not in section:
        return MISSING_IDS
    return tuple(dict.fromkeys(as_label(word) for word in section.texts("missing_ids")))


def _labels(table: Section) -> dict[str, str]:
    """The keys of a table by the labels that they are in the files."""
    keys: dict[str, str] = {}
    for key in table:
        other = keys.setdefault(as_label(key), key)
        if other != key:
            raise table.error(key, f'must not repeat "{other}"')
    return keys


def _paths(section: Section) -> tuple[str, ...]:
    """The paths of a table that may come in spans."""
    paths = section.texts("path", at_least=1)
    if mistake := span_mistake(paths):
        raise section.error("path", mistake)
    return paths


def _items(section: Section) -> ItemsTable:
    text = section.texts("text", at_least=1)
    numeric, categorical = _features(section, ITEM_COLUMNS, text)
    _require_own_features(section, text, numeric, categorical)
    codes = section.texts("codes")
    for name in codes:
        if name in numeric or name in ITEM_COLUMNS:
            raise section.error("codes", f'must not name "{name}", which is numeric or the pipeline\'s own')
    language = section.optional_text("language") or ItemsTable.language
    if language not in LANGUAGES:
        raise section.error("language", f"must be one of {', '.join(LANGUAGES)}")
    return ItemsTable(
        path=_paths(section),
        format=_format(section),
        id=section.text("id"),
        text=text,
        numeric=numeric,
        categorical=categorical,
        separator=_separators(section, categorical),
        codes=codes,
        availability=section.optional_text("availability"),
        available_from=section.optional_text("available_from"),
        available_until=section.optional_text("available_until"),
        language=language,
        strip_markup=section.flag("strip_markup", ItemsTable.strip_markup),
        missing_ids=_missing_ids(section),
    )


def _separators(section: Section, categorical: tuple[str, ...]) -> dict[str, str]:
    """What stands between the values of a text, by its column."""
    table = section.section("separator")
    for name in table:
        if name not in categorical:
            raise table.error(name, "must be a column of items.categorical")
    return {name: table.text(name) for name in table}


def _users(section: Section) -> UsersTable:
    numeric, categorical = _features(section, USER_COLUMNS)
    return UsersTable(
        path=_paths(section),
        format=_format(section),
        id=section.text("id"),
        numeric=numeric,
        categorical=categorical,
        missing_ids=_missing_ids(section),
    )


def _events(section: Section) -> EventsTable:
    paths = _paths(section)
    spans = int(section.number("spans")) if "spans" in section else None
    if spans is not None and (spans < 1 or not has_spans(paths)):
        raise section.error("spans", "must be at least 1, of a path that has {SPAN} or {YYYY}, {MM} and {DD}")
    return EventsTable(
        path=paths,
        spans=spans,
        format=_format(section),
        user=section.text("user"),
        item=section.text("item"),
        time=section.text("time"),
        kind=_kind_rule(section),
        value=section.optional_text("value"),
        query=section.optional_text("query"),
        session=section.optional_text("session"),
        missing_ids=_missing_ids(section),
    )


def _kind_rule(section: Section) -> KindRule:
    value = section.value("kind")
    if not isinstance(value, Mapping):
        name = section.text("kind") if "kind" in section else "event"
        return KindRule(column=None, kinds={name: Kind(label=name)})
    rule = section.section("kind", ("column", "kinds"))
    table = rule.section("kinds")
    kinds: dict[str, Kind] = {}
    for name, key in _labels(table).items():
        if isinstance(table.value(key), Mapping):
            entry = table.section(key, ("weight", "label"))
            kind = Kind(weight=entry.number("weight", 1.0), label=entry.optional_text("label") or name)
        else:
            kind = Kind(weight=table.number(key), label=name)
        kinds[name] = kind
    if kinds and not any(is_positive(kind.weight) for kind in kinds.values()):
        raise rule.error("kinds", "must give one kind at least a weight above 0, or nothing can be learnt")
    column = rule.optional_text("column")
    if column is None and len(kinds) != 1:
        raise section.error("kind", "must name the column that holds it, or be one kind for every row")
    return KindRule(column=column, kinds=kinds)


def _judgments(section: Section) -> JudgmentsTable:
    queries = section.texts("queries", at_least=1) if "queries" in section else None
    if queries and "query_id" not in section:
        raise section.error("query_id", "must name the column that joins path and queries")
    if any(has_spans(section.texts(key)) for key in ("path", "queries")):
        raise section.error("path", "must not have spans, as judgments are one table")
    grade = section.value("grade")
    if isinstance(grade, Mapping):
        rule = section.section("grade", ("column", "gains"))
        table = rule.section("gains")
        gains = {name: table.number(key) for name, key in _labels(table).items()}
        grade = Grade(column=rule.text("column"), gains=gains)
    else:
        grade = Grade(column=section.text("grade"), gains={})
    if any(gain < 0 for gain in grade.gains.values()):
        raise section.error("grade", "must have gains of at least 0")
    return JudgmentsTable(
        path=section.texts("path", at_least=1),
        format=_format(section),
        queries=queries,
        query_id=section.optional_text("query_id"),
        query=section.text("query"),
        item=section.text("item"),
        grade=grade,
        split=section.optional_text("split"),
        missing_ids=_missing_ids(section),
    )


def _event_split(section: Section) -> EventSplit:
    table = section.section("events", _fields(EventSplit))
    default = EventSplit()
    if "validation_days" in table or "test_days" in table:
        days = {key: table.number(key) for key in ("validation_days", "test_days")}
        for key, value in days.items():
            if value <= 0:
                raise table.error(key, "must be above 0")
        for key in ("validation", "test"):
            # The JSON form has the default beside the days.
            if table.value(key) not in (None, getattr(default, key)):
                raise table.error(key, "must be left out beside validation_days and test_days")
        return EventSplit(**days)
    if "validation" not in table and "test" not in table:
        return default
    starts = [_start(table, key) for key in ("validation", "test")]
    if all(isinstance(start, datetime.datetime) for start in starts):
        if not starts[0] < starts[1]:
            raise table.error("test", "must be later than split.events.validation")
        validation, test = (start.isoformat() for start in starts)
        return EventSplit(validation=validation, test=test)
    return EventSplit(**_shares(table, default.validation, default.test))


def _start(table: Section, key: str) -> Any:
    """A split's start as a time with a zone, or the value itself when it is not a date."""
    value = table.value(key)
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise table.error(key, "must be an ISO 8601 date or a share of the time") from None
    if isinstance(value, datetime.datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=datetime.UTC)
    return value


def _shares(table: Section, validation: Any, test: Any) -> dict[str, float]:
    shares = {"validation": table.share("validation", validation), "test": table.share("test", test)}
    if min(shares.values()) <= 0 or sum(shares.values()) >= 1:
        raise table.error("test", "and validation must both be above 0 and together below 1")
    return shares


def _judgment_split(section: Section) -> JudgmentSplit:
    table = section.section("judgments", ("validation", "test"))
    default = JudgmentSplit()
    return JudgmentSplit(**_shares(table, default.validation, default.test))


def _limits(section: Section) -> Limits:
    default = dataclasses.asdict(Limits())
    return Limits(**{name: section.share(name, limit) for name, limit in default.items()})
