"""The tiny servers of ``tests/serving``, which the commands ask."""

from __future__ import annotations

from tests.serving.conftest import address, model_path
from tests.serving.web.conftest import model_dir, server_address

__all__ = ["address", "model_dir", "model_path", "server_address"]
