"""Hard rules: what must never be returned is masked before anything is ranked."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.categories import Lists
from models.item_table import ItemTable
from serving.servable.pairs import PairColumn

# What `tf.strings.to_number` reads without an error; anything else in a factor's place is not a number.
_NUMBER = r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
_BOUND = rf"-?{_NUMBER}"
# A pattern that no text matches.
_NOTHING = r"[^\x00-\x{10FFFF}]"
_COMPARISONS = (">=", ">", "<=", "<")
_LARGEST = np.finfo(np.float32).max
# Scores stay finite whatever the factors are.
_MAX_LOG_FACTOR = 20.0


class Limits(NamedTuple):
    """What the answer of each row is limited to.

    Attributes:
        filters: string ``[batch, n]``, "" for none.
        moment: int64 ``[batch]``, epoch seconds: items must be available then.
    """

    filters: tf.Tensor
    moment: tf.Tensor

    @classmethod
    def of(cls, filters: tf.Tensor, now: tf.Tensor) -> Limits:
        """The limits of a request, with the server's clock where ``now`` is 0.

        The clock is read once a request, so that no item opens or closes between two masks of it.
        """
        clock = tf.cast(tf.timestamp(), tf.int64)
        return cls(filters, tf.where(now > 0, now, clock))


class Rules(tf.Module):
    """Availability, filters and boosts.

    An item is available from its first moment on until just before its last one, if it is available at all.

    A filter begins with a column of the items. ``column=value`` and ``column!=value`` are of a categorical
    one: several values with ``=`` are alternatives, and all with ``!=`` are left out. ``column>=number``,
    ``>``, ``<=`` and ``<`` are of a numeric one, and no item without a number passes them. Whatever is asked
    must all hold. A value no item has with ``=``, a bound that is no number, or a column there is not, leaves
    nothing. An item that has several values of a column has each of them: it passes ``=`` by any, and ``!=``
    leaves it out for any.

    Names and values may hold operators themselves: the first operator behind the name of a column counts, and
    all that follows it is the value.

    A boost is a filter with a factor that forbids nothing: ``column=value:factor``. Several boosts of an item
    multiply, also those of several values of one column. One whose factor is not a positive number, or whose
    value no item has, counts as 1.

    Args:
        items: The catalogue.
        numbers: The values of each numeric column, float ``[num_items]``, NaN where there is none.
        times: From when and until when each item is available, int64 ``[2, num_items]``, epoch seconds;
            ``None`` if that does not change.

    Attributes:
        numbers: The same, float32 ``[num_numeric, num_items]`` and one row more, so that it is never empty.
        times: The same.
    """

    def __init__(
        self,
        items: ItemTable,
        numbers: Mapping[str, np.ndarray] | None = None,
        times: np.ndarray | None = None,
    ) -> None:
        super().__init__(name="rules")
        self.num_items = len(items)
        self._available = tf.Variable(items.available, trainable=False)
        self.times = None if times is None else tf.Variable(times, trainable=False, dtype=tf.int64)
        names = [column.name for column in items.categories]
        # An item without a value has the pair "column=", which is a value like any other.
        pairs = [
            [column.name.encode() + b"=" + text for text in column.texts.tolist()]
            for column in items.categories
        ]
        vocabulary = sorted(set(itertools.chain(*pairs)))
        number_of = {pair: number for number, pair in enumerate(vocabulary)}
        self._columns = [
            _pair_column(column.codes, [number_of[pair] for pair in of_column], len(vocabulary))
            for column, of_column in zip(items.categories, pairs, strict=True)
        ]
        self._pairs = _table(vocabulary)
        # One more, so that it is never empty.
        self._texts = tf.Variable([*vocabulary, b""], trainable=False)
        self._num_columns, self._num_pairs = len(names), len(vocabulary)
        numbers = numbers or {}
        # Finite, so that an infinite bound is none.
        values = [np.clip(column, -_LARGEST, _LARGEST) for column in numbers.values()]
        self.numbers = tf.Variable(
            np.array([*values, np.full(len(items), np.nan)], np.float32), trainable=False
        )
        self._num_numbers = len(numbers)
        # Two of each categorical column, then four of each numeric one.
        starts = [name + operator for name in names for operator in ("=", "!=")]
        starts += [name + operator for name in numbers for operator in _COMPARISONS]
        self._starts = _table([start.encode() for start in starts])
        # The first alternative counts, and a longer name or operator may begin with a shorter one.
        of_names = {
            *((name, "!?=") for name in names),
            *((name, "[<>]=?") for name in numbers),
        }
        by_length = sorted(of_names, key=lambda pair: (len(pair[0]), pair))
        self._start = "|".join(re.escape(name) + operator for name, operator in by_length) or _NOTHING

    def allowed(self, limits: Limits) -> tf.Tensor:
        """What may be returned: bool ``[batch, num_items]``.

        It is ``[1, num_items]`` where no row has a filter and what is available is the same for all.
        """
        available = self.available(limits.moment)
        # Most requests have no filters, and a mask for each of them is as large as the catalogue.
        return tf.cond(
            tf.reduce_any(tf.strings.length(limits.filters) > 0),
            lambda: available & self._pass_filters(limits.filters),
            lambda: tf.identity(available),
        )

    def available(self, moment: tf.Tensor) -> tf.Tensor:
        """What may be returned at all.

        Args:
            moment: As in `Limits`.

        Returns:
            bool ``[batch, num_items]``, or ``[1, num_items]`` if it is the same for all rows.
        """
        available = self._available[None]
        if self.times is None:
            return available
        # Most requests are about the present, and then one mask is enough for a batch.
        is_one = tf.reduce_all(moment == moment[:1])
        moment = tf.cond(is_one, lambda: moment[:1], lambda: tf.identity(moment))[:, None]
        return available & (self.times[0] <= moment) & (moment < self.times[1])

    def boosts(self, boosts: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """The logarithms of the factors of items, at most `_MAX_LOG_FACTOR` in size.

        Args:
            boosts: string ``[batch, b]``, "" for none.
            rows: int32 ``[batch, n]``.

        Returns:
            float32 ``[batch, n]``.
        """
        number = tf.strings.regex_replace(boosts, "(?s)^.*:", "")
        number = tf.where(tf.strings.regex_full_match(number, _NUMBER), number, "1")
        factor = tf.strings.to_number(number)
        is_factor = (factor > 0) & tf.math.is_finite(factor)
        # As wide as there are pairs, like filters; the last column takes what no item has.
        pair = self._pairs.lookup(tf.strings.regex_replace(boosts, "(?s):[^:]*$", ""))
        pair = tf.where(is_factor & (pair >= 0), pair, self._num_pairs)
        shape = tf.stack([tf.shape(boosts)[0], self._num_pairs + 1])
        logarithms = tf.scatter_nd(_cells(pair), tf.math.log(tf.where(is_factor, factor, 1.0)), shape)
        of_columns = [column.total(logarithms, rows) for column in self._columns]
        total = (
            tf.reduce_sum(tf.stack(of_columns, axis=2), axis=2) if of_columns else tf.zeros(tf.shape(rows))
        )
        return tf.clip_by_value(total, -_MAX_LOG_FACTOR, _MAX_LOG_FACTOR)

    def common_values(self, is_match: tf.Tensor, most: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The values that most matches have.

        Args:
            is_match: bool ``[batch, num_items]``.
            most: int32 ``[]``, how many are wanted.

        Returns:
            ``column=value`` string and their counts int32, ``[batch, n]``, the commonest first; "" and 0 for
            none. No value is none.
        """
        batch, width = tf.shape(is_match)[0], self._num_pairs + 1
        row, item = tf.unstack(tf.cast(tf.where(is_match), tf.int32), axis=1)
        none = tf.zeros([0], tf.int32)
        cells = tf.concat([none, *(column.cells(row, item) for column in self._columns)], axis=0)
        counts = tf.math.unsorted_segment_sum(tf.ones_like(cells), cells, batch * width)
        is_value = ~tf.strings.regex_full_match(self._texts, "(?s)[^=]*=?")
        counts = tf.reshape(counts, [batch, width]) * tf.cast(is_value, tf.int32)
        best, rows = tf.math.top_k(counts, tf.minimum(most, width))
        return tf.where(best > 0, tf.gather(self._texts, rows), ""), best

    def _pass_filters(self, filters: tf.Tensor) -> tf.Tensor:
        given = tf.strings.length(filters) > 0
        text = tf.strings.regex_replace(filters, f"(?s)^({self._start}).*$", r"\1")
        value = tf.strings.regex_replace(filters, f"^(?:{self._start})", "", replace_global=False)
        start, first_range = self._starts.lookup(text), 2 * self._num_columns
        is_range = start >= first_range
        is_number = tf.strings.regex_full_match(value, _BOUND)
        is_known = (start >= 0) & (is_number | ~is_range)
        passes = tf.reduce_all(~given | is_known, axis=1)[:, None] & self._pass_values(start, text, value)
        number = tf.strings.to_number(tf.where(is_number, value, "0"))
        return tf.cond(
            tf.reduce_any(is_range),
            lambda: passes & self._pass_ranges(tf.where(is_range, start - first_range, -1), number),
            lambda: tf.identity(passes),
        )

    def _pass_values(self, start: tf.Tensor, text: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        is_not = start % 2 == 1
        # What a row says of each pair; the last column takes what no item has. As wide as there are pairs,
        # and not as filters times items: the number of filters is the caller's.
        pair = self._pairs.lookup(tf.strings.regex_replace(text, "!=$", "=") + value)
        is_pair = (start >= 0) & (start < 2 * self._num_columns) & (pair >= 0)
        cells = _cells(tf.where(is_pair, pair, self._num_pairs))
        shape = tf.stack([tf.shape(start)[0], self._num_pairs + 1])
        marks = tf.scatter_nd(cells, tf.where(is_not, np.float32(-np.inf), 1.0), shape)
        passes = tf.ones([1, 1], tf.bool)
        for number, column in enumerate(self._columns):
            is_asked = tf.reduce_any(start == 2 * number, axis=1, keepdims=True)
            passes &= column.pass_filters(marks, is_asked)
        return passes

    def _pass_ranges(self, comparison: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        num_comparisons = len(_COMPARISONS)
        width = self._num_numbers * num_comparisons
        # Upper bounds count as lower bounds of the negative number, so that the highest is the one to pass.
        is_upper = comparison % num_comparisons >= 2
        bound = tf.clip_by_value(tf.where(is_upper, -number, number), -_LARGEST, _LARGEST)
        cells = _cells(tf.where(comparison >= 0, comparison, width))
        none = tf.fill([tf.shape(number)[0], width + 1], np.float32(-np.inf))
        bounds = tf.tensor_scatter_nd_max(none, cells, bound)
        passes = tf.ones([1, 1], tf.bool)
        # NaN passes no comparison, and where nothing is asked of a column it need not.
        for c in range(self._num_numbers):
            of_column = bounds[:, c * num_comparisons : (c + 1) * num_comparisons]
            least, above, most, below = tf.split(of_column, num_comparisons, axis=1)
            values = self.numbers[c][None]
            holds = (values >= least) & (values > above) & (-values >= most) & (-values > below)
            passes &= holds | tf.reduce_all(tf.math.is_inf(of_column), axis=1, keepdims=True)
        return passes


def _cells(columns: tf.Tensor) -> tf.Tensor:
    """The row and the column of each entry, int32 ``[batch, n, 2]``."""
    rows = tf.range(tf.shape(columns)[0])[:, None] + tf.zeros_like(columns)
    return tf.stack([rows, columns], axis=-1)


def _pair_column(codes: Lists, numbers: list[int], num_pairs: int) -> PairColumn:
    """The column of items whose codes have certain numbers among all pairs."""
    return PairColumn(Lists(np.array(numbers, np.int32)[codes.values], codes.starts), num_pairs)


def _table(keys: list[bytes]) -> tf.lookup.StaticHashTable:
    # A table of nothing cannot be made, and no request can hold this key.
    keys = keys or [b"\x00"]
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.range(len(keys))), -1
    )
