from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from serving.client import Client
from serving.client.async_client import AsyncClient
from serving.client.errors import ServerTimeoutError, ServerUnavailableError
from tests.serving.stub_server import StubServer


def test_every_method_answers_as_the_other_client_does(address: str, client: Client) -> None:
    async def ask() -> list[object]:
        async with AsyncClient(address) as asker:
            return [
                await asker.search(["a gift", "b"], user_ids=["7", ""], histories=[["fork"], []], k=3),
                await asker.recommend(histories=[["fork"]], exclude=[["apron"]], filters=[["room=hall"]]),
                await asker.similar(["fork"], k=2),
                await asker.rank([["new", "fork", "apron"]], queries=["a"]),
                (await asker.embed_query(["a"])).tolist(),
                (await asker.embed_item(["apron"])).tolist(),
                await asker.status(),
                await asker.metadata(),
                await asker.search([]),
            ]

    assert asyncio.run(ask()) == [
        client.search(["a gift", "b"], user_ids=["7", ""], histories=[["fork"], []], k=3),
        client.recommend(histories=[["fork"]], exclude=[["apron"]], filters=[["room=hall"]]),
        client.similar(["fork"], k=2),
        client.rank([["new", "fork", "apron"]], queries=["a"]),
        client.embed_query(["a"]).tolist(),
        client.embed_item(["apron"]).tolist(),
        client.status(),
        client.metadata(),
        [],
    ]


def test_calls_run_side_by_side_over_one_connection() -> None:
    async def ask(address: str) -> None:
        async with AsyncClient(address, timeout_s=30) as client:
            await asyncio.gather(*(client.status() for _ in range(4)))

    with StubServer(meeting=threading.Barrier(4)) as server:
        asyncio.run(ask(server.address))

    assert len(set(server.peers)) == 1


def test_client_made_before_the_event_loop_runs_works(address: str) -> None:
    client = AsyncClient(address)

    async def ask() -> int:
        await client.wait_until_ready(20)
        number = len((await client.search(["hello"], k=2))[0])
        await client.close()
        return number

    assert asyncio.run(ask()) == 2


def test_cancelled_task_leaves_the_client_usable(address: str) -> None:
    async def ask() -> int:
        async with AsyncClient(address) as client:
            slow = asyncio.create_task(client.predict("wait", {"seconds": np.array([0.5])}))
            await asyncio.sleep(0.1)
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
            return len((await client.search(["hello"], k=2))[0])

    assert asyncio.run(ask()) == 2


def test_no_server_and_no_answer_in_time_have_a_class_each(address: str) -> None:
    async def ask() -> None:
        async with AsyncClient("localhost:1", num_attempts=1) as client:
            with pytest.raises(ServerUnavailableError, match="No server answers at localhost:1;"):
                await client.search(["x"])
            with pytest.raises(ServerTimeoutError, match="must serve tandem"):
                await client.wait_until_ready(0.1)
        async with AsyncClient(address) as client:
            with pytest.raises(ServerTimeoutError, match=r"within 0\.2 s"):
                await client.predict("wait", {"seconds": np.array([1.0])}, timeout_s=0.2)

    asyncio.run(ask())


def test_wrong_argument_is_named_before_a_call() -> None:
    async def ask() -> None:
        async with AsyncClient("localhost:1") as client:
            await client.search(["a"], k=0)

    with pytest.raises(ValueError, match="k must be a whole number"):
        asyncio.run(ask())
