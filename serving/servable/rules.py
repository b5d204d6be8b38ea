"""Hard rules: what must never be returned is masked before anything is ranked."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from models.item_table import ItemTable

# What `tf.strings.to_number` reads without an error; anything else in a factor's place is not a number.
_NUMBER = r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?"
# Scores stay finite whatever the factors are.
_MAX_LOG_FACTOR = 20.0


class Rules(tf.Module):
    """Availability, filters and boosts.

    A filter is ``column=value`` with a categorical column of the items. Several values of one column are
    alternatives; several columns must all hold. A value no item has, or a column there is not, leaves
    nothing.

    A boost is a filter with a factor that forbids nothing: ``column=value:factor``. Several boosts of an item
    multiply. One whose factor is not a positive number, or whose value no item has, counts as 1.

    Args:
        items: The catalogue.
    """

    def __init__(self, items: ItemTable) -> None:
        super().__init__(name="rules")
        self.num_items = len(items)
        self._available = tf.Variable(items.available, trainable=False)
        names = [name.encode() for name in items.category_names]
        pairs = [
            np.char.add(name + b"=", column.astype("S"))
            for name, column in zip(names, items.category_values.T, strict=True)
        ]
        # An item without a value has the pair "column=", which is a value like any other.
        vocabulary, codes = np.unique(
            np.concatenate(pairs) if pairs else np.zeros(0, "S1"), return_inverse=True
        )
        self._codes = tf.Variable(codes.reshape(len(names), len(items)).T.astype(np.int32), trainable=False)
        self._pairs = _table(vocabulary.astype(object).tolist())
        # One more, so that it is never empty.
        self._texts = tf.Variable([*vocabulary.astype(object).tolist(), b""], trainable=False)
        self._columns = _table(names)
        self._num_columns, self._num_pairs = len(names), len(vocabulary)

    def allowed(self, filters: tf.Tensor) -> tf.Tensor:
        """What may be returned.

        Args:
            filters: string ``[batch, f]``, "" for none.

        Returns:
            bool ``[batch, num_items]``, or ``[1, num_items]`` where no row of the batch has a filter.
        """
        available = self._available[None]
        # Most requests have none, and a mask for each of them is as large as the catalogue.
        return tf.cond(
            tf.reduce_any(tf.strings.length(filters) > 0),
            lambda: available & self._pass_filters(filters),
            lambda: tf.identity(available),
        )

    @property
    def available(self) -> tf.Tensor:
        """What may be returned at all: bool ``[num_items]``."""
        return tf.convert_to_tensor(self._available)

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
        row = tf.range(tf.shape(boosts)[0])[:, None] + tf.zeros_like(pair)
        shape = tf.stack([tf.shape(boosts)[0], self._num_pairs + 1])
        logarithms = tf.scatter_nd(
            tf.stack([row, pair], axis=-1), tf.math.log(tf.where(is_factor, factor, 1.0)), shape
        )
        of_columns = tf.gather(logarithms, tf.gather(self._codes, rows), batch_dims=1)
        return tf.clip_by_value(tf.reduce_sum(of_columns, axis=2), -_MAX_LOG_FACTOR, _MAX_LOG_FACTOR)

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
        where = tf.where(is_match)
        pairs = tf.gather(self._codes, where[:, 1])
        cells = tf.cast(where[:, :1], tf.int32) * width + pairs
        counts = tf.math.unsorted_segment_sum(tf.ones_like(cells), cells, batch * width)
        is_value = ~tf.strings.regex_full_match(self._texts, "(?s)[^=]*=?")
        counts = tf.reshape(counts, [batch, width]) * tf.cast(is_value, tf.int32)
        best, rows = tf.math.top_k(counts, tf.minimum(most, width))
        return tf.where(best > 0, tf.gather(self._texts, rows), ""), best

    def _pass_filters(self, filters: tf.Tensor) -> tf.Tensor:
        given = tf.strings.length(filters) > 0
        column = self._columns.lookup(tf.strings.regex_replace(filters, "(?s)=.*", "", replace_global=False))
        # Which pairs a row allows; the last column takes what no item has. As wide as there are pairs, and
        # not as filters times items: the number of filters is the caller's.
        pair = tf.where(given, self._pairs.lookup(filters), -1)
        pair = tf.where(pair >= 0, pair, self._num_pairs)
        row = tf.range(tf.shape(filters)[0])[:, None] + tf.zeros_like(pair)
        shape = tf.stack([tf.shape(filters)[0], self._num_pairs + 1])
        is_wanted = tf.scatter_nd(tf.stack([row, pair], axis=-1), tf.ones_like(pair), shape) > 0
        passes = tf.reduce_all(~given | (column >= 0), axis=1)[:, None] & tf.ones_like(self._available)[None]
        for c in range(self._num_columns):
            is_asked = tf.reduce_any(given & (column == c), axis=1)[:, None]
            passes &= tf.gather(is_wanted, self._codes[:, c], axis=1) | ~is_asked
        return passes


def _table(keys: list[bytes]) -> tf.lookup.StaticHashTable:
    # A table of nothing cannot be made, and no request can hold this key.
    keys = keys or [b"\x00"]
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(keys), tf.range(len(keys))), -1
    )
