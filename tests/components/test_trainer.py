from __future__ import annotations

import time
from typing import Any

import pytest
import tensorflow as tf
from tfx.components.trainer.executor import GenericExecutor

from components.trainer import Executor


@pytest.mark.parametrize("error", [None, RuntimeError("it broke")])
def test_servable_may_ask_the_clock_after_training(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    def train(self: GenericExecutor, *arguments: Any) -> None:
        tf.config.experimental.enable_op_determinism()
        with pytest.raises(tf.errors.FailedPreconditionError):
            tf.timestamp()
        if error is not None:
            raise error

    monkeypatch.setattr(GenericExecutor, "Do", train)

    if error is None:
        Executor().Do({}, {}, {})
    else:
        with pytest.raises(RuntimeError, match="it broke"):
            Executor().Do({}, {}, {})

    assert float(tf.timestamp()) == pytest.approx(time.time(), abs=60)
