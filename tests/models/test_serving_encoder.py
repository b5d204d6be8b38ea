from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.pretrained import DEFAULT_ENCODER, resolve_encoder
from models.serving_encoder import ServingEncoder
from models.text_encoder import TextEncoder, _set_exact_gelu
from tests.tiny import TITLES, make_encoder, make_tokenizer

TOKENS = make_tokenizer()(tf.constant([*TITLES, ""]), length=10)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("exact_gelu", [False, True])
def test_vectors_are_those_of_the_trained_encoder(pooling: str, exact_gelu: bool) -> None:
    encoder = make_encoder(pooling=pooling)
    if exact_gelu:
        _set_exact_gelu(encoder.backbone)

    np.testing.assert_allclose(ServingEncoder(encoder)(TOKENS), encoder(TOKENS), atol=2e-6)


def test_lora_update_is_part_of_the_weights() -> None:
    encoder = make_encoder(trainable_part="lora", lora_rank=2)
    before = ServingEncoder(encoder)(TOKENS).numpy()
    for weight in encoder.trainable_weights:
        weight.assign(keras.random.normal(weight.shape, stddev=0.5, seed=7))

    after = ServingEncoder(encoder)(TOKENS).numpy()

    np.testing.assert_allclose(after, encoder(TOKENS), atol=2e-6)
    assert np.abs(after - before).max() > 1e-3


def test_vectors_do_not_depend_on_padding_or_on_the_rest_of_the_batch() -> None:
    encoder = ServingEncoder(make_encoder())
    alone = encoder(TOKENS[3:4, :4]).numpy()

    np.testing.assert_allclose(encoder(TOKENS)[3:4], alone, atol=2e-6)


@pytest.mark.slow
def test_default_encoder_is_the_same_in_both_forms() -> None:
    encoder = TextEncoder.from_pretrained(resolve_encoder(DEFAULT_ENCODER))
    tokens = np.random.default_rng(0).integers(1000, 20000, (4, 9)).astype(np.int32)
    tokens[0, 5:] = 0

    np.testing.assert_allclose(ServingEncoder(encoder)(tokens), encoder(tokens), atol=2e-6)
