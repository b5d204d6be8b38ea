"""The roles of unknown tables, told by the values that the tables share, then by names."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Sequence

from dataset.profile import ColumnProfile, TableProfile

USER_WORDS = (
    "user",
    "customer",
    "client",
    "member",
    "visitor",
    "account",
    "buyer",
    "shopper",
    "person",
    "viewer",
)
ITEM_WORDS = (
    "item",
    "product",
    "sku",
    "stock",
    "article",
    "asin",
    "movie",
    "book",
    "track",
    "song",
    "listing",
)
QUERY_WORDS = ("query", "search", "keyword")
# What a column of texts is called, the best title first, and the least share of its values that differ:
# variants of an article have one title, while a name may be that of a colour.
_LEAST_DISTINCT = (
    (("title", "headline"), 0.05),
    (("name",), 0.3),
    (("desc", "summary", "abstract", "body", "text", "content"), 0.05),
)
_GROUP_WORDS = (
    *("brand", "colo", "categor", "type", "group", "department", "section", "genre", "material", "size"),
    *("gender", "country", "city", "vendor", "seller", "manufacturer", "author", "artist", "publisher"),
)
_CODE_WORDS = (
    "code",
    "sku",
    "ean",
    "gtin",
    "upc",
    "isbn",
    "mpn",
    "partno",
    "partnumber",
    "articleno",
    "modelno",
)
_MIN_CODES = 0.1
_GRADE_WORDS = ("label", "grade", "relevance", "judg", "gain", "esci", "rating", "score")
_GAINS = (
    {"E": 1.0, "S": 0.1, "C": 0.01, "I": 0.0},
    {"Exact": 1.0, "Substitute": 0.1, "Complement": 0.01, "Irrelevant": 0.0},
)
# Less than half the ids of a sample in the other table's sample is chance.
_MIN_OVERLAP = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventRoles:
    """A table of events with the names of its columns, and the table of its users if there is one."""

    table: TableProfile
    user: str
    item: str
    time: str
    users: TableProfile | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Roles:
    """The tables found; ``None`` where none fits."""

    items: TableProfile | None = None
    events: EventRoles | None = None
    judgments: TableProfile | None = None
    queries: TableProfile | None = None


def find_roles(tables: Sequence[TableProfile]) -> Roles:
    """Tells tables apart. Without items there is nothing that the others could refer to."""
    items = _items(tables)
    if items is None:
        return Roles()
    others = [table for table in tables if table is not items]
    queries = next((t for t in others if t.key and query_text(t) and not link(t, items)), None)
    judgments = next((t for t in others if _is_judgments(t, items, queries)), None)
    if judgments is None or query_text(judgments) is not None:
        queries = None
    others = [table for table in others if table is not judgments and table is not queries]
    found = [roles for t in others if (roles := _event_roles(t, items, others)) is not None]
    events = max(found, key=lambda roles: roles.table.num_rows, default=None)
    return Roles(items=items, events=events, judgments=judgments, queries=queries)


def text_columns(table: TableProfile) -> list[ColumnProfile]:
    """Columns people read, the title first and long ones last."""
    texts = [column for column in table.columns if _is_read(column)]
    return sorted(texts, key=lambda c: (_title_rank(c), -round(c.distinctness, 1), c.mean_chars))


def _is_read(column: ColumnProfile) -> bool:
    """Whether the values are written for people to read, rather than to sort items into groups."""
    if column.is_number or column.is_time or column.is_link:
        return False
    if column.is_list:
        return True
    if column.says(*_GROUP_WORDS) and column.repeats:
        return False
    least = next((share for words, share in _LEAST_DISTINCT if column.says(*words)), math.inf)
    return column.is_text or (column.distinctness >= least and len(column.distinct) > 1)


def _title_rank(column: ColumnProfile) -> int:
    return next((rank for rank, (words, _) in enumerate(_LEAST_DISTINCT[:2]) if column.says(*words)), 2)


def categorical_columns(table: TableProfile) -> list[ColumnProfile]:
    """Columns of names that come back, which are neither read as text nor codes of the rows."""
    others = {column.name for column in (*text_columns(table), *code_columns(table))}
    return [
        c
        for c in table.columns
        if c.repeats
        and len(c.distinct) > 1
        and not (c.is_number or c.is_time or c.is_list or c.is_link)
        and c.name not in others
    ]


def code_columns(table: TableProfile) -> list[ColumnProfile]:
    """Columns of numbers and other names that an article is asked for by, beside its id."""
    return [
        c
        for c in table.columns
        if c.says(*_CODE_WORDS)
        and c is not table.key
        and c.distinctness >= _MIN_CODES
        and c.mean_words < 2
        and not (c.is_time or c.is_list)
    ]


def is_name(column: ColumnProfile) -> bool:
    """Whether its numbers are names, which have no order."""
    return column.says(*_CODE_WORDS) or re.search(r"(?i)\bid$|_id$|Id$", column.name) is not None


def unread_time(tables: Sequence[TableProfile]) -> tuple[TableProfile, ColumnProfile] | None:
    """A column that is called like a time and is none, in a table without another."""
    for table in tables:
        if not any(column.is_time for column in table.columns):
            for column in table.columns:
                if column.says_time and column.num_given:
                    return table, column
    return None


def _items(tables: Sequence[TableProfile]) -> TableProfile | None:
    def score(table: TableProfile) -> float:
        key = table.key
        if key is None or not text_columns(table):
            return -math.inf
        linked = any(c.overlap(key) >= _MIN_OVERLAP for t in tables if t is not table for c in t.columns)
        return (
            2 * linked
            + 2 * (key.says(*ITEM_WORDS) or table.says(*ITEM_WORDS, "catalog"))
            - 3 * (key.says(*QUERY_WORDS) or table.says(*QUERY_WORDS))
            - 3 * (key.says(*USER_WORDS) or table.says(*USER_WORDS))
            + min(len(text_columns(table)), 2) / 4
        )

    best = max(tables, key=score, default=None)
    return None if best is None or score(best) == -math.inf else best


def link(table: TableProfile, dimension: TableProfile) -> ColumnProfile | None:
    """The column that holds ids of another table: by its values, then by its name."""
    key = dimension.key
    if key is None:
        return None

    def score(column: ColumnProfile) -> float:
        alike = difflib.SequenceMatcher(None, column.name.lower(), key.name.lower()).ratio()
        roles = sum(
            column.says(*role) and (key.says(*role) or dimension.says(*role))
            for role in (USER_WORDS, ITEM_WORDS)
        )
        return column.overlap(key) + alike + roles

    wrong = ITEM_WORDS if key.says(*USER_WORDS) or dimension.says(*USER_WORDS) else USER_WORDS
    columns = [
        c
        for c in table.columns
        if not (c.is_time or c.is_list) and not c.says(*wrong) and c.overlap(key) >= _MIN_OVERLAP
    ]
    return max(columns, key=score, default=None)


def query_text(table: TableProfile) -> ColumnProfile | None:
    return next(
        (c for c in table.columns if c.says(*QUERY_WORDS) and not c.is_number and c.mean_words >= 1.5), None
    )


def grade_column(table: TableProfile, item: ColumnProfile) -> ColumnProfile | None:
    """A column of labels whose gains are known, else one of few numbers."""
    columns = [c for c in table.columns if c is not item and c.says(*_GRADE_WORDS) and not c.says("id")]
    for column in columns:
        if gains_of(column) is not None:
            return column
    return next((c for c in columns if c.is_number), columns[0] if columns else None)


def gains_of(column: ColumnProfile) -> dict[str, float] | None:
    labels = set(column.distinct.to_pylist())
    return next((gains for gains in _GAINS if labels <= set(gains)), None)


def _is_judgments(table: TableProfile, items: TableProfile, queries: TableProfile | None) -> bool:
    if table is queries:
        return False
    item = link(table, items)
    has_query = query_text(table) is not None or (queries is not None and link(table, queries) is not None)
    has_time = any(column.is_time for column in table.columns)
    return item is not None and has_query and not has_time and grade_column(table, item) is not None


def _event_roles(
    table: TableProfile, items: TableProfile, others: Sequence[TableProfile]
) -> EventRoles | None:
    item = link(table, items)
    time = next((c for c in table.columns if c.is_time), None)
    if item is None or time is None:
        return None
    links = [(t, link(table, t)) for t in others if t is not table]
    users, user = next(((t, c) for t, c in links if c is not None and c is not item), (None, None))
    user = user or next((c for c in table.columns if c.says(*USER_WORDS) and c is not item), None)
    if user is None:
        return None
    return EventRoles(table=table, user=user.name, item=item.name, time=time.name, users=users)
