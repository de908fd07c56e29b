"""Clients take turns, and none of them can fill the queue."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shosei.serve.grammar_checker import Turns
from shosei.wire.api_error import ApiError


async def take(turns: Turns, client: str, order: list[str]) -> None:
    async with turns.turn(client):
        order.append(client)
        await asyncio.sleep(0)


def test_a_client_with_one_request_does_not_wait_for_all_of_another() -> None:
    async def scene() -> list[str]:
        turns, order = Turns("it"), list[str]()
        await asyncio.gather(*(take(turns, client, order) for client in ["many"] * 5 + ["one"]))
        return order

    assert asyncio.run(scene()) == ["many", "many", "one", "many", "many", "many"]


def test_a_full_queue_refuses_and_one_client_cannot_fill_it() -> None:
    async def scene() -> None:
        turns, order = Turns("the work", most=4, most_of_one=3), list[str]()
        async with turns.turn("many"):
            waiting = [asyncio.create_task(take(turns, "many", order)) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(ApiError, match="the work") as refused:
                await take(turns, "many", order)
            assert (refused.value.status, "Retry-After" in refused.value.headers) == (429, True)
            waiting.append(asyncio.create_task(take(turns, "one", order)))
            await asyncio.sleep(0)
            with pytest.raises(ApiError):
                await take(turns, "another", order)
        await asyncio.gather(*waiting)
        await take(turns, "another", order)

    asyncio.run(scene())


def test_a_turn_that_does_not_come_is_told_of() -> None:
    async def scene() -> None:
        turns = Turns("it", wait_s=0.01)
        async with turns.turn("first"):
            with pytest.raises(ApiError) as refused:
                await take(turns, "second", [])
            assert refused.value.status == 503
        await take(turns, "second", [])

    asyncio.run(scene())


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.booleans()), max_size=20))
def test_whoever_leaves_whoever_stays_has_a_turn(clients: list[tuple[str, int, bool]]) -> None:
    async def scene() -> None:
        turns, order = Turns("it"), list[str]()

        async def come(client: str, after: int) -> None:
            for _ in range(after):
                await asyncio.sleep(0)
            await take(turns, client, order)

        tasks = [asyncio.create_task(come(client, after)) for client, after, _ in clients]
        await asyncio.sleep(0)
        for task, (_, after, leaves) in zip(tasks, clients, strict=True):
            if leaves:
                if after % 2:
                    await asyncio.sleep(0)
                task.cancel()
        async with asyncio.timeout(10):
            done = await asyncio.gather(*tasks, return_exceptions=True)
            await take(turns, "last", order)
        stayed = [client for client, _, leaves in clients if not leaves]
        assert all(isinstance(result, asyncio.CancelledError | None) for result in done)
        assert all(order.count(client) >= stayed.count(client) for client in "abc")

    asyncio.run(scene())
