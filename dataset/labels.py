"""Labels: ids, kinds and other short names, in one form however a file, a manifest or a request has them."""

from __future__ import annotations

import re

# A table written by pandas has whole numbers as 12471.0 once a single value of the column is missing.
POINT_ZERO = r"^(0|-?[1-9][0-9]*)\.0$"
_POINT_ZERO = re.compile(POINT_ZERO)


def as_label(text: str) -> str:
    """The text as it is compared: trimmed, and ``12471.0`` as ``12471``.

    `dataset.values.as_labels` does the same to a column.

    Example:
        >>> as_label(" 12471.0")
        '12471'
    """
    return _POINT_ZERO.sub(r"\1", text.strip())
