"""The names of features and splits, each written once."""

from __future__ import annotations

import hashlib
import re
from typing import Final

# The one split of a raw table: interactions are split later, by time or by query.
ALL: Final = "all"

ITEM_ID: Final = "item_id"
USER_ID: Final = "user_id"
TIME: Final = "time"
KIND: Final = "kind"
WEIGHT: Final = "weight"
VALUE: Final = "value"
QUERY: Final = "query"
SESSION: Final = "session"
QUERY_ID: Final = "query_id"
GRADE: Final = "grade"
AVAILABLE: Final = "available"
AVAILABLE_FROM: Final = "available_from"
AVAILABLE_UNTIL: Final = "available_until"

# Of an interaction: who asked what, with which past, and the items that answered it.
HISTORY_ROWS: Final = "history_rows"
HISTORY_COUNTS: Final = "history_counts"
TARGET_ROWS: Final = "target_rows"
TARGET_WEIGHTS: Final = "target_weights"

# Splits of the interactions. The first three are moments in the log and what was chosen then. Those that
# begin with "users_at" hold one example a user: the whole past before a moment, and what was chosen in the
# window it opens.
TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
USERS_AT_VALIDATION: Final = "users_at_validation"
USERS_AT_TEST: Final = "users_at_test"
USERS_AT_END: Final = "users_at_end"
JUDGED_TRAIN: Final = "judged_train"
JUDGED_VALIDATION: Final = "judged_validation"
JUDGED_TEST: Final = "judged_test"
EVENT_SPLITS: Final = (TRAIN, VALIDATION, TEST, USERS_AT_VALIDATION, USERS_AT_TEST, USERS_AT_END)
JUDGMENT_SPLITS: Final = (JUDGED_TRAIN, JUDGED_VALIDATION, JUDGED_TEST)

# Made by the Transforms.
TOKENS: Final = "tokens"
QUERY_TOKENS: Final = "query_tokens"
QUERY_VECTORS: Final = "query_vectors"
USER_ROW: Final = "user_row"
USER_CATEGORIES: Final = "user_categories"
USER_NUMBERS: Final = "user_numbers"
TITLE: Final = "title"


def user_feature(column: str) -> str:
    """The name of a users column inside an interaction, where it must not meet one of ours."""
    return f"user/{column}"


def index_of(column: str) -> str:
    """The name of a categorical column turned into vocabulary positions."""
    return f"{column}/index"


def scaled(column: str) -> str:
    """The name of a numeric column scaled to zero mean and unit variance."""
    return f"{column}/scaled"


def missing(column: str) -> str:
    """The name of the flag that says a numeric column had no value."""
    return f"{column}/missing"


def vocabulary_of(name: str) -> str:
    """The file name of a feature's vocabulary, fit for a TensorFlow graph; no two names share one."""
    safe = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
    is_whole = re.fullmatch(r"(user/)?\w+", name, re.ASCII) and (safe != USER_ID or name == USER_ID)
    # What the marks would have told apart, a hash does.
    return f"vocabulary_{safe}" + ("" if is_whole else f"-{hashlib.sha256(name.encode()).hexdigest()[:8]}")
