"""Names of what is measured: the tasks, and the systems that the gate compares."""

from __future__ import annotations

NOVEL = "novel"
ALL = "all"
SEARCH = "search"

# The slice of users with little history.
COLD_USERS = "user=cold"

# The slice of queries that are asked with one typing error.
MISTYPED = "typing errors=one"

OURS = "tandem"
AS_TYPED = f"{OURS}, as typed"
BLESSED = "last blessed"
POPULAR = "popular"
ITEM_KNN = "item-kNN"
EASE = "EASE"
OWN_COUNT = "own purchase count"
# What a shop could have without us; the channels of the model are no baselines.
BASELINES = (POPULAR, ITEM_KNN, EASE, OWN_COUNT)
BM25 = "BM25"
ZERO_SHOT = "zero-shot encoder"
SUM_OF_BOTH = "BM25 + zero-shot encoder"


def is_baseline(system: str) -> bool:
    """Whether a row of the report is of something other than our model, its channels and its settings."""
    return not system.startswith((OURS, channel_row("")))


def diverse_row(diversity: float) -> str:
    """The name of our model asked for diversity, as a row of the report."""
    return f"{OURS}, diversity {diversity:g}"


def channel_row(name: str) -> str:
    """The name of a channel alone, as a row of the report."""
    return f"channel {name}"
