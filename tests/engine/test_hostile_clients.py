"""Clients that speak no protocol or the worst of it: the engine lives, and whoever behaves beside them is answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine_process import engine_at_work, make_engine_model
from shosei.engine.client import EngineClient
from shosei.engine.protocol import MAX_FRAME_BYTES, Cancel, Grammar, LogitRules, Submit, frame

ANY_INT = st.integers(-(2**63), 2**64 - 1)
SMALL = st.integers(0, 3)
NUMBERS = st.floats() | st.floats(0, 2)
RULES = st.builds(
    LogitRules,
    repetition_penalty=NUMBERS,
    presence_penalty=NUMBERS,
    frequency_penalty=NUMBERS,
    logit_bias=st.dictionaries(st.integers(-5, 400), NUMBERS, max_size=3),
    min_tokens=ANY_INT | SMALL,
)
SUBMITS = st.builds(
    Submit,
    id=SMALL | ANY_INT,
    prompt=st.lists(st.integers(0, 299) | ANY_INT, max_size=6),
    max_tokens=st.integers(1, 6) | ANY_INT,
    temperature=NUMBERS,
    top_p=NUMBERS,
    seed=st.none() | ANY_INT,
    stop_ids=st.lists(ANY_INT, max_size=2),
    grammar=st.none() | st.builds(Grammar, lark=st.text(max_size=20), trigger=st.none() | ANY_INT),
    top_k=ANY_INT | SMALL,
    min_p=NUMBERS,
    rules=st.none() | RULES,
    alternatives=st.none() | st.integers(0, 20) | ANY_INT,
    score_prompt=st.booleans(),
)
FRAMES = (SUBMITS | st.builds(Cancel, id=SMALL | ANY_INT)).map(frame)
LENGTHS = st.integers(0, 2**32 - 1).map(lambda length: length.to_bytes(4, "big"))
OTHER_MESSAGES = st.recursive(
    st.none() | st.booleans() | ANY_INT | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
).map(msgspec.msgpack.encode)
FOREIGN_FRAMES = OTHER_MESSAGES.map(lambda body: len(body).to_bytes(4, "big") + body)
TRAFFIC = st.lists(FRAMES | FOREIGN_FRAMES | LENGTHS | st.binary(max_size=30), max_size=8)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with engine_at_work(make_engine_model(tmp_path_factory.mktemp("exported"))) as path:
        yield path


async def send_and_leave(path: Path, parts: list[bytes], reads: bool) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    with contextlib.suppress(OSError, TimeoutError):
        for part in parts:
            writer.write(part)
            await writer.drain()
        if reads:
            async with asyncio.timeout(0.05):
                while await reader.read(1 << 16):
                    pass
    writer.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clients=st.lists(st.tuples(TRAFFIC, st.booleans()), min_size=1, max_size=3))
def test_no_traffic_ends_the_engine_or_holds_others_up(shared: Path, clients: list[tuple[list[bytes], bool]]) -> None:
    async def scene() -> list[int]:
        async with asyncio.timeout(60):
            neighbour = await EngineClient.connect(shared, 10)
            hostile = [asyncio.create_task(send_and_leave(shared, *client)) for client in clients]
            tokens = [token.token async for token in neighbour.generate([1, 2, 3], 4)]
            await asyncio.gather(*hostile)
            again = [token.token async for token in neighbour.generate([1, 2, 3], 4)]
            await neighbour.close()
        assert again == tokens
        return tokens

    assert len(asyncio.run(scene())) == 4


@pytest.mark.parametrize("length", [0, 1, 100, MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_a_frame_that_never_comes_holds_nobody_up(shared: Path, length: int) -> None:
    async def scene() -> None:
        reader, writer = await asyncio.open_unix_connection(shared)
        writer.write(length.to_bytes(4, "big"))
        neighbour = await EngineClient.connect(shared, 10)
        async with asyncio.timeout(60):
            assert len([token async for token in neighbour.generate([5], 3)]) == 3
        await neighbour.close()
        writer.close()
        assert reader

    asyncio.run(scene())
