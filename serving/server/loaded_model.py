"""One version of a model in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers TF-Text's ops, which the stock server links
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

_TAG = "serve"


class LoadedModel:
    """A SavedModel with its signatures, counted while requests use it.

    Args:
        path: The version's directory.

    Attributes:
        signatures: Every signature of the graph by its name, as ``SignatureDef``.

    Raises:
        OSError, ValueError, tf.errors.OpError: When the directory holds no SavedModel this process can run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.signatures = _read_signatures(path)
        # The loaded object owns the variables and tables that the functions only refer to.
        self._model = tf.saved_model.load(str(path), tags=[_TAG])
        self._changed = threading.Condition()
        self._num_requests = 0
        self._retired = False

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray[Any, Any]]
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Calls a signature whose input names and types have been checked."""
        types = {alias: info.dtype for alias, info in self.signatures[signature].inputs.items()}
        feeds = {alias: tf.constant(array, dtype=types[alias]) for alias, array in inputs.items()}
        outputs = self._model.signatures[signature](**feeds)
        return {alias: output.numpy() for alias, output in outputs.items()}

    def retain(self) -> bool:
        """Counts a request that is about to use the model; false when the model is retired already."""
        with self._changed:
            self._num_requests += not self._retired
            return not self._retired

    def release(self) -> None:
        """Ends what ``retain`` began."""
        with self._changed:
            self._num_requests -= 1
            self._changed.notify_all()

    def retire(self) -> None:
        """Takes no more requests and waits for those under way."""
        with self._changed:
            self._retired = True
            self._changed.wait_for(lambda: self._num_requests == 0)


def _read_signatures(path: Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    saved_model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    for meta_graph in saved_model.meta_graphs:
        if _TAG in meta_graph.meta_info_def.tags:
            return dict(meta_graph.signature_def)
    raise ValueError(f"A SavedModel to serve must have a graph with the tag {_TAG}. Got none in {path}.")
