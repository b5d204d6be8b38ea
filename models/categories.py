"""Categorical columns of the catalogue, in which an item may have several values."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import tensorflow as tf

# One item with thousands of values must not make a batch of others as wide.
MAX_EMBEDDED = 64


@dataclasses.dataclass(frozen=True)
class Lists:
    """Lists of values, one behind the other.

    Attributes:
        values: ``[num_values]``, of any dtype.
        starts: int64 ``[num_lists + 1]``, where each list begins, and the last one ends.
    """

    values: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, lengths: np.ndarray) -> Lists:
        """Lists of int ``[num_lists]`` lengths."""
        return cls(values, np.append(0, np.cumsum(lengths, dtype=np.int64)))

    @classmethod
    def concatenated(cls, parts: Sequence[Lists]) -> Lists:
        """All lists of several, which are at least one."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls.of(np.concatenate([part.values for part in parts]), lengths)

    def __getitem__(self, rows: np.ndarray) -> Lists:
        """The lists of int ``[n]`` rows."""
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths, dtype=np.int64)
        # The place of each value in its own list, and where that list begins.
        places = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        return Lists.of(self.values[np.repeat(self.starts[rows], lengths) + places], lengths)

    @property
    def lengths(self) -> np.ndarray:
        """int64 ``[num_lists]``."""
        return np.diff(self.starts)

    @property
    def owners(self) -> np.ndarray:
        """The list that each value is of, int64 ``[num_values]``."""
        return np.repeat(np.arange(len(self.starts) - 1), self.lengths)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CategoryColumn:
    """One categorical column of the catalogue.

    Attributes:
        name: As in the manifest.
        size: Of its vocabulary, the out-of-vocabulary bucket included.
        texts: The different values, bytes ``[num_texts]``; b"" is that of an item without one.
        positions: int32 ``[num_texts]``, where the vocabulary has each.
        codes: int32, which of `texts` each item has: one at least, and none twice.
    """

    name: str
    size: int
    texts: np.ndarray
    positions: np.ndarray
    codes: Lists

    @classmethod
    def of(cls, name: str, *, size: int, texts: Lists, positions: np.ndarray) -> CategoryColumn:
        """The column of items with certain values.

        Args:
            name: Of the column.
            size: Of its vocabulary.
            texts: Each item's values, bytes.
            positions: int ``[num_values]``, where the vocabulary has each.
        """
        encoded = pa.array(texts.values, pa.binary()).dictionary_encode()
        codes = encoded.indices.to_numpy().astype(np.int32)
        of_texts = np.zeros(len(encoded.dictionary), np.int32)
        of_texts[codes] = positions
        return cls(
            name=name,
            size=size,
            texts=np.array([*encoded.dictionary.to_pylist(), None], object)[:-1],
            positions=of_texts,
            codes=Lists(codes, texts.starts),
        )

    @property
    def values(self) -> list[list[bytes]]:
        """The values of each item; for a few items, and not for a large catalogue."""
        starts = self.codes.starts
        texts = self.texts[self.codes.values].tolist()
        return [texts[start:end] for start, end in itertools.pairwise(starts.tolist())]

    def __getitem__(self, rows: np.ndarray) -> CategoryColumn:
        """The column of int ``[n]`` rows of the catalogue."""
        return dataclasses.replace(self, codes=self.codes[rows])


class CategoryPositions:
    """Vocabulary positions of the values of a catalogue's items, ready to be embedded.

    Of an item with more than `MAX_EMBEDDED` values of one column the first count.

    Args:
        columns: Of the catalogue.
        num_items: Of the catalogue.
    """

    def __init__(self, columns: Sequence[CategoryColumn], num_items: int) -> None:
        most = max((int(column.codes.lengths.max(initial=1)) for column in columns), default=1)
        self._width = min(most, MAX_EMBEDDED)
        self._values = tf.constant(
            np.concatenate([[0], *(column.positions[column.codes.values] for column in columns)]), tf.int32
        )
        starts = np.zeros((num_items, len(columns)), np.int32)
        ends, before = np.zeros_like(starts), 1
        for number, column in enumerate(columns):
            starts[:, number] = before + column.codes.starts[:-1]
            ends[:, number] = before + column.codes.starts[1:]
            before += len(column.codes.values)
        self._starts, self._ends = tf.constant(starts), tf.constant(ends)

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        """Those of int32 ``[n]`` items: int32 ``[n, num_categorical, num_values]``, -1 as padding."""
        places = tf.gather(self._starts, rows)[..., None] + tf.range(self._width)
        is_value = places < tf.gather(self._ends, rows)[..., None]
        return tf.where(is_value, tf.gather(self._values, tf.where(is_value, places, 0)), -1)
