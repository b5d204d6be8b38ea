from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.encoder_usage import EncoderUsage
from models.encoding import encode_tokens
from models.query_table import QueryTable, fit_query_table, pseudo_queries
from models.tokenizer import Tokenizer
from tests import tiny


@pytest.fixture(scope="module")
def table() -> QueryTable:
    fitted = fit_query_table(tiny.make_encoder(), tiny.make_tokenizer(), tiny.TITLES * 40)
    assert fitted is not None
    return fitted


def tokens_of(*texts: str) -> tf.Tensor:
    return tiny.make_tokenizer()(tf.constant(texts), length=12)


def test_queries_are_words_of_their_title_in_its_order() -> None:
    made = pseudo_queries(tiny.TITLES, seed=3)

    assert len(made) == 4 * len(tiny.TITLES)
    assert made == pseudo_queries(tiny.TITLES, seed=3)
    for text, row in made:
        words = iter(tiny.TITLES[row].split())
        assert all(word in words for word in text.split()), (text, row)


def test_table_says_what_the_encoder_says(table: QueryTable) -> None:
    tokens = tokens_of("red teapot", "small box", "candle", "garden light")
    wanted = encode_tokens(tiny.make_encoder(), tokens.numpy())

    said = table(tokens).numpy()

    np.testing.assert_allclose(np.linalg.norm(said, axis=1), 1.0, atol=1e-5)
    assert (said * wanted).sum(axis=1).min() > 0.9
    # And not the same of everything.
    assert (said[0] * said[2]).sum() < (said[0] * wanted[0]).sum()


def test_tokens_of_no_title_are_not_known(table: QueryTable) -> None:
    assert table.knows(tokens_of("red teapot", "red zzz", "")).numpy().tolist() == [True, False, True]


def test_what_every_query_begins_with_is_passed_over() -> None:
    """Also where it has words of titles: here every query is one for a gift box."""
    tokenizer = Tokenizer(tiny.VOCABULARY, usage=EncoderUsage(query_prefix="gift box for "))
    titles = ["red teapot", "blue teapot", "candle", "garden lamp", "small glass", "big glass"] * 40
    table = fit_query_table(tiny.make_encoder(), tokenizer, titles)
    assert table is not None
    tokens = tokenizer.queries(tf.constant(["red teapot", "garden lamp", "big candle", "gift"]), length=12)

    said = table(tokens).numpy()

    assert table.knows(tokens).numpy().tolist() == [True, True, True, False]
    wanted = encode_tokens(tiny.make_encoder(), tokens.numpy())
    assert (said * wanted)[:3].sum(axis=1).min() > 0.9
    assert not said[3].any()


def test_nothing_asked_is_no_vector(table: QueryTable) -> None:
    assert not table(tf.zeros([2, 4], tf.int32)).numpy().any()


@pytest.mark.parametrize("titles", [[], ["", "  "]])
def test_titles_without_words_have_no_table(titles: list[str]) -> None:
    assert fit_query_table(tiny.make_encoder(), tiny.make_tokenizer(), titles) is None
