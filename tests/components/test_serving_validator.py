from __future__ import annotations

import json
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_text as tf_text

from components.serving_validator import foreign_ops, validate_servable
from tests import tiny


@pytest.fixture(scope="module")
def servable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    module, signatures = tiny.shared_servable()
    folder = tmp_path_factory.mktemp("servable") / "model"
    tf.saved_model.save(module, str(folder), signatures=signatures)
    (folder / "assets.extra").mkdir()
    named = [
        {"item_id": item_id.decode(), "title": title}
        for item_id, title in zip(tiny.IDS, tiny.TITLES, strict=True)
    ]
    examples = {
        "queries": ["red teapot", "lamp"],
        "users": [{"user_id": "ann", "history": named[:3]}],
        "items": named,
    }
    (folder / "assets.extra" / "examples.json").write_text(json.dumps(examples))
    return folder


def save(function: tf.types.experimental.PolymorphicFunction, folder: Path) -> str:
    module = tf.Module()
    module.function = function
    tf.saved_model.save(module, str(folder))
    return str(folder)


@pytest.mark.slow
def test_nothing_but_its_latency_speaks_against_a_good_servable(servable: Path) -> None:
    reasons, facts = validate_servable(str(servable), 0.001)

    assert len(reasons) == 1
    assert "must take at most 0.001 ms" in reasons[0]
    assert any("ready after" in fact for fact in facts)
    assert any("ms at the median" in fact for fact in facts)


def test_own_functions_and_tf_texts_tokenizer_are_not_foreign(tmp_path: Path) -> None:
    tokenizer = tf_text.FastBertTokenizer(
        tiny.VOCABULARY, token_out_type=tf.int32, support_detokenization=False
    )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def tokenize(texts: tf.Tensor) -> tf.Tensor:
        return tokenizer.tokenize(texts).to_tensor()

    assert foreign_ops(save(tokenize, tmp_path / "model")) == []


def test_ops_that_older_servers_lack_are_foreign(tmp_path: Path) -> None:
    trimmer = tf_text.RoundRobinTrimmer(4)

    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.int32)])
    def trim(tokens: tf.RaggedTensor) -> tf.Tensor:
        return trimmer.trim([tokens])[0].to_tensor()

    assert foreign_ops(save(trim, tmp_path / "model")) == ["TFText>RoundRobinTrim"]
