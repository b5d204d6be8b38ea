"""The choice of what encodes a query when it is served: the encoder, or the token table that imitates it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from scipy import sparse

from models.encoding import encode_tokens
from models.query_table import QueryTable, fit_query_table, pseudo_queries
from models.trained import TrainedModel
from serving.servable.search_quality import MIN_JUDGED, JudgedQueries, search_quality
from serving.servable.searching import Searching

_NUM_PSEUDO = 500


def choose_query_table(
    choice: str,
    model: TrainedModel,
    searching: Searching,
    titles: Sequence[str],
    judged: JudgedQueries,
    *,
    max_query_tokens: int,
    max_loss: float,
) -> tuple[QueryTable | None, str]:
    """The token table, if it is to encode queries; ``None`` leaves them to the encoder.

    Beside it comes a sentence about the choice, "" if nothing was compared.

    Args:
        choice: One of `serving.config.QUERY_ENCODERS`; ``auto`` takes the table if it loses little.
        model: Whose encoder the table imitates.
        searching: Search over the catalogue.
        titles: The first text column of each item.
        judged: Queries to compare both on; with few of them, words of titles are to find their item.
        max_query_tokens: Length of a tokenised query.
        max_loss: How much of nDCG@10 the table may lose.
    """
    if choice == "encoder":
        return None, ""
    table = fit_query_table(model.two_tower.encoder, model.tokenizer, titles)
    if table is None or choice == "table":
        return table, ""
    if len(judged.queries) < MIN_JUDGED:
        judged = _of_titles(titles)
    before, after = (
        np.nanmean(
            search_quality(
                searching, judged, query_vectors(judged.queries, model, encoded_by, max_query_tokens)
            )
        )
        for encoded_by in (None, table)
    )
    is_taken = before - after <= max_loss
    verdict = "encodes" if is_taken else "does not encode"
    return (table if is_taken else None), (
        f"The token table {verdict} queries: nDCG@10 is {after:.3f} with it and {before:.3f} with the "
        f"encoder on {len(judged.queries)} queries."
    )


def query_vectors(
    queries: Sequence[str], model: TrainedModel, table: QueryTable | None, max_query_tokens: int
) -> np.ndarray:
    """Queries as a search encodes them: float32 ``[num_queries, text_dim]`` of unit length.

    Args:
        queries: Texts.
        model: Of the encoder.
        table: Of `choose_query_table`.
        max_query_tokens: Length of a tokenised query.
    """
    tokens = model.tokenizer.queries(tf.constant(list(queries), tf.string), length=max_query_tokens)
    if table is None:
        return encode_tokens(model.two_tower.encoder, tokens.numpy())
    is_known = table.knows(tokens).numpy()
    vectors = table(tokens).numpy()
    vectors[~is_known] = encode_tokens(model.two_tower.encoder, tokens.numpy()[~is_known])
    return vectors


def _of_titles(titles: Sequence[str]) -> JudgedQueries:
    """Words of titles as queries, whose one relevant item is that of the title."""
    made = pseudo_queries(titles, seed=1)[:_NUM_PSEUDO]
    return JudgedQueries(
        queries=[text for text, _ in made],
        gains=sparse.csr_matrix(
            (np.ones(len(made)), (np.arange(len(made)), [row for _, row in made])),
            shape=(len(made), len(titles)),
        ),
    )
