from __future__ import annotations

import pytest
import tensorflow as tf

from models.strategy import is_chief, training_strategy


def test_one_device_without_a_word_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TPU_NAME", "TF_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    assert training_strategy() is tf.distribute.get_strategy()


def test_process_alone_is_the_chief() -> None:
    assert is_chief(tf.distribute.get_strategy())
