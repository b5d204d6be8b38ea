"""The faults of the soak: broken and half-copied versions, huge requests, idle connections."""

from __future__ import annotations

import contextlib
import http.client
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc

from benchmarks.soak.load import REFUSALS, Journal, channel, post_json
from serving.client import messages
from serving.client.methods import GET_MODEL_STATUS, PREDICT
from serving.pushed_model import MODEL_NAME

_MODEL_FILE = "saved_model.pb"
_OVERSIZED_BYTES = 32_000_000
_MANY_ROWS = 2000
_TIMEOUT_S = 60.0


def next_version(base: Path) -> int:
    """The number after that of the newest version."""
    return max((int(path.name) for path in base.iterdir() if path.name.isdecimal()), default=0) + 1


def push_broken(source: Path, base: Path) -> int:
    """Publishes a complete version in one step, but one whose graph cannot be read."""
    version = next_version(base)
    partial = base / f".partial-{version}"
    shutil.copytree(source, partial)
    (partial / _MODEL_FILE).write_bytes(b"not a graph")
    partial.rename(base / str(version))
    return version


def push_half(source: Path, base: Path, version: int) -> None:
    """Copies a version straight to its place, as nobody should, and stops before the last file."""
    shutil.copytree(source, base / str(version), ignore=shutil.ignore_patterns(_MODEL_FILE))


def push_rest(source: Path, base: Path, version: int) -> None:
    """Copies the last file, which `push_half` left out."""
    shutil.copy(source / _MODEL_FILE, base / str(version) / _MODEL_FILE)


def prune(base: Path, num_kept: int) -> None:
    """Deletes the oldest versions."""
    versions = sorted(
        (path for path in base.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name)
    )
    for path in versions[:-num_kept]:
        shutil.rmtree(path)


def send_oversized(address: str, rest_port: int, request: Any, journal: Journal) -> None:
    """Sends a huge text and too many rows for a batch, over gRPC and REST, and a body that is no JSON."""
    text = messages.PredictRequest.FromString(request.SerializeToString())
    field = next(name for name in ("query", "item_id", "user_id") if name in text.inputs)
    text.inputs[field].string_val[0] = b"mug " * (_OVERSIZED_BYTES // 4)
    rows = messages.PredictRequest.FromString(request.SerializeToString())
    for tensor in rows.inputs.values():
        for values in (tensor.string_val, tensor.int_val, tensor.bool_val):
            values.extend(list(values) * (_MANY_ROWS - 1))
        tensor.tensor_shape.dim[0].size = _MANY_ROWS
    with channel(address) as connection:
        predict: Any = connection.unary_unary(PREDICT.path)
        for content in (text.SerializeToString(), rows.SerializeToString(), b"\xff" * _OVERSIZED_BYTES):
            try:
                predict(content, timeout=_TIMEOUT_S)
                code = "OK"
            except grpc.RpcError as error:
                code = error.code().name
                if code not in REFUSALS:
                    journal.was_wrong(f"oversized request: {code}: {error.details()}")
            journal.refused(code)
    for body in (b'{"inputs": "' + b"a" * _OVERSIZED_BYTES + b'"}', b"[" * _OVERSIZED_BYTES):
        try:
            status, _ = post_json(rest_port, body)
        except (OSError, http.client.HTTPException) as error:
            journal.was_wrong(f"oversized REST request: {type(error).__name__}: {error}")
            continue
        journal.refused(f"REST {status}")
        if status >= http.client.INTERNAL_SERVER_ERROR:
            journal.was_wrong(f"oversized REST request: {status}")


@contextlib.contextmanager
def open_connections(address: str, count: int) -> Iterator[int]:
    """Opens connections of clients that ask once and then keep still; yields how many were answered."""
    request = messages.GetModelStatusRequest()
    request.model_spec.name = MODEL_NAME
    with contextlib.ExitStack() as stack:
        channels = [stack.enter_context(channel(address)) for _ in range(count)]
        futures: list[Any] = [
            connection.unary_unary(GET_MODEL_STATUS.path, GET_MODEL_STATUS.serialize).future(
                request, timeout=_TIMEOUT_S
            )
            for connection in channels
        ]
        yield sum(future.exception() is None for future in futures)
