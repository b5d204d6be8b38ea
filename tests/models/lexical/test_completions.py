from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from models.lexical.completions import NUM_COMPLETIONS, Completions


def test_completions_are_the_texts_that_begin_so_the_weightiest_first() -> None:
    rng = np.random.default_rng(5)
    texts = sorted({"".join(rng.choice(list("abÄ"), rng.integers(1, 9))) for _ in range(600)})
    weights = rng.permutation(len(texts)).astype(float)
    completions = Completions(texts, weights)
    prefixes = [*sorted({text[:length].lower() for text in texts[::7] for length in range(1, 9)}), "x", "ax"]

    found = completions(tf.constant(prefixes)).numpy()

    for prefix, row in zip(prefixes, found, strict=True):
        below = [number for number, text in enumerate(texts) if text.lower().startswith(prefix)]
        best = sorted(below, key=lambda number: -weights[number])[:NUM_COMPLETIONS]
        assert [text.decode() for text in row if text] == [texts[number] for number in best], prefix


@pytest.mark.parametrize("texts", [[], ["tea"]])
def test_few_texts_are_completed(texts: list[str]) -> None:
    found = Completions(texts, np.ones(len(texts)))(tf.constant(["te", "", "teapot", "\x00"])).numpy()

    assert [[text.decode() for text in row if text] for row in found] == [texts, [], [], []]


def test_long_prefix_is_told_by_its_text() -> None:
    texts = ["a" * 50 + "b", "a" * 50 + "c"]

    found = Completions(texts, np.array([1.0, 2.0]))(tf.constant(["a" * 50, "a" * 50 + "b"])).numpy()

    assert [[text.decode() for text in row if text] for row in found] == [texts[::-1], texts[:1]]
