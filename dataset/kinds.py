"""The three sorts of events, told by the weight of their kind. All of the pipeline follows this definition.

* A *positive* event, of a weight above 0, is a choice. Models are trained on it and measured by it. It is in
  histories, in popularity, and in what a user had before.
* An event of weight 0, an *impression*, says that somebody saw an item. It is counted by `tandem check` and
  used for nothing else, since what was shown was chosen by a page and not by a person.
* A *negative* event, of a weight below 0, is a dislike. The item is never recommended to that user again, is
  not relevant to them, and is a negative of their queries when the towers are trained. All else is as for an
  impression.
"""

from __future__ import annotations

from typing import Any


def is_positive(weights: Any) -> Any:
    """Which events are choices, by float weights of any shape."""
    return weights > 0


def is_negative(weights: Any) -> Any:
    """Which events are dislikes, likewise."""
    return weights < 0
