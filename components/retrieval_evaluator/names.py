"""Names of what is measured: the tasks, and the systems that the gate compares."""

from __future__ import annotations

NOVEL = "novel"
ALL = "all"
SEARCH = "search"

OURS = "tandem"
BLESSED = "last blessed"
POPULAR = "popular"
ZERO_SHOT = "zero-shot encoder"
