"""The data contract: what the tables of a dataset are, and what their columns mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from dataset.kinds import is_negative

FORMATS = ("csv", "tsv", "jsonl", "parquet", "xlsx")
# What programs write where an id is missing: pandas, R, Hive, databases, JavaScript, Excel.
MISSING_IDS = (
    *("nan", "NaN", "NAN", "<NA>", "NaT", "NA", "N/A", "#N/A", "None"),
    *("null", "Null", "NULL", "(null)", "\\N", "undefined"),
)
# Languages whose words have stems, by Snowball's names, and those that are written without spaces.
STEMMED_LANGUAGES = (
    "arabic",
    "armenian",
    "basque",
    "catalan",
    "czech",
    "danish",
    "dutch",
    "english",
    "esperanto",
    "estonian",
    "finnish",
    "french",
    "german",
    "greek",
    "hindi",
    "hungarian",
    "indonesian",
    "irish",
    "italian",
    "lithuanian",
    "nepali",
    "norwegian",
    "persian",
    "polish",
    "portuguese",
    "romanian",
    "russian",
    "serbian",
    "spanish",
    "swedish",
    "tamil",
    "turkish",
    "yiddish",
)
LANGUAGES = (*STEMMED_LANGUAGES, "chinese", "japanese", "thai")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """The closed interval a numeric column must lie in; ``None`` leaves an end open."""

    min: float | None = None
    max: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """What one value of the kind column counts for.

    Attributes:
        weight: How much one such event weighs in training; `dataset.kinds` says what 0 and less mean.
        label: The name the rest of the pipeline knows it by; several kinds may share one.
    """

    weight: float = 1.0
    label: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class KindRule:
    """How the kind of an event is found.

    Attributes:
        column: The column that holds it, or ``None`` when every row has the one kind in `kinds`.
        kinds: By the value in the file. Empty means: any value is its own label, with weight 1.
    """

    column: str | None
    kinds: Mapping[str, Kind]

    @property
    def has_negative(self) -> bool:
        """Whether there may be dislikes."""
        return any(is_negative(kind.weight) for kind in self.kinds.values())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grade:
    """The column of a judgment's grade; `gains` turns labels into numbers, empty if it holds numbers."""

    column: str
    gains: Mapping[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ItemsTable:
    """The catalogue. The first column of `text` weighs most; a false `availability` is never recommended.

    An item is listed from its time of `available_from` on until just before that of `available_until`. It may
    have several values of a `categorical` column: a list of them, or a text with the column's `separator`
    between them. A search for a value of the `codes` columns (SKU, EAN, part number) finds its item.
    `language` is that of the texts, which lose their HTML if `strip_markup`. An id that is one of
    `missing_ids` is none, here and in the other tables.
    """

    path: tuple[str, ...]
    format: str | None = None
    id: str
    text: tuple[str, ...]
    numeric: Mapping[str, Range]
    categorical: tuple[str, ...] = ()
    separator: Mapping[str, str] = dataclasses.field(default_factory=dict)
    codes: tuple[str, ...] = ()
    availability: str | None = None
    available_from: str | None = None
    available_until: str | None = None
    language: str = "english"
    strip_markup: bool = False
    missing_ids: tuple[str, ...] = MISSING_IDS

    @property
    def columns(self) -> list[str]:
        """Names of the columns to read, each once."""
        when = (self.availability, self.available_from, self.available_until)
        return _distinct([self.id, *self.text, *self.numeric, *self.categorical, *self.codes, *when])


@dataclasses.dataclass(frozen=True, kw_only=True)
class UsersTable:
    """What is known of each user besides events."""

    path: tuple[str, ...]
    format: str | None = None
    id: str
    numeric: Mapping[str, Range]
    categorical: tuple[str, ...] = ()
    missing_ids: tuple[str, ...] = MISSING_IDS

    @property
    def columns(self) -> list[str]:
        """Names of the columns to read, each once."""
        return _distinct([self.id, *self.numeric, *self.categorical])


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventsTable:
    """The log: who did what with which item, and when. Of its spans, the last `spans` are read, or all."""

    path: tuple[str, ...]
    spans: int | None = None
    format: str | None = None
    user: str
    item: str
    time: str
    kind: KindRule
    value: str | None = None
    query: str | None = None
    session: str | None = None
    missing_ids: tuple[str, ...] = MISSING_IDS

    @property
    def users_are_sessions(self) -> bool:
        """Whether a user is a visit and not a person, as one column is both."""
        return self.user == self.session

    @property
    def columns(self) -> list[str]:
        """Names of the columns to read, each once."""
        return _distinct(
            [self.user, self.item, self.time, self.kind.column, self.value, self.query, self.session]
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgmentsTable:
    """Graded query-item pairs. With `queries`, the text is in a table of its own, joined by `query_id`."""

    path: tuple[str, ...]
    format: str | None = None
    queries: tuple[str, ...] | None = None
    query_id: str | None = None
    query: str
    item: str
    grade: Grade
    split: str | None = None
    missing_ids: tuple[str, ...] = MISSING_IDS

    @property
    def columns(self) -> list[str]:
        """Names of the columns to read from `path`, each once."""
        text = None if self.queries else self.query
        return _distinct([self.query_id, text, self.item, self.grade.column, self.split])


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventSplit:
    """Where validation and test begin: both ISO 8601 times, or both shares of the time the log covers.

    Or how many days each lasts, counted back from the last event, so that the windows move with the data.
    """

    validation: str | float = 0.1
    test: str | float = 0.1
    validation_days: float | None = None
    test_days: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgmentSplit:
    """Shares of the queries, drawn by a hash of the query."""

    validation: float = 0.15
    test: float = 0.15


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """How events (by time) and judgments (by query) divide into train, validation and test."""

    events: EventSplit = dataclasses.field(default_factory=EventSplit)
    judgments: JudgmentSplit = dataclasses.field(default_factory=JudgmentSplit)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The share of a table's rows, from 0 to 1, above which a finding stops the run; 1 only reports it."""

    orphan_events: float = 0.01
    orphan_users: float = 1.0
    orphan_judgments: float = 0.01
    unknown_queries: float = 0.0
    duplicate_items: float = 0.0
    duplicate_users: float = 0.0
    duplicate_queries: float = 0.0
    duplicate_events: float = 1.0
    duplicate_judgments: float = 1.0
    contradicting_judgments: float = 0.05
    missing_ids: float = 0.01
    empty_text: float = 0.05
    bad_times: float = 0.0
    unlikely_times: float = 0.0
    reversed_times: float = 0.0
    bad_numbers: float = 0.0
    out_of_range: float = 0.0
    unknown_kinds: float = 0.0
    unknown_grades: float = 0.0
    unknown_values: float = 0.0
    unmeasured_users: float = 1.0
    markup: float = 1.0
    unknown_tokens: float = 0.5
    cut_texts: float = 1.0
    alike_texts: float = 0.5


def _distinct(names: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name is not None))
