"""A real engine process behind its socket: answered, cancelled, killed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine_process import SPEC, engine_at_work, engine_process, greeting, make_engine_model
from progress_display import but_progress
from shosei.engine.client import EngineClient, EngineLost, GenerationFailed
from shosei.engine.engine import answer_greedily
from shosei.engine.protocol import Hello, Submit, Token, frame
from shosei.engine.server import serve_engine
from shosei.errors import InputError
from shosei.log.events import RunBegin, RunEnd
from shosei.log.reader import read_log
from shosei.log.training_events import Section
from shosei.model import folder


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_engine_model(tmp_path_factory.mktemp("exported"))


@pytest.fixture
def socket() -> Iterator[Path]:
    """A short path: a Unix socket's may not be long, and pytest's folders are."""
    with tempfile.TemporaryDirectory() as short:
        yield Path(short) / "engine.sock"


@pytest.fixture(scope="module")
def shared(model_folder: Path) -> Iterator[Path]:
    """One engine for the tests that do not end it."""
    with engine_at_work(model_folder) as path:
        yield path


async def collect(client: EngineClient, prompt: list[int], max_tokens: int = 8, **options: object) -> list[int]:
    return [token.token async for token in client.generate(prompt, max_tokens, **options)]  # type: ignore[arg-type]


async def exhaust(answer: AsyncIterator[Token]) -> None:
    async for _ in answer:
        pass


def expected(model_folder: Path, prompts: list[list[int]], max_tokens: int = 8) -> list[list[int]]:
    model, spec = folder.load(model_folder)
    return answer_greedily(model, spec, prompts, [max_tokens] * len(prompts), [])


def test_an_engine_imports_neither_a_compiler_nor_what_reads_text(model_folder: Path) -> None:
    """They take longer, and more memory, than all else that it imports beside torch."""
    code = f"""
import sys
from pathlib import Path
import torch
from shosei.engine import loading, server
from shosei.engine.engine import answer_greedily
from shosei.spec.generation import WeightFormat
for native in (True, False):
    loaded = loading.load(Path({str(model_folder)!r}), WeightFormat.STORED, torch.device("cpu"), native)
    answer_greedily(loaded.model, loaded.spec, [[0]], [2], [])
print(sorted({{"torch._dynamo", "sympy", "jinja2", "pydantic", "tokenizers"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_says_what_it_serves(shared: Path) -> None:
    assert asyncio.run(greeting(shared)) == Hello("small", 300, 4000, 4, 16_000)


def test_two_fronts_ask_at_once_and_each_gets_its_own_answers(shared: Path, model_folder: Path) -> None:
    prompts = [[i, 3 * i, 7] for i in range(20)]

    async def ask() -> list[list[int]]:
        fronts = [await EngineClient.connect(shared, 10) for _ in range(2)]
        answers = await asyncio.gather(*(collect(fronts[i % 2], prompt) for i, prompt in enumerate(prompts)))
        for front in fronts:
            await front.close()
        return answers

    assert asyncio.run(ask()) == expected(model_folder, prompts)


def test_a_refused_request_is_one_typed_error_and_harms_nobody(shared: Path, model_folder: Path) -> None:
    async def ask() -> list[list[int] | BaseException]:
        client = await EngineClient.connect(shared, 10)
        bad = [collect(client, [1] * 5000), collect(client, [999]), collect(client, [1], seed=2**70)]
        answers = await asyncio.gather(collect(client, [5, 6]), *bad, return_exceptions=True)
        await client.close()
        return answers

    good, *failed = asyncio.run(ask())
    assert [good] == expected(model_folder, [[5, 6]])
    kinds = [error.kind for error in failed if isinstance(error, GenerationFailed)]
    assert kinds == ["context_length_exceeded", "invalid_request", "invalid_request"]


def test_an_answer_that_fits_no_message_ends_its_own_request(model_folder: Path, socket: Path) -> None:
    small = (
        "import sys; from pathlib import Path; from shosei.engine import protocol, server; "
        "protocol.MAX_FRAME_BYTES = 400; server.serve_engine(Path(sys.argv[1]), Path(sys.argv[2]), 2)"
    )
    process = subprocess.Popen([sys.executable, "-c", small, model_folder, socket])

    async def ask() -> list[int]:
        client = await EngineClient.connect(socket, 60)
        with pytest.raises(GenerationFailed, match="does not fit a message"):
            async for _ in client.submit(Submit(0, [1] * 50, 20, score_prompt=True)):
                pass
        answer = await collect(client, [5, 6])
        await client.close()
        return answer

    try:
        assert [asyncio.run(ask())] == expected(model_folder, [[5, 6]])
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("garbage", [b"\0\0\0\4abcd", b"\xff" * 9, frame(Token(1, 1))])
def test_a_client_that_breaks_the_protocol_is_hung_up_on_alone(shared: Path, garbage: bytes) -> None:
    async def ask() -> int:
        client = await EngineClient.connect(shared, 10)
        reader, writer = await asyncio.open_unix_connection(shared)
        writer.write(frame(Submit(1, [1], 100_000)) + garbage)
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        answer = await collect(client, [1, 2])
        await client.close()
        return len(answer)

    assert asyncio.run(ask()) == 8


def test_who_stops_listening_leaves_room_for_others(shared: Path) -> None:
    """All slots taken by endless requests: closing the generator, or the whole connection, frees them."""

    async def ask() -> int:
        leaving, staying = [await EngineClient.connect(shared, 10) for _ in range(2)]
        endless = [front.generate([2], 3900) for front in (leaving, leaving, staying, staying)]
        for generator in endless:
            assert (await anext(generator)).finish == ""
        waiting = asyncio.create_task(collect(staying, [9], 1))
        await leaving.close()
        for generator in endless[2:]:
            await generator.aclose()  # type: ignore[attr-defined]
        answer = await asyncio.wait_for(waiting, 20)
        with pytest.raises(EngineLost):
            await exhaust(endless[0])
        await staying.close()
        return len(answer)

    assert asyncio.run(ask()) == 1


def test_a_seed_repeats_across_connections(shared: Path) -> None:
    async def ask(seed: int | None) -> list[int]:
        client = await EngineClient.connect(shared, 10)
        answer = await collect(client, [4], 30, temperature=1, seed=seed)
        await client.close()
        return answer

    assert asyncio.run(ask(5)) == asyncio.run(ask(5))
    assert asyncio.run(ask(5)) != asyncio.run(ask(6))


def test_a_killed_engine_is_lost_and_its_successor_takes_the_socket_over(model_folder: Path, socket: Path) -> None:
    async def ask(process: subprocess.Popen[str]) -> None:
        client = await EngineClient.connect(socket, 60)
        answer = client.generate([1], 3900)
        await anext(answer)
        process.kill()
        with pytest.raises(EngineLost):
            await exhaust(answer)
        assert client.lost
        with pytest.raises(EngineLost):
            await collect(client, [1])
        await client.close()
        with pytest.raises(EngineLost, match="no engine answers"):
            await EngineClient.connect(socket, 0.2)

    with engine_process(model_folder, socket) as process:
        asyncio.run(ask(process))
    assert socket.exists()
    with engine_process(model_folder, socket):
        assert asyncio.run(greeting(socket)).model == "small"


def test_told_to_stop_it_ends_cleanly_and_tells_the_log(model_folder: Path, socket: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with engine_process(model_folder, socket, SHOSEI_RUN=str(run), SHOSEI_ATTEMPT="3") as process:

        async def interrupt() -> None:
            client = await EngineClient.connect(socket, 60)
            answer = client.generate([1], 3900)
            await anext(answer)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(EngineLost):
                await exhaust(answer)

        asyncio.run(interrupt())
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert but_progress(process.stderr.read()) == []
    assert not socket.exists()
    log = read_log(run / "log", 3)
    (begin,), (end,), (load,) = log.of(RunBegin), log.of(RunEnd), log.of(Section)
    assert (begin.verb, begin.phase, begin.model["params"]) == ("engine", "inference", SPEC.params)
    assert len(begin.hashes["model.safetensors"]) == 64
    assert (end.verb, end.exit_code) == ("engine", 0)
    assert load.name == "load"
    assert load.end_ns > load.begin_ns


def test_a_socket_that_cannot_be_is_refused_before_the_model_is_read(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for socket, says in [
        (shared, "in use"),
        (tmp_path / "file", "is a file"),
        (tmp_path / ("x" * 120), "shorter path"),
        (tmp_path / "s", "config.json is missing"),
    ]:
        with pytest.raises(InputError, match=says):
            serve_engine(tmp_path / "no model", socket, 4)
    assert (tmp_path / "file").read_text() == "mine"
    assert asyncio.run(greeting(shared)).model == "small"
