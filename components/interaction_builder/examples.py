"""An interaction as a serialised tf.Example, the same bytes for the same values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from components.interaction_builder.contexts import Context, Events
from dataset import features
from dataset.frames import BYTES, FLOAT, INT
from dataset.interaction import OF_EVENTS


def profile_features(columns: Mapping[str, bytes | float | None]) -> dict[str, tf.train.Feature]:
    """What is known of a user, by feature name, of the columns of the table of users; null is left out."""
    return {
        features.user_feature(name): _bytes([value]) if isinstance(value, bytes) else _floats([value])
        for name, value in columns.items()
        if value is not None
    }


def context_example(
    user_id: bytes, profile: Mapping[str, tf.train.Feature], events: Events, context: Context
) -> bytes:
    """What a user knew and chose at a moment.

    Args:
        user_id: Who.
        profile: From `profile_features`.
        events: The user's.
        context: The moment.
    """
    targets = context.targets
    return _serialised(
        {
            features.USER_ID: _bytes([user_id]),
            features.QUERY_ID: _bytes([b""]),
            features.QUERY: _bytes([context.query]),
            features.TIME: _ints([context.time]),
            features.HISTORY_ROWS: _ints(context.history_rows.tolist()),
            features.HISTORY_COUNTS: _ints(context.history_counts.tolist()),
            features.TARGET_ROWS: _ints(events.item_rows[targets].tolist()),
            **{
                feature.name: _OF_KIND[feature.kind](events.columns[column][targets].tolist())
                for column, feature in OF_EVENTS.items()
                if feature.is_list
            },
            **profile,
        }
    )


def judged_example(query_id: bytes, query: bytes, item_rows: np.ndarray, grades: np.ndarray) -> bytes:
    """A query and the grades of items: int64 `[n]` rows and float64 `[n]` grades."""
    return _serialised(
        {
            features.USER_ID: _bytes([b""]),
            features.QUERY_ID: _bytes([query_id]),
            features.QUERY: _bytes([query]),
            features.TIME: _ints([0]),
            features.HISTORY_ROWS: _ints([]),
            features.HISTORY_COUNTS: _ints([]),
            features.TARGET_ROWS: _ints(item_rows.tolist()),
            features.TARGET_WEIGHTS: _floats(grades.tolist()),
        }
    )


def _serialised(named: dict[str, tf.train.Feature]) -> bytes:
    example = tf.train.Example(features=tf.train.Features(feature=named))
    return example.SerializeToString(deterministic=True)


def _bytes(values: Iterable[bytes]) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _ints(values: Iterable[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values: Iterable[float]) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


_OF_KIND: dict[int, Callable[[Iterable[Any]], tf.train.Feature]] = {BYTES: _bytes, INT: _ints, FLOAT: _floats}
