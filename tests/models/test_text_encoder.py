from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import erf

from models.encoder_usage import EncoderUsage
from models.encoding import encode_tokens
from models.pretrained import resolve_encoder
from models.text_encoder import TextEncoder, _set_exact_gelu
from models.tokenizer import Tokenizer
from tests.tiny import TITLES, make_encoder, make_tokenizer

TOKENS = make_tokenizer()(tf.constant(TITLES), length=10).numpy()


def hidden_states(encoder: TextEncoder, tokens: np.ndarray) -> np.ndarray:
    inputs = {
        "token_ids": tokens,
        "segment_ids": np.zeros_like(tokens),
        "padding_mask": (tokens != 0).astype(int),
    }
    return encoder.backbone(inputs)["sequence_output"].numpy()


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def test_mean_pooling_averages_what_is_not_padding() -> None:
    encoder = make_encoder(pooling="mean")
    states = hidden_states(encoder, TOKENS)
    expected = [state[row != 0].mean(axis=0) for state, row in zip(states, TOKENS, strict=True)]

    np.testing.assert_allclose(encoder(TOKENS), unit(np.array(expected)), atol=1e-5)


def test_cls_pooling_takes_the_first_token() -> None:
    encoder = make_encoder(pooling="cls")

    np.testing.assert_allclose(encoder(TOKENS), unit(hidden_states(encoder, TOKENS)[:, 0]), atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_changes_nothing(pooling: str) -> None:
    encoder = make_encoder(pooling=pooling)
    padded = np.pad(TOKENS, [(0, 0), (0, 5)])

    np.testing.assert_allclose(encoder(padded), encoder(TOKENS), atol=1e-5)


def test_row_of_only_padding_is_finite() -> None:
    assert np.isfinite(make_encoder()(np.zeros((2, 4), np.int32))).all()


@pytest.mark.parametrize(
    ("part", "trained"),
    [
        ("frozen", []),
        ("lora", ["transformer_layer_0", "transformer_layer_1"]),
        ("top_layers", ["transformer_layer_1"]),
        ("full", ["embeddings_layer_norm", "transformer_layer_0", "transformer_layer_1"]),
    ],
)
def test_only_the_chosen_part_learns(part: str, trained: list[str]) -> None:
    encoder = make_encoder(trainable_part=part, num_top_layers=1, lora_rank=2)
    paths = [variable.path for variable in encoder.trainable_variables]

    for layer in trained:
        assert any(layer in path for path in paths), layer
    if part == "frozen":
        assert not paths
    if part == "full":
        assert {v.path for v in encoder.weights if "pooled" not in v.path} == set(paths)
    if part == "top_layers":
        assert all("transformer_layer_1" in path for path in paths)
    if part == "lora":
        assert all("/query/" in path or "/value/" in path for path in paths)
        kernels = [variable for variable in encoder.trainable_variables if "lora" in variable.path]
        assert len(kernels) == 2 * 2 * 2
        assert not any(path.endswith("/kernel") for path in paths)


def test_lora_starts_as_the_encoder_was() -> None:
    plain, lora = make_encoder(), make_encoder()
    lora._set_trainable("lora", 2, 1)

    np.testing.assert_allclose(lora(TOKENS), plain(TOKENS), atol=1e-6)


def test_exact_gelu_is_in_the_feed_forward_part_of_every_layer() -> None:
    encoder = make_encoder(num_layers=1)
    before = encoder(TOKENS).numpy()
    _set_exact_gelu(encoder.backbone)
    layer = next(layer for layer in encoder.backbone.layers if layer.name == "transformer_layer_0")
    x = np.linspace(-3, 3, 50, dtype=np.float32)

    np.testing.assert_allclose(
        layer._feedforward_intermediate_dense.activation(x), x * 0.5 * (1 + erf(x / np.sqrt(2))), atol=1e-6
    )
    assert 0 < np.abs(encoder(TOKENS).numpy() - before).max() < 1e-2


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("part", ["frozen", "lora"])
def test_architecture_survives_the_round_trip(exact: bool, part: str, tmp_path: Path) -> None:
    encoder = make_encoder(trainable_part=part)
    if exact:
        _set_exact_gelu(encoder.backbone)
    encoder.save_architecture(str(tmp_path))

    copy = TextEncoder.from_architecture(str(tmp_path), trainable_part=part)
    copy(TOKENS)
    for mine, theirs in zip(copy.weights, encoder.weights, strict=True):
        mine.assign(theirs)

    np.testing.assert_allclose(copy(TOKENS), encoder(TOKENS), atol=1e-6)


def test_many_texts_are_encoded_as_each_alone() -> None:
    encoder = make_encoder()
    many = np.concatenate([TOKENS] * 12 + [np.zeros_like(TOKENS[:1])])
    found = encode_tokens(encoder, many)

    np.testing.assert_allclose(found[:-1], np.concatenate([encoder(TOKENS)] * 12), atol=1e-5)
    np.testing.assert_array_equal(found[-1], 0.0)


@pytest.mark.parametrize(("asked", "pooling"), [("own", "cls"), ("mean", "mean")])
def test_pooling_is_the_encoders_own_unless_another_is_asked_for(
    asked: str, pooling: str, tmp_path: Path
) -> None:
    make_encoder().backbone.save_to_preset(str(tmp_path))
    vocabulary = tmp_path / "assets" / "tokenizer" / "vocabulary.txt"
    vocabulary.parent.mkdir(parents=True)
    vocabulary.touch()
    EncoderUsage(pooling="cls").save(tmp_path)

    encoder = TextEncoder.from_pretrained(str(tmp_path), pooling=asked)

    assert encoder.pooling == pooling
    encoder.save_architecture(str(tmp_path))
    assert TextEncoder.from_architecture(str(tmp_path)).pooling == pooling


@pytest.mark.slow
def test_default_encoder_knows_what_is_alike() -> None:
    folder = resolve_encoder("minilm")
    encoder, tokenizer = TextEncoder.from_pretrained(folder), Tokenizer.from_pretrained(folder)

    def vectors(texts: list[str]) -> np.ndarray:
        return encoder(tokenizer(tf.constant(texts), length=16)).numpy()

    anchors = vectors(["gift for a gardener", "running shoes", "a cup of tea", "wireless headphones"])
    alike = vectors(
        ["present for someone who likes plants", "trainers for jogging", "hot beverage", "bluetooth earbuds"]
    )
    similarity = anchors @ alike.T

    np.testing.assert_array_equal(similarity.argmax(axis=1), range(4))
    # As the package sentence-transformers has it for these weights.
    man, food, cheetah = vectors(
        [
            "A man is eating food.",
            "A man is eating a piece of bread.",
            "A cheetah is running behind its prey.",
        ]
    )
    assert man @ food == pytest.approx(0.7553, abs=2e-3)
    assert man @ cheetah < 0.15
