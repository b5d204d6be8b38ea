"""A keyed shuffle of Arrow batches: the rows of a key meet in a shard, and travel in pieces."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

# A worker holds one shard at a time. More of them make it smaller, and the pieces of a batch too.
NUM_SHARDS = 1024


def pieces(batch: pa.RecordBatch, key: str) -> Iterator[tuple[int, bytes]]:
    """Splits a batch by a hash of its keys.

    Args:
        batch: The rows.
        key: A binary column without nulls.

    Yields:
        A shard, and its rows as a packed Arrow message, which `joined` reads.
    """
    keys = batch.column(key).dictionary_encode()
    # Not Python's own hash, which differs from process to process.
    hashes = [zlib.crc32(value) % NUM_SHARDS for value in keys.dictionary.to_pylist()]
    shards = np.array(hashes, np.int64)[keys.indices.to_numpy()]
    order = np.argsort(shards, kind="stable")
    batch, shards = batch.take(pa.array(order)), shards[order]
    edges = np.flatnonzero(np.diff(shards, prepend=-1)).tolist()
    for begin, end in itertools.pairwise([*edges, len(shards)]):
        message = batch.slice(begin, end - begin).serialize()
        # Columns of one value and headers are most of it, and some runners hold all that is shuffled.
        yield int(shards[begin]), zlib.compress(message, level=1)


def joined(messages: Iterable[bytes], schema: pa.Schema) -> pa.Table:
    """The rows of a shard in one chunk, in no order.

    Args:
        messages: From `pieces`.
        schema: Of the batches that were split.
    """
    batches = [
        pa.ipc.read_record_batch(pa.py_buffer(zlib.decompress(message)), schema) for message in messages
    ]
    return pa.Table.from_batches(batches, schema).combine_chunks()
