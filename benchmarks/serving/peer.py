"""The peer, which one could build in a day instead: ONNX Runtime as encoder, faiss as search, gRPC in front.

``python -m benchmarks.serving.peer ENCODER_DIR ITEMS_DIR`` serves it on a free port and prints the address.
The peer has the same encoder with the same weights. It has neither a ranker nor filters; it only leaves out
the history.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Array = np.ndarray[Any, Any]

SERVICE = "tandem.benchmarks.Peer"
METHODS = ("search", "recommend", "rank")
# This many threads answer. The encoder and the index release Python's lock.
_NUM_WORKERS = 2 * (os.cpu_count() or 1)
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

_Field = descriptor_pb2.FieldDescriptorProto
_MESSAGES = {
    "Question": [("text", "string"), ("history", "string*"), ("candidates", "string*"), ("k", "int32")],
    "Answer": [("item_ids", "string*"), ("titles", "string*"), ("scores", "float*")],
}


def _message_classes() -> list[Any]:
    file = descriptor_pb2.FileDescriptorProto(name="peer.proto", package="tandem.benchmarks", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields, start=1):
            message.field.add(
                name=field,
                number=number,
                type=getattr(_Field, f"TYPE_{kind.rstrip('*').upper()}"),
                label=_Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}"))
        for name in _MESSAGES
    ]


Question, Answer = _message_classes()


class Peer:
    """The peer's three answers.

    Args:
        encoder: The function from a text to its unit vector.
        ids: The item ids.
        titles: The titles of the items.
        vectors: The items' vectors of unit length, float32 ``[num_items, dim]``.
    """

    def __init__(
        self, encoder: Callable[[str], Array], ids: list[str], titles: list[str], vectors: Array
    ) -> None:
        # Only the process that serves needs faiss.
        import faiss

        self._encode, self._ids, self._titles = encoder, ids, titles
        self._rows = {item_id: row for row, item_id in enumerate(ids)}
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)
        # These vectors share the memory of the index, so nothing is copied.
        self._vectors = faiss.rev_swig_ptr(self._index.get_xb(), vectors.size).reshape(vectors.shape)

    def search(self, question: Any) -> Any:
        """The items nearest to the text."""
        return self._nearest(self._encode(question.text), question.k, set())

    def recommend(self, question: Any) -> Any:
        """The items nearest to the mean of the history, without the history's own."""
        rows = [self._rows[item_id] for item_id in question.history if item_id in self._rows]
        return self._nearest(self._vectors[rows].mean(axis=0), question.k, set(rows))

    def rank(self, question: Any) -> Any:
        """The candidates in the order of their dot product with the text."""
        rows = np.array([self._rows[item_id] for item_id in question.candidates])
        scores = self._vectors[rows] @ self._encode(question.text)
        order = np.argsort(-scores, kind="stable")
        return self._answer(rows[order], scores[order])

    def _nearest(self, vector: Array, k: int, without: set[int]) -> Any:
        scores, rows = self._index.search(vector[None], k + len(without))
        kept = [i for i, row in enumerate(rows[0].tolist()) if row not in without][:k]
        return self._answer(rows[0][kept], scores[0][kept])

    def _answer(self, rows: Array, scores: Array) -> Any:
        found = rows.tolist()
        return Answer(
            item_ids=[self._ids[row] for row in found],
            titles=[self._titles[row] for row in found],
            scores=scores.tolist(),
        )


def serve(peer: Peer) -> tuple[grpc.Server, int]:
    """Starts a server of ``peer``, which runs until it is stopped, and returns it with its port."""

    def handler(method: str) -> grpc.RpcMethodHandler[Any, Any]:
        answer = getattr(peer, method)
        return grpc.unary_unary_rpc_method_handler(
            lambda question, context: answer(question),
            request_deserializer=Question.FromString,
            response_serializer=Answer.SerializeToString,
        )

    server = grpc.server(futures.ThreadPoolExecutor(_NUM_WORKERS), options=_OPTIONS)
    handlers = {method: handler(method) for method in METHODS}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    port = server.add_insecure_port("localhost:0")
    server.start()
    return server, port


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.peer", description=__doc__)
    parser.add_argument("encoder", type=Path, help="a Hugging Face BERT folder")
    parser.add_argument("items", type=Path, help="a folder with ids.npy, titles.npy and vectors.npy")
    options = parser.parse_args(arguments)
    from benchmarks.serving.onnx import OnnxEncoder

    ids, titles = (np.load(options.items / f"{name}.npy").tolist() for name in ("ids", "titles"))
    vectors = np.load(options.items / "vectors.npy")
    server, port = serve(Peer(OnnxEncoder(options.encoder), ids, titles, vectors))
    del vectors
    signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=1.0))
    print(f"localhost:{port}", flush=True)
    server.wait_for_termination()
    return 0


if __name__ == "__main__":
    sys.exit(main())
