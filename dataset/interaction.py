"""The features of an interaction, each described once.

InteractionBuilder reads, sorts and writes by this description, its schema says it, Transform passes it on.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from dataset import features
from dataset.frames import BYTES, FLOAT, INT


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feature:
    """A feature of an interaction, beside the columns of its user.

    Attributes:
        name: In the interaction.
        kind: BYTES, INT or FLOAT.
        is_list: Whether there may be any number of values, and not just one.
        column: The column of the events that it is taken from: a value for each target if it is a list, one
            for all of them if not. ``None`` for what InteractionBuilder makes itself.
        empty: What stands for an empty field of that column.
    """

    name: str
    kind: int
    is_list: bool = False
    column: str | None = None
    empty: Any = None


INTERACTION = (
    Feature(name=features.QUERY, kind=BYTES, column=features.QUERY, empty=b""),
    Feature(name=features.QUERY_ID, kind=BYTES),
    Feature(name=features.USER_ID, kind=BYTES),
    Feature(name=features.TIME, kind=INT),
    Feature(name=features.HISTORY_ROWS, kind=INT, is_list=True),
    Feature(name=features.HISTORY_COUNTS, kind=INT, is_list=True),
    Feature(name=features.TARGET_ROWS, kind=INT, is_list=True),
    Feature(name=features.TARGET_WEIGHTS, kind=FLOAT, is_list=True, column=features.WEIGHT, empty=1.0),
    Feature(name=features.KIND, kind=BYTES, is_list=True, column=features.KIND, empty=b""),
    Feature(name=features.VALUE, kind=FLOAT, is_list=True, column=features.VALUE, empty=0.0),
)
# By column, in alphabetical order.
OF_EVENTS = {
    feature.column: feature
    for feature in sorted(INTERACTION, key=lambda feature: feature.column or "")
    if feature.column
}
