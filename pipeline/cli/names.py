"""Names on the command line: ids and columns, held against what the model has."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

from dataset.errors import DataError
from dataset.labels import as_label
from dataset.section import nearest
from serving.client import Client
from serving.client.arguments import MAX_CANDIDATES
from serving.client.context import Time

_OPERATOR = re.compile("!=|<=|>=|<|>|=")
# The servable counts no more values than this.
_MAX_VALUES = 1000


def read_ids(client: Client, option: str, texts: Sequence[str]) -> list[str]:
    """The ids that an option was given.

    Of an option that is given more than once, each text is an id as it is. A text that is given alone may
    have commas: it is one id if the model has that, and several if the model has each of those.

    Args:
        client: Asks the model.
        option: What to call the option in an error.
        texts: As they were given, at least one.

    Raises:
        DataError: If a text with commas can be read in neither way, or in both.
    """
    whole = [label for text in texts if (label := as_label(text))]
    if len(texts) > 1 or "," not in texts[0]:
        return whole
    parts = [label for part in texts[0].split(",") if (label := as_label(part))]
    unknown = unknown_ids(client, [*whole, *parts])
    readings = [ids for ids in (whole, parts) if unknown.isdisjoint(ids)]
    if len(readings) == 1:
        return readings[0]
    lacking = dict.fromkeys(label for label in [*whole, *parts] if label in unknown)
    got = f"no item {_quoted(lacking)}" if lacking else "an item of that id and items of its parts"
    raise DataError(
        f'{option} "{texts[0]}" must be the id of one item, or ids of items with commas between them. '
        f"The model has {got}; {option} given more than once takes each id as it is."
    )


def unknown_ids(client: Client, ids: Sequence[str]) -> set[str]:
    """Those of the ids that the model does not have; of no ids it is not asked."""
    rows = [ids[start : start + MAX_CANDIDATES] for start in range(0, len(ids), MAX_CANDIDATES)]
    return {result.item_id for row in client.rank(rows) for result in row if not result.is_known}


def note_unknown_ids(client: Client, ids: Sequence[str]) -> None:
    """Says on standard error which of the ids change nothing, because the model does not have them."""
    if unknown := unknown_ids(client, ids):
        print(f"The model has no item {_quoted(sorted(unknown))}.", file=sys.stderr)


def require_item(client: Client, item_id: str) -> None:
    """Holds that the model has an item.

    Raises:
        DataError: If it does not.
    """
    if unknown_ids(client, [item_id]):
        raise DataError(
            f"The item must be one of the model's. Got {_quoted([item_id])}, which it does not have."
        )


def require_columns(client: Client, filters: Sequence[str], sort: str = "", now: Time = 0) -> None:
    """Holds that the model has the columns of filters, and the one to sort by.

    Raises:
        DataError: If it surely does not: the categorical columns are told by their values, of which it counts
            the commonest of what is available at the moment that is asked for.
    """
    facets = client.facets([""], k=_MAX_VALUES, now=now)[0]
    categorical = {value.partition("=")[0] for value in facets.counts}
    numeric = set(facets.histograms)
    for text in filters:
        # A name may have an operator in it.
        if text.partition("=")[0].removesuffix("!") in categorical:
            continue
        column, operator = _OPERATOR.split(text)[0], _OPERATOR.findall(text)[0]
        if operator[0] in "<>":
            _require("A range must be of a numeric column of the model.", column, numeric)
        elif facets.num_matches and len(facets.counts) < _MAX_VALUES:
            _require("A filter must name a categorical column of the model.", column, categorical)
    if sort:
        _require("What results are sorted by must be a numeric column.", sort.removeprefix("-"), numeric)


def require_boosts(client: Client, boosts: Sequence[str], now: Time = 0) -> None:
    """Holds that the model has the columns of boosts, as `require_columns` does for filters.

    Raises:
        DataError: If it surely does not.
    """
    counts = client.facets([""], k=_MAX_VALUES, now=now)[0].counts
    categorical = {value.partition("=")[0] for value in counts}
    for text in boosts:
        column = text.partition("=")[0]
        if len(counts) < _MAX_VALUES:
            _require("A boost must name a categorical column of the model.", column, categorical)


def _require(rule: str, column: str, columns: set[str]) -> None:
    if column not in columns:
        way_out = nearest(column, columns) if columns else "there is no such column."
        raise DataError(f'{rule} Got "{column}"; {way_out}')


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
