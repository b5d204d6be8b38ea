"""The choice of the text that a search by meaning compares a query with: all of an item's, or its title."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from models.encoding import encode_tokens
from models.metrics import paired_difference_interval
from models.trained import TrainedModel
from serving.servable.search_quality import MIN_JUDGED, JudgedQueries, search_quality
from serving.servable.searching import Searching

# Titles of more items are not encoded for a comparison: it would take minutes.
_MAX_ITEMS = 50_000


def choose_titles(
    searching: Searching,
    model: TrainedModel,
    titles: Sequence[str],
    judged: JudgedQueries,
    vectors: np.ndarray,
    *,
    max_text_tokens: int,
) -> tuple[np.ndarray | None, str]:
    """The vectors of titles alone, where judged queries find more with them.

    That is where the 95 % interval of the difference in nDCG@10 is above zero. Nothing is fitted, so no query
    is kept aside.

    Args:
        searching: Search over the catalogue, by all of the items' texts.
        model: Of the encoder.
        titles: The first text column of each item.
        judged: Queries that may be learnt from; with fewer than `MIN_JUDGED` nothing is compared.
        vectors: float32 ``[num_queries, text_dim]``, the queries encoded.
        max_text_tokens: Length of a tokenised title.

    Returns:
        float32 ``[num_items, text_dim]`` of unit length, or ``None`` if all the text stays; and a sentence
        about it, "" if nothing was compared.
    """
    if len(judged.queries) < MIN_JUDGED or len(titles) > _MAX_ITEMS:
        return None, ""
    tokens = model.tokenizer(tf.constant(list(titles), tf.string), length=max_text_tokens)
    of_titles = encode_tokens(model.two_tower.encoder, tokens.numpy())
    before = search_quality(searching, judged, vectors)
    after = search_quality(searching.by_meaning_of(of_titles), judged, vectors)
    counts = np.isfinite(before)
    before, after = before[counts], after[counts]
    low, high = paired_difference_interval(after, before)
    is_taken = bool(low > 0)
    sentence = (
        f"A search by meaning compares a query with {'the title' if is_taken else 'all the text'} of an "
        f"item: nDCG@10 is {after.mean():.3f} with titles and {before.mean():.3f} with all the text on "
        f"{len(before)} judged queries, difference {np.mean(after - before):+.3f} [{low:+.3f}, {high:+.3f}]."
    )
    return (of_titles if is_taken else None), sentence
