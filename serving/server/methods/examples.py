"""What Classify, Regress and MultiInference share: ``tf.train.Example`` messages as one tensor."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from tensorflow_serving.apis import input_pb2

from serving.server.batching.scheduler import OnDisconnect
from serving.server.status_error import invalid_argument
from serving.server.versions.loaded_model import LoadedModel

Array = np.ndarray[Any, Any]


def run_on_examples(
    model: LoadedModel,
    input_: input_pb2.Input,
    feed: str,
    fetches: Sequence[str],
    *,
    model_name: str,
    api: str,
    timeout_s: float | None,
    on_disconnect: OnDisconnect | None,
) -> tuple[dict[str, Array], int]:
    """Feeds the examples of a request, and counts them.

    Args:
        model: What is run.
        input_: The examples of the request.
        feed: The name of the tensor to feed.
        fetches: The names of the tensors to fetch.
        model_name: What the metrics call the model.
        api: What the metrics call the kind of request.
        timeout_s: How long it may take.
        on_disconnect: As ``LoadedModel.run`` takes it.

    Returns:
        The fetched tensors by name, and the number of examples.

    Raises:
        StatusError: When there is no example, or the graph refuses them.
    """
    examples = serialized_examples(input_)
    started_s = time.perf_counter()
    arrays = model.run({feed: examples}, fetches, timeout_s=timeout_s, on_disconnect=on_disconnect)
    latency_us = 1e6 * (time.perf_counter() - started_s)
    model.metrics.runtime_latency.observe(latency_us, model_name, api, "TF1")
    model.metrics.request_example_counts.observe(len(examples), model_name)
    model.metrics.request_example_count_total.increment(model_name, by=len(examples))
    return dict(zip(fetches, arrays, strict=True)), len(examples)


def serialized_examples(input_: input_pb2.Input) -> Array:
    """The examples as signatures take them.

    A context is merged into every example: the bytes of two messages one after the other are the bytes of the
    merged message.

    Returns:
        Bytes (object), ``[num_examples]``.

    Raises:
        StatusError: When there is none.
    """
    if input_.WhichOneof("kind") == "example_list_with_context":
        context = input_.example_list_with_context.context.SerializeToString()
        messages = input_.example_list_with_context.examples
    else:
        context, messages = b"", input_.example_list.examples
    if not messages:
        raise invalid_argument("Input is empty.")
    examples = np.empty(len(messages), np.object_)
    examples[:] = [context + message.SerializeToString() for message in messages]
    return examples
