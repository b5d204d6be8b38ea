"""The choice of what encodes a query when it is served: the encoder, or the token table that imitates it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from scipy import sparse

from models.encoding import encode_tokens
from models.metrics import ndcg_at_k, rank_relevant
from models.query_table import QueryTable, fit_query_table, pseudo_queries
from models.trained import TrainedModel
from serving.servable.searching import Searching

# Fewer judged queries say less than queries made of titles.
MIN_JUDGED = 20
_NUM_PSEUDO = 500
_K = 10
CHUNK = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedQueries:
    """Texts, and the gain of each judged item: CSR ``[num_queries, num_items]``."""

    queries: Sequence[str]
    gains: sparse.csr_matrix


def choose_query_table(
    choice: str,
    model: TrainedModel,
    searching: Searching,
    titles: Sequence[str],
    judged: JudgedQueries,
    *,
    max_query_tokens: int,
    max_loss: float,
) -> QueryTable | None:
    """The token table, if it is to encode queries; ``None`` leaves them to the encoder.

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
        return None
    table = fit_query_table(model.two_tower.encoder, model.tokenizer, titles)
    if table is None or choice == "table":
        return table
    if len(judged.queries) < MIN_JUDGED:
        judged = _of_titles(titles)
    before, after = (
        _quality(searching, judged, query_vectors(judged.queries, model, encoded_by, max_query_tokens))
        for encoded_by in (None, table)
    )
    is_taken = before - after <= max_loss
    verdict = "encodes" if is_taken else "does not encode"
    print(
        f"The token table {verdict} queries: nDCG@10 is {after:.3f} with it and {before:.3f} with the "
        f"encoder on {len(judged.queries)} queries."
    )
    return table if is_taken else None


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
    tokens = model.tokenizer(tf.constant(list(queries), tf.string), length=max_query_tokens)
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


def _quality(searching: Searching, judged: JudgedQueries, vectors: np.ndarray) -> float:
    """The mean nDCG@10 of a search with the queries' vectors."""
    parts = []
    for start in range(0, len(judged.queries), CHUNK):
        stop = start + CHUNK
        found = searching(tf.constant(list(judged.queries[start:stop])), tf.constant(vectors[start:stop]))
        parts.append(ndcg_at_k(rank_relevant(found.scores.numpy(), judged.gains[start:stop]), _K))
    return float(np.nanmean(np.concatenate(parts)))
