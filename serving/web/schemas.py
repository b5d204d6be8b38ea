"""What the JSON API takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_RESULTS = 100
MAX_HISTORY = 1000

Text = Annotated[str, StringConstraints(max_length=1000)]
ItemId = Annotated[str, StringConstraints(min_length=1, max_length=200)]
UserId = Annotated[str, StringConstraints(max_length=200)]
Filter = Annotated[str, StringConstraints(pattern=r"^[^=]+=", max_length=400)]

PartName = Literal["text", "behaviour"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Asker(_Request):
    user_id: UserId = Field(
        "", description="Who asks; an id the model does not know is answered like nobody's."
    )
    history: list[ItemId] = Field(
        [],
        max_length=MAX_HISTORY,
        description="Items they chose, the latest first; wins over what the model remembers of the user.",
    )


class _Listed(_Request):
    k: int = Field(10, ge=1, le=MAX_RESULTS, description="How many results at most.")
    exclude: list[ItemId] = Field(
        [], max_length=MAX_HISTORY, description="Items that must not be in the answer."
    )
    filters: list[Filter] = Field(
        [],
        max_length=100,
        description='"column=value"; values of one column are alternatives, columns must all hold.',
    )


class SearchRequest(_Asker, _Listed):
    """A text to find items for."""

    query: Text = Field(min_length=1, examples=["gift for a gardener"])
    exclude_seen: bool = Field(False, description="Leave out the items of the history.")


class RecommendRequest(_Asker, _Listed):
    """Somebody to recommend items to; of nobody in particular, what is popular."""

    exclude_seen: bool = Field(True, description="Leave out the items of the history.")


class SimilarRequest(_Listed):
    """An item to find others like."""

    item_id: ItemId


class RankRequest(_Asker):
    """The caller's own candidates, to be ordered."""

    candidates: list[ItemId] = Field(min_length=1, max_length=MAX_RESULTS)
    query: Text = ""


class Part(BaseModel):
    """What one part of the model says of an item."""

    score: float
    share: float | None = Field(
        description="Of what speaks for the item, from 0 to 1; null when nothing does."
    )


class Item(BaseModel):
    """One result."""

    rank: int
    item_id: str
    title: str
    score: float | None = Field(
        description="Comparable within one answer; null when the catalogue has no such item."
    )
    parts: dict[PartName, Part]
    brought_by: Literal["text", "behaviour", "both"] | None
    columns: dict[str, float | str] = Field(description="The item's numeric and categorical columns.")


class ModelVersion(BaseModel):
    """What answered."""

    name: str
    version: int


class Answer(BaseModel):
    """Results, best first; fewer than asked for when no more items are allowed."""

    results: list[Item]
    model: ModelVersion
    took_ms: float = Field(description="From the request's arrival at the gateway.")
    model_ms: float = Field(description="Of that, what the model server took.")


class VersionState(BaseModel):
    """A version the model server knows."""

    version: int
    state: str
    error: str


class Status(BaseModel):
    """What the model server says of itself."""

    model: str
    ready: bool
    versions: list[VersionState]


class NamedItem(BaseModel):
    """An item by id and title."""

    item_id: str
    title: str


class ExampleUser(BaseModel):
    """Somebody the model knows, with the latest items of their history."""

    user_id: str
    history: list[NamedItem]


class Examples(BaseModel):
    """What can be asked of this model; empty when the gateway does not have its files."""

    queries: list[str] = []
    users: list[ExampleUser] = []
    items: list[NamedItem] = []


class Health(BaseModel):
    """What a probe is told."""

    status: Literal["ok", "not ready"]


class ErrorAnswer(BaseModel):
    """Why there is no answer."""

    error: str = Field(description="One sentence.")
