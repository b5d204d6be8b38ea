from __future__ import annotations

import numpy as np
import tensorflow as tf

from models.encoder_usage import EncoderUsage
from models.query_table import fit_query_table
from models.serving_encoder import ServingEncoder
from models.tokenizer import Tokenizer
from serving.servable.encoding import Encoding
from tests import tiny

TEXTS = ["red teapot", " garden lamp ", "", "set of candles, big"]


def test_queries_and_texts_begin_as_the_encoder_wants_them_to() -> None:
    encoder = tiny.make_encoder()
    tokenizer = Tokenizer(
        tiny.VOCABULARY, usage=EncoderUsage(query_prefix="a gift for ", text_prefix="box of ")
    )
    plain = tiny.make_tokenizer()
    encoding = Encoding(tokenizer, ServingEncoder(encoder))

    for encode, prefix in ((encoding.queries, "a gift for"), (encoding, "box of")):
        found = encode(tf.constant(TEXTS), length=8).numpy()
        wanted = encoder(plain(tf.constant([f"{prefix} {text}" for text in TEXTS]), length=12)).numpy()
        np.testing.assert_allclose(found[[0, 1, 3]], wanted[[0, 1, 3]], atol=1e-5)
        assert not found[2].any()


def test_table_stands_in_for_queries_that_it_knows() -> None:
    encoder = tiny.make_encoder()
    tokenizer = Tokenizer(tiny.VOCABULARY, usage=EncoderUsage(query_prefix="gift "))
    table = fit_query_table(encoder, tokenizer, ["red teapot", "garden lamp"] * 20)
    assert table is not None

    found = Encoding(tokenizer, ServingEncoder(encoder)).queries(tf.constant(TEXTS), length=8, table=table)

    tokens = tokenizer.queries(tf.constant(TEXTS), length=8)
    np.testing.assert_allclose(found[:2], table(tokens)[:2], atol=1e-6)
    np.testing.assert_allclose(found[3], encoder(tokens)[3], atol=1e-5)
