from __future__ import annotations

import collections

import numpy as np
import pyarrow as pa

from components.interaction_builder.shards import NUM_SHARDS, joined, pieces

SCHEMA = pa.schema({"user": pa.binary(), "row": pa.int32(), "query": pa.binary()})


def _batch(num_rows: int, num_users: int, seed: int = 0) -> pa.RecordBatch:
    users = np.random.default_rng(seed).integers(num_users, size=num_rows)
    return pa.record_batch(
        [
            pa.array([b"user %d" % user for user in users], pa.binary()),
            np.arange(num_rows, dtype=np.int32),
            pa.array([None if row % 3 else b"lamp" for row in range(num_rows)], pa.binary()),
        ],
        schema=SCHEMA,
    )


def test_rows_of_a_key_meet_in_one_shard_and_none_is_lost() -> None:
    shards = collections.defaultdict(list)
    batches = [_batch(2000, 300, seed) for seed in range(2)]
    for batch in batches:
        for shard, message in pieces(batch, "user"):
            shards[shard].append(message)

    tables = {shard: joined(messages, SCHEMA) for shard, messages in shards.items()}

    homes = {(user, shard) for shard, table in tables.items() for user in table["user"].to_pylist()}
    assert len(homes) == len({user for user, _ in homes}) == 300
    assert len(tables) > 200
    assert all(0 <= shard < NUM_SHARDS for shard in tables)
    together = pa.concat_tables(tables.values()).to_pylist()
    assert sorted(together, key=repr) == sorted(pa.Table.from_batches(batches).to_pylist(), key=repr)


def test_piece_carries_its_own_rows_alone() -> None:
    batch = _batch(20_000, 5000)

    sizes = [len(message) for _, message in pieces(batch, "user")]

    # Arrow would send what a slice is cut from if it were pickled.
    assert max(sizes) < batch.nbytes / 50


def test_empty_batch_has_no_pieces_and_no_pieces_are_an_empty_table() -> None:
    assert not list(pieces(_batch(0, 1), "user"))

    assert joined([], SCHEMA) == SCHEMA.empty_table()
