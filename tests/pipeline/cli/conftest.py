"""The tiny server of ``tests/serving``, which the commands ask."""

from __future__ import annotations

from tests.serving.conftest import address, model_path

__all__ = ["address", "model_path"]
