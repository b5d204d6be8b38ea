"""The labels that a log has: which kinds of events, and whether they carry a rating."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

RATING = "rating"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heads:
    """Which labels a dataset has.

    Attributes:
        kinds: Kinds of events, the lightest first. With several, the first is the click of ESMM and the last
            its conversion: the last is predicted as a product of both.
        has_rating: Whether events carry a value to be predicted.
    """

    kinds: tuple[str, ...] = ()
    has_rating: bool = False

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Heads:
        """The heads of a `dataclasses.asdict`, also after JSON made lists of its tuples."""
        return cls(**config | {"kinds": tuple(config["kinds"])})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all heads."""
        return self.kinds + ((RATING,) if self.has_rating else ())

    @property
    def behaviour(self) -> str | None:
        """The head that orders a recommendation."""
        return self.kinds[-1] if self.kinds else None


def head_loss(name: str) -> Any:
    """The loss of a head: Huber of a rating, cross-entropy of a kind."""
    if name == RATING:
        return tf.keras.losses.Huber(reduction="sum_over_batch_size")
    return tf.keras.losses.BinaryCrossentropy(reduction="sum_over_batch_size")
