"""The requests and answers of the JSON API."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from serving.client.arguments import FILTER_PATTERN, is_filter

MAX_RESULTS = 100
MAX_HISTORY = 1000

Text = Annotated[str, StringConstraints(max_length=1000)]
# As long as the catalogue has them; the body of a request is bounded as a whole.
ItemId = Annotated[str, StringConstraints(min_length=1)]
# A factor above 0: before its point, or behind it, is a digit that is not 0.
_FACTOR = r"(0*[1-9][0-9]*\.?[0-9]*|[0-9]*\.[0-9]*[1-9][0-9]*)"
Boost = Annotated[str, StringConstraints(pattern=rf"^[^=]+=(.|\n)*:{_FACTOR}$", max_length=400)]
# Milliseconds of our days lie beyond the year 9999, so they are found out.
EpochSeconds = Annotated[int, Field(ge=0, le=253_402_300_799)]
Now = Annotated[
    EpochSeconds,
    Field(
        description="The moment that is asked for, epoch seconds; items that are not available then are left "
        "out. 0 is the time on the model server, and to recommend by, the newest event the model knows."
    ),
]


def _checked_filter(text: str) -> str:
    if not is_filter(text):
        raise PydanticCustomError("not_a_filter", "must be a filter")
    return text


Filter = Annotated[
    str, AfterValidator(_checked_filter), Field(json_schema_extra={"pattern": f"^{FILTER_PATTERN}$"})
]
PartName = Literal["text", "behaviour"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Asker(_Request):
    user_id: str = Field(
        "", description="The user who asks; an id the model does not know is answered without a user."
    )
    history: list[ItemId] = Field(
        [],
        max_length=MAX_HISTORY,
        description="The items they chose, the latest first; replaces what the model remembers of the user.",
    )
    history_times: list[EpochSeconds] = Field(
        [],
        max_length=MAX_HISTORY,
        description="When each item of the history was chosen, epoch seconds, 0 if unknown; or empty.",
    )
    now: Now = 0

    @field_validator("history_times")
    @classmethod
    def _is_aligned(cls, times: list[int], info: ValidationInfo) -> list[int]:
        # A history that is wrong itself is missing here, and it has its own error.
        items = info.data.get("history", times)
        if times and len(times) != len(items):
            raise PydanticCustomError(
                "not_aligned", "must be aligned with history", {"num_items": len(items)}
            )
        return times


class _Listed(_Request):
    k: int = Field(10, ge=1, le=MAX_RESULTS, description="The most results to answer with.")
    exclude: list[ItemId] = Field(
        [], max_length=MAX_HISTORY, description="Items that must not be in the answer."
    )
    filters: list[Filter] = Field(
        [],
        max_length=100,
        description='"column=value", and an item must match one of the values given for each column; '
        '"column!=value", and items with that value are left out; "price<=20", or with <, >= or >, and the '
        "item must have a number there.",
    )


class _Arranged(_Listed):
    diversity: float = Field(
        0.0, ge=0, le=1, description="From 0, the best items, to 1, items as unlike each other as possible."
    )
    boost: list[Boost] = Field(
        [],
        max_length=100,
        description='"column=value:factor"; an item with that value counts more by the factor, or less if it '
        "is below 1.",
    )
    pin: list[ItemId] = Field(
        [], max_length=MAX_RESULTS, description="Items that come first, whatever the filters are."
    )


class SearchRequest(_Asker, _Arranged):
    """A text to find items for."""

    query: Text = Field(min_length=1, examples=["gift for a gardener"])
    exclude_seen: bool = Field(False, description="Leave out the items of the history.")
    spell: bool = Field(True, description="Correct words that the catalogue does not have.")
    offset: int = Field(0, ge=0, le=1000, description="How many of the first results to leave out.")
    sort: str = Field(
        "",
        max_length=200,
        description='A numeric column to sort what matches by; "-" before its name for the highest first.',
    )


class SuggestRequest(_Request):
    """What is typed so far."""

    text: Text
    k: int = Field(10, ge=1, le=30, description="The most suggestions to answer with.")


class FacetsRequest(_Listed):
    """A text whose matches are counted by their values; an empty one counts the whole catalogue."""

    query: Text = ""
    now: Now = 0
    spell: bool = Field(True, description="Correct words that the catalogue does not have.")


class RecommendRequest(_Asker, _Arranged):
    """A user or a history to recommend items for; without either, popular items are recommended."""

    exclude_seen: bool = Field(True, description="Leave out the items of the history.")


class SimilarRequest(_Listed):
    """An item to find similar items for."""

    item_id: ItemId
    now: Now = 0


class ComplementRequest(_Listed):
    """A cart to find items for that go with it."""

    cart: list[ItemId] = Field(min_length=1, max_length=MAX_HISTORY)
    now: Now = 0


class RankRequest(_Asker):
    """The caller's own candidates, which are put in order."""

    candidates: list[ItemId] = Field(min_length=1, max_length=MAX_RESULTS)
    query: Text = ""


class Part(BaseModel):
    """The score that one part of the model gives an item."""

    score: float
    share: float | None = Field(
        description="The share of the sum of the positive scores, from 0 to 1; null if no score is positive."
    )


class Item(BaseModel):
    """One result."""

    rank: int
    item_id: str
    title: str
    score: float | None = Field(
        description="Can be compared within one answer; null if the catalogue has no such item."
    )
    probability: float | None = Field(
        description="Of a choice, or of relevance to the query; the score itself if the model has learnt "
        "neither, and null if the catalogue has no such item."
    )
    reason: str = Field(
        description="What spoke most for the item: again (the user had it), history (an item of the "
        "history), popular, new, words (of the query) or text (its meaning); empty for ranked candidates.",
        examples=["history"],
    )
    reason_item_id: str = Field(description="The item of the history that spoke most; empty if none did.")
    reason_title: str = Field(description="The title of that item.")
    matches: list[tuple[str, str]] = Field(
        description="The words of a search that the item has, each with the first column that has it."
    )
    parts: dict[PartName, Part] = Field(
        description="What the words say and what people choose says; empty if the catalogue has no such item."
    )
    brought_by: Literal["text", "behaviour", "both"] | None
    columns: dict[str, float | str] = Field(description="The item's numeric and categorical columns.")


class ModelVersion(BaseModel):
    """The model and the version that answered."""

    name: str
    version: int


class Answer(BaseModel):
    """The results, best first; fewer than asked for if no more items are allowed."""

    results: list[Item]
    corrected_query: str = Field(
        "", description="What a search looked for in place of the query; empty if it took it as typed."
    )
    model: ModelVersion
    took_ms: float = Field(description="Milliseconds since the request arrived at the gateway.")
    model_ms: float = Field(description="The part of it that the model server took, in milliseconds.")


class Completion(BaseModel):
    """A completion, and what it is."""

    text: str
    kind: Literal["query", "word", "item"]


class Suggestions(BaseModel):
    """The completions of a text, best first."""

    suggestions: list[Completion]


class HistogramBins(BaseModel):
    """How many matches lie between each two edges."""

    edges: list[float]
    counts: list[int]


class FacetCounts(BaseModel):
    """What all matches are."""

    num_matches: int
    counts: dict[str, int] = Field(description='By "column=value", the commonest first.')
    histograms: dict[str, HistogramBins] = Field(description="By numeric column.")


class VersionState(BaseModel):
    """A version the model server knows."""

    version: int
    state: str
    error: str


class Status(BaseModel):
    """The state of the model server."""

    model: str
    ready: bool
    versions: list[VersionState]


class NamedItem(BaseModel):
    """An item by id and title."""

    item_id: str
    title: str


class ExampleUser(BaseModel):
    """A user the model knows, with the latest items of their history."""

    user_id: str
    history: list[NamedItem]


class Examples(BaseModel):
    """Examples of what this model can be asked; empty if the gateway does not have the model's files."""

    queries: list[str] = []
    users: list[ExampleUser] = []
    items: list[NamedItem] = []


class Health(BaseModel):
    """The answer to a probe."""

    status: Literal["ok", "not ready"]


class ErrorAnswer(BaseModel):
    """The reason why there is no answer."""

    error: str = Field(description="One sentence.")
