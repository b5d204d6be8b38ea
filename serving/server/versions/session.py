"""Session of a SavedModel in TensorFlow's runtime of sessions, which the real server uses too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers TF-Text's ops, which the stock server links
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.framework.ops import dismantle_graph
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from serving.server.status_error import StatusError, code_of, invalid_argument

Array = np.ndarray[Any, Any]

_TAGS = {tf.saved_model.SERVING}


class SavedModelSession:
    """A loaded graph whose tensors are fed and fetched by name.

    ``tf.saved_model.load`` would check shapes in Python before the graph sees them and compute every output
    of a signature; a session leaves the checks to the kernels and computes what is fetched.

    Args:
        path: The directory of the SavedModel.
        config: Settings of the runtime.

    Attributes:
        signatures: Every signature of the graph by its name.

    Raises:
        StatusError: If no graph is tagged ``serve``, or the runtime refuses the graph.
        OSError: If there is no SavedModel.
    """

    def __init__(self, path: Path, *, config: tf.compat.v1.ConfigProto | None = None) -> None:
        loader = SavedModelLoader(str(path))
        try:
            meta_graph = loader.get_meta_graph_def_from_tags(_TAGS)
        except RuntimeError as error:
            raise StatusError(
                grpc.StatusCode.NOT_FOUND,
                f"Could not find meta graph def matching supplied tags: {{ {tf.saved_model.SERVING} }}. "
                "To inspect available tag-sets in the SavedModel, please use the SavedModel CLI: "
                "`saved_model_cli`",
            ) from error
        # They are copied, because a part of a message keeps the whole of it in memory, here the graph.
        self.signatures = {
            name: meta_graph_pb2.SignatureDef.FromString(signature.SerializeToString())
            for name, signature in meta_graph.signature_def.items()
        }
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph, config=config)
        try:
            with self._graph.as_default():
                loader.load(self._session, _TAGS)
        except tf.errors.OpError as error:
            self._session.close()
            raise StatusError(code_of(error.error_code), error.message) from error
        self._graph.finalize()
        self._session._extend_graph()
        self._tensors: dict[str, tuple[Any, np.dtype[Any]]] = {}

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, timeout_s: float | None = None
    ) -> list[Array]:
        """Feeds and fetches tensors, computing only what the fetched ones need.

        Args:
            inputs: Arrays by the name of the tensor to feed; strings are object arrays of ``bytes``.
            outputs: The names of the tensors to fetch.
            timeout_s: The time that the run may take.

        Returns:
            The fetched tensors in the order of ``outputs``.

        Raises:
            StatusError: If the runtime refuses the feeds, a kernel fails, or the time is over; the code and
                the text are the runtime's own.
        """
        feeds = {self._tensor(name)[0]: array for name, array in inputs.items()}
        fetches = [self._tensor(name)[0] for name in outputs]
        options = None
        if timeout_s is not None:
            # 0 would mean no limit.
            run_options = tf.compat.v1.RunOptions(timeout_in_ms=max(1, int(1000 * timeout_s)))
            options = pywrap_tf_session.TF_NewBufferFromString(run_options.SerializeToString())
        try:
            # Session.run would compare shapes with those the graph was traced for, which no server does.
            return self._session._call_tf_sessionrun(options, feeds, fetches, [], None)
        except tf.errors.OpError as error:
            raise StatusError(code_of(error.error_code), error.message) from error
        except UnicodeDecodeError as error:
            # The message quotes bytes of the request that are no text; its code is lost on the way to Python.
            raise invalid_argument(error.object.decode(errors="replace")) from error
        finally:
            if options is not None:
                pywrap_tf_session.TF_DeleteBuffer(options)

    def accepts_types(self, inputs: Mapping[str, Array]) -> bool:
        """Whether ``run`` would not refuse these arrays for their types.

        Raises:
            StatusError: If there is no tensor of a name.
        """
        return all(array.dtype == self._tensor(name)[1] for name, array in inputs.items())

    def close(self) -> None:
        """Gives the memory back; nothing may run any more."""
        self._session.close()
        self._tensors.clear()
        # A graph and its operations refer to each other, and a collection of garbage would stop all requests.
        dismantle_graph(self._graph)
        del self._session, self._graph

    def _tensor(self, name: str) -> tuple[Any, np.dtype[Any]]:
        """The runtime's handle of a tensor, and the tensor's type."""
        found = self._tensors.get(name)
        if found is None:
            try:
                tensor = self._graph.get_tensor_by_name(name)
            except (KeyError, ValueError) as error:
                raise StatusError(
                    grpc.StatusCode.NOT_FOUND,
                    f"Tensor {name}, specified in either feed_devices or fetch_devices was not found in the "
                    "Graph",
                ) from error
            found = self._tensors[name] = (tensor._as_tf_output(), np.dtype(tensor.dtype.as_numpy_dtype))
        return found
