"""The time that the servable takes inside one process, as a whole and part by part.

``python -m benchmarks.serving.inside called VERSION_DIR CATALOGUE_DIR SECONDS`` prints it as JSON. The
benchmark runs it in a process of its own, which keeps TensorFlow's threads and memory away from the clients.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the tokeniser's ops

from benchmarks.serving.load import OPERATIONS, Ask, call_of, make_asks, read_ids
from benchmarks.serving.tables import ENCODER, IDLE, OTHER, PEER_ENCODER, SCOPES
from models.pretrained import DEFAULT_ENCODER, resolve_encoder
from models.serving_encoder import ServingEncoder
from models.text_encoder import TextEncoder
from models.tokenizer import Tokenizer
from serving.client import tensors

Array = np.ndarray[Any, Any]

# These ops only call other ops, and their time is that of the ops they call.
_CALLS = ("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf")
# A scope that is entered again gets a number: "encode_1".
_IN_SCOPE = re.compile(rf"(?:^|/)({'|'.join(SCOPES)})(?:_\d+)?/")
# As `serving.launcher` and ``deploy/server/session.config`` have it.
_AS_SERVED = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1)
_AS_SERVED.graph_options.rewrite_options.disable_meta_optimizer = True
_NUM_WARM_UP = 5
_NUM_TRACED = 20
_MAX_QUERY_TOKENS = 32
# In float32, two ways to compute the same number may differ by this much.
_MAX_DIFFERENCE = 1e-4


def inputs_of(operation: str, ask: Ask) -> dict[str, Array]:
    """The tensors of one request, as the client sends them."""
    sent = call_of(operation, ask).request.inputs
    return {name: tensors.to_array(proto) for name, proto in sent.items()}


def caller(model: Any, operation: str) -> Callable[[Ask], None]:
    """A function that calls a signature of a loaded SavedModel with arrays and gets arrays."""
    signature = model.signatures[operation]

    def call(ask: Ask) -> None:
        tensors = {name: tf.constant(value) for name, value in inputs_of(operation, ask).items()}
        for output in signature(**tensors).values():
            output.numpy()

    return call


def encoder_caller() -> Callable[[Ask], Array]:
    """A function that encodes the query's tokens with the served encoder alone: no tokenising, no search."""
    folder = resolve_encoder(DEFAULT_ENCODER)
    tokenizer = Tokenizer.from_pretrained(folder)
    encode = tf.function(
        ServingEncoder(TextEncoder.from_pretrained(folder)),
        input_signature=[tf.TensorSpec([None, None], tf.int32)],
    )
    tokens: dict[str, tf.Tensor] = {}

    def call(ask: Ask) -> Array:
        if ask.query not in tokens:
            row = tokenizer(tf.constant([ask.query]), length=_MAX_QUERY_TOKENS)
            tokens[ask.query] = row[:, : int(tf.math.count_nonzero(row))]
        vectors: Array = encode(tokens[ask.query]).numpy()
        return vectors[0]

    return call


def onnx_caller() -> Callable[[Ask], Array]:
    """A function that tokenises and encodes the query with the peer's encoder."""
    from benchmarks.serving.onnx import OnnxEncoder

    encoder = OnnxEncoder(resolve_encoder(DEFAULT_ENCODER))
    return lambda ask: encoder(ask.query)


def latencies_ms(call: Callable[[Ask], Any], asks: Sequence[Ask], seconds: float) -> list[float]:
    """The latencies of one call after the other, for ``seconds``."""
    for ask in asks[:_NUM_WARM_UP]:
        call(ask)
    latencies: list[float] = []
    end = time.perf_counter() + seconds
    while (before := time.perf_counter()) < end:
        call(asks[len(latencies) % len(asks)])
        latencies.append(1e3 * (time.perf_counter() - before))
    return latencies


class Session:
    """A version in a session of its own, as the servers run it. It can tell when each op ran.

    Args:
        version_dir: The model.
    """

    def __init__(self, version_dir: Path) -> None:
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=_AS_SERVED)
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(version_dir))
        self._signatures = loaded.signature_def

    def caller(self, operation: str) -> Callable[[Ask], Any]:
        """A function that runs a signature."""
        return lambda ask: self.run(operation, inputs_of(operation, ask))

    def parts(self, operation: str, asks: Sequence[Ask]) -> dict[str, float]:
        """Each scope's share of the time from the first op of a run to its last. The shares sum to 1."""
        traced = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
        total: Counter[str] = Counter()
        for ask in asks:
            metadata = tf.compat.v1.RunMetadata()
            self.run(operation, inputs_of(operation, ask), options=traced, run_metadata=metadata)
            total.update(shares(_spans(metadata)))
        return {name: value / total.total() for name, value in total.items()}

    def num_ops(self, operation: str, inputs: dict[str, Array]) -> int:
        """How many ops run for one request; those that call other ops count too."""
        traced = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
        metadata = tf.compat.v1.RunMetadata()
        self.run(operation, inputs, options=traced, run_metadata=metadata)
        return sum(len(device.node_stats) for device in metadata.step_stats.dev_stats)

    def run(self, signature_name: str, inputs: dict[str, Array], **settings: Any) -> dict[str, Array]:
        """The outputs of a signature."""
        signature = self._signatures[signature_name]
        feeds = {signature.inputs[name].name: value for name, value in inputs.items()}
        fetches = {name: output.name for name, output in signature.outputs.items()}
        outputs: dict[str, Array] = self._session.run(fetches, feeds, **settings)
        return outputs


def shares(spans: Sequence[tuple[str, int, int]]) -> Counter[str]:
    """Splits the time from the first start to the last end among the names that were running.

    Args:
        spans: The name, start and end of each span.
    """
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    for name, start, end in spans:
        changes[start][name] += 1
        changes[end][name] -= 1
    running: Counter[str] = Counter()
    # The type of Counter has whole numbers, but these values are shares.
    split: Any = Counter()
    previous: int | None = None
    for instant in sorted(changes):
        if previous is not None:
            active = running.total()
            for name, count in running.items():
                split[name] += (instant - previous) * count / active if active else 0.0
            split[IDLE] += 0 if active else instant - previous
        running.update(changes[instant])
        previous = instant
    return split


def _spans(metadata: Any) -> list[tuple[str, int, int]]:
    spans = []
    for device in metadata.step_stats.dev_stats:
        for node in device.node_stats:
            if any(f" = {kind}(" in node.timeline_label or node.node_name == kind for kind in _CALLS):
                continue
            start = node.all_start_nanos + node.op_start_rel_nanos
            found = _IN_SCOPE.search(node.node_name)
            scope = found[1] if found else OTHER
            spans.append((scope, start, start + max(node.op_end_rel_nanos - node.op_start_rel_nanos, 1)))
    return spans


def measure_called(version_dir: Path, asks: Sequence[Ask], seconds: float) -> dict[str, Any]:
    """The latencies in ms of our encoder, of the peer's, and of each operation of the loaded SavedModel."""
    ours, peer = encoder_caller(), onnx_caller()
    difference = max(float(np.abs(ours(ask) - peer(ask)).max()) for ask in asks)
    if difference > _MAX_DIFFERENCE:
        raise ValueError(f"Both encoders must agree to {_MAX_DIFFERENCE:g}. Got {difference:g} apart.")
    measured = {ENCODER: latencies_ms(ours, asks, seconds), PEER_ENCODER: latencies_ms(peer, asks, seconds)}
    model = tf.saved_model.load(str(version_dir))
    return measured | {name: latencies_ms(caller(model, name), asks, seconds) for name in OPERATIONS}


def measure_session(version_dir: Path, asks: Sequence[Ask], seconds: float) -> dict[str, Any]:
    """Each operation in a session.

    Returns:
        By operation its ``latencies_ms``, the ``cpu_ms`` of a request, ``num_ops``, and ``parts``: shares of
        the time by scope.
    """
    session = Session(version_dir)
    measured = {}
    for name in OPERATIONS:
        latencies_ms(session.caller(name), asks, 0.0)
        cpu_before = time.process_time()
        latencies = latencies_ms(session.caller(name), asks, seconds)
        cpu_s = time.process_time() - cpu_before
        measured[name] = {
            "latencies_ms": latencies,
            "cpu_ms": 1e3 * cpu_s / (len(latencies) + _NUM_WARM_UP),
            "num_ops": session.num_ops(name, inputs_of(name, asks[0])),
            "parts": session.parts(name, asks[:_NUM_TRACED]),
        }
    return measured


# Each measure runs in a process of its own, so that a catalogue of a million items is not in memory twice.
_MEASURES = {"called": measure_called, "session": measure_session}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.inside", description=__doc__)
    parser.add_argument("how", choices=_MEASURES)
    parser.add_argument("version_dir", type=Path)
    parser.add_argument("folder", type=Path, help="the catalogue")
    parser.add_argument("seconds", type=float, help="of each measurement")
    options = parser.parse_args(arguments)
    asks = make_asks(options.version_dir, read_ids(options.folder))
    json.dump(_MEASURES[options.how](options.version_dir, asks, options.seconds), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
