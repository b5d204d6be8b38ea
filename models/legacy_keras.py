"""Keras 2 as ``tf.keras``, without which TensorFlow Recommenders does not import; `keras` stays Keras 3.

To be imported before TensorFlow, which reads the variable once. Every entry point does.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
