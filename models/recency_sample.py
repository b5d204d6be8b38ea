"""The sample of an epoch's contexts: all of a small log, and of a large one more of what is recent.

A context of a large log is drawn anew for every epoch with a probability in proportion to its recency, at
most 1, and then weighs its recency over that probability. So the expected loss is that over all contexts
(Horvitz & Thompson 1952), and what would weigh next to nothing is seldom computed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

_DAY_S = 86_400.0
_CHUNK, _SHUFFLE = 1024, 20_000


def recency(times: Any, end_time: int, half_life_days: float) -> tf.Tensor:
    """Halves with every half-life of the age at `end_time`: float32 in the shape of int64 epoch seconds.

    Time 0 stands for none, and is as of now.
    """
    age_days = tf.cast(end_time - times, tf.float32) / _DAY_S
    return tf.where(times > 0, 0.5 ** (age_days / half_life_days), 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecencySample:
    """How probable a context is to be in an epoch.

    Attributes:
        scale: The probability is this times the recency; infinite if every context is in every epoch.
        num_contexts: In an epoch, on average.
    """

    scale: float
    num_contexts: int

    @classmethod
    def of(cls, recencies: np.ndarray, most: int) -> RecencySample:
        """Takes about `most` of contexts with float ``[n]`` recencies above 0, or all if they are fewer."""
        if len(recencies) <= most:
            return cls(scale=math.inf, num_contexts=len(recencies))
        # With the k largest at probability 1, the others share what is left of the sample.
        ordered = np.sort(recencies.astype(np.float64))[::-1]
        rest = np.cumsum(ordered[::-1])[::-1]
        scales = (most - np.arange(most)) / rest[:most]
        scale = scales[np.argmax(scales * ordered[:most] <= 1.0)]
        return cls(scale=float(scale), num_contexts=most)

    @property
    def is_all(self) -> bool:
        """Whether an epoch is a pass over every context."""
        return math.isinf(self.scale)

    def probability(self, recencies: Any) -> Any:
        """Of being in an epoch: float32 in the shape of float32 recencies."""
        return tf.ones_like(recencies) if self.is_all else tf.minimum(1.0, self.scale * recencies)

    def weight(self, recencies: Any) -> Any:
        """In the loss, of a context that is in the epoch: float32 likewise."""
        return recencies / self.probability(recencies)

    def passes(
        self, records: tf.data.Dataset, recencies: Callable[[tf.Tensor], tf.Tensor], *, seed: int
    ) -> tf.data.Dataset:
        """Endless shuffled passes over serialised records, each of which draws anew.

        Args:
            records: string ``[]``, the same every time it is read.
            recencies: From string ``[n]`` records to float32 ``[n]``.
            seed: Of the order and of what is drawn.
        """
        if self.is_all:
            return records.shuffle(_SHUFFLE, seed=seed).repeat()

        def one_pass(number: tf.Tensor) -> tf.data.Dataset:
            def drawn(place: tf.Tensor, chunk: tf.Tensor) -> tf.Tensor:
                probabilities = self.probability(recencies(chunk))
                chance = tf.random.stateless_uniform(
                    tf.shape(probabilities), tf.stack([seed + number, place])
                )
                return tf.boolean_mask(chunk, chance < probabilities)

            chunks = records.batch(_CHUNK).enumerate().map(drawn, num_parallel_calls=2, deterministic=True)
            return chunks.unbatch().shuffle(_SHUFFLE, seed=seed)

        return tf.data.Dataset.counter().flat_map(one_pass)
