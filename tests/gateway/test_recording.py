"""Answers written down and read back: the same without a server, and a clear word where something was not recorded."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from gateway_upstream import (
    CHUNKS,
    DONE,
    JSON,
    OK,
    QUESTION,
    STREAM,
    Asked,
    chunk,
    client,
    completion,
    framed,
    page,
    text_of,
    through,
    well,
)
from shosei.errors import InputError
from shosei.gateway import Gateway, GatewayConfig
from shosei.log import Request

NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens


def replayed(folder: Path, talk: Callable[[Gateway], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Gateway(NOWHERE, None, GatewayConfig(port=0, replay=folder)) as gateway:
            await talk(gateway)

    asyncio.run(run())


def counting() -> Callable[[Asked], Awaitable[None]]:
    """Answers that differ each time, so that only a recording can give them again."""
    number = 0

    async def handle(asked: Asked) -> None:
        nonlocal number
        number += 1
        if asked.head.startswith("GET"):
            model = {"id": "m", "object": "model", "created": 1, "owned_by": "us"}
            await asked.say(OK + page({"object": "list", "data": [model]}))
        elif asked.body.get("stream"):
            await asked.say(STREAM, *CHUNKS, chunk({"content": f"{number}回"}, "stop"), DONE)
        elif number % 5 == 4:
            refusal = b"HTTP/1.1 429 Slow\r\nRetry-After: 9\r\nSet-Cookie: s=secret\r\n"
            await asked.say(refusal + page({"error": {"message": "slow"}}))
        else:
            await asked.say(OK + page(completion({"role": "assistant", "content": f"{number}番"})))

    return handle


async def session(gateway: Gateway, heard: list[Any]) -> None:
    """What a system asks: twice the same, once more after a refusal, streamed, in another task, for another agent."""
    for task, agent, stream in (
        ("t1", "", False),
        ("t1", "", False),
        ("t2", "", False),
        ("t1", "", False),
        ("t1", "", False),
        ("t1", "数学", False),
        ("t1", "", True),
        ("t1", "", True),
    ):
        try:
            asking = client(gateway, task, agent)
            answer = await asking.chat.completions.create(**QUESTION, stream=stream, user=f"u{len(heard)}")
            heard.append(await text_of(answer) if stream else answer.choices[0].message.content)
        except openai.RateLimitError as refused:
            heard.append(refused.response.headers["retry-after"])
    heard.append([model.id async for model in client(gateway).models.list()])


def test_a_replay_says_what_was_recorded_without_a_server(tmp_path: Path) -> None:
    recorded: list[Any] = []

    async def talk(gateway: Gateway) -> None:
        await session(gateway, recorded)

    through(tmp_path / "run", counting(), talk, record=tmp_path / "tape")
    assert not any("secret" in file.read_text() for file in (tmp_path / "tape").iterdir())
    assert recorded == ["1番", "2番", "3番", "9", "5番", "6番", "月曜日です。7回", "月曜日です。8回", ["m"]]
    for _ in range(2):
        heard: list[Any] = []
        replayed(tmp_path / "tape", lambda gateway, heard=heard: session(gateway, heard))  # type: ignore[misc]
        assert heard == recorded
    written = b"".join(file.read_bytes() for file in (tmp_path / "tape").iterdir())
    assert "番".encode() in written
    assert "今日は何曜日".encode() not in written  # of questions there are only hashes
    assert b"placeholder" not in written


def test_a_streamed_replay_keeps_the_pieces(tmp_path: Path) -> None:
    seen: list[list[bytes]] = []

    async def in_pieces(asked: Asked) -> None:
        two = framed(b'data: {"choices":[]}\n\ndata: {"choices":[]}\n\n')
        await asked.say(STREAM, CHUNKS[0], two, chunk({"content": "！"}, "stop"), DONE)

    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession() as http:
            body = QUESTION | {"stream": True}
            async with http.post(f"{gateway.base_url()}/chat/completions", json=body) as answer:
                pieces = [data async for data, _ in answer.content.iter_chunks() if data]
        id = pieces[0].split(b'"id": "')[1].split(b'"')[0]
        seen.append([piece.replace(id, b"ID") for piece in pieces])

    through(tmp_path / "run", in_pieces, talk, record=tmp_path / "tape")
    replayed(tmp_path / "tape", talk)
    recorded, again = seen
    assert len(recorded) == 4
    assert [piece.count(b"data: ") for piece in recorded] == [1, 2, 1, 1]
    assert again == recorded


def test_a_question_that_was_not_recorded_is_said_to_be_so(tmp_path: Path) -> None:
    async def once(gateway: Gateway) -> None:
        await client(gateway, "t").chat.completions.create(**QUESTION)

    async def more(gateway: Gateway) -> None:
        await once(gateway)
        with pytest.raises(openai.NotFoundError, match="1 times, not 2") as unknown:
            await once(gateway)
        assert unknown.value.code == "not_recorded"
        assert str(tmp_path / "tape") in str(unknown.value)
        with pytest.raises(openai.NotFoundError, match="agent 'x' in task 't' asked /v1/chat/completions this never"):
            await client(gateway, "t", "x").chat.completions.create(**QUESTION)
        with pytest.raises(openai.NotFoundError, match="never"):
            await client(gateway, "t").chat.completions.create(**QUESTION, temperature=0.5)

    through(tmp_path / "run", well, once, record=tmp_path / "tape")
    replayed(tmp_path / "tape", more)
    with pytest.raises(InputError, match="holds no recording"):
        Gateway(NOWHERE, None, GatewayConfig(replay=tmp_path / "run"))


def test_an_answer_that_broke_off_is_replayed_so(tmp_path: Path) -> None:
    async def cut(asked: Asked) -> None:
        await asked.say(STREAM, *CHUNKS)
        raise ConnectionError

    async def talk(gateway: Gateway) -> None:
        with pytest.raises(openai.APIError):
            await text_of(await client(gateway).chat.completions.create(**QUESTION, stream=True))

    log, _ = through(tmp_path / "run", cut, talk, record=tmp_path / "tape")
    assert [event.error for event in log.of(Request)] == ["cut stream"]
    replayed(tmp_path / "tape", talk)


def test_what_was_cut_on_purpose_is_not_recorded(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        with pytest.raises(openai.APIError):
            await text_of(await client(gateway).chat.completions.create(**QUESTION, stream=True))

    through(tmp_path / "run", well, talk, record=tmp_path / "tape", inject=["cut=1"])
    assert list((tmp_path / "tape").iterdir()) == []


@pytest.mark.parametrize("keep", [False, True])
def test_bodies_are_kept_only_if_that_is_asked_for(tmp_path: Path, keep: bool) -> None:
    async def talk(gateway: Gateway) -> None:
        await client(gateway).chat.completions.create(**QUESTION)
        await text_of(await client(gateway).chat.completions.create(**QUESTION, stream=True))

    log, _ = through(tmp_path, well, talk, keep_bodies=keep)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()).decode(errors="replace")
    assert ("今日は何曜日" in written) is keep
    assert ("月曜日です" in written) is keep
    assert "placeholder" not in written
    if keep:
        (file,) = (tmp_path / "bodies").iterdir()
        assert file.stat().st_mode & 0o077 == 0
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert [line["id"] for line in lines] == [event.id for event in log.of(Request)]
        assert lines[0]["request"] == QUESTION
        assert lines[1]["answer"].endswith("data: [DONE]\n\n")


def test_bodies_need_a_run() -> None:
    with pytest.raises(InputError, match="there is no run"):
        Gateway(NOWHERE, None, GatewayConfig(keep_bodies=True))


@pytest.mark.parametrize("seed", [b"1e999", b'"\xff"'])
def test_a_question_that_only_the_upstream_can_read_is_recorded_and_answered(tmp_path: Path, seed: bytes) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"seed":%s}' % seed
    heard: list[tuple[int, bytes]] = []

    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession() as http:
            async with http.post(f"{gateway.base_url()}/chat/completions", data=body, headers=JSON) as answer:
                heard.append((answer.status, await answer.read()))

    log, _ = through(tmp_path / "run", well, talk, record=tmp_path / "tape")
    assert [request.error for request in log.of(Request)] == [""]
    replayed(tmp_path / "tape", talk)
    assert [status for status, _ in heard] == [200, 200]
    assert len({json.loads(said)["choices"][0]["message"]["content"] for _, said in heard}) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_full_disk_changes_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "tape")

    monkeypatch.setattr("shosei.gateway.recording.write_atomic", full)
    heard: list[Any] = []

    async def talk(gateway: Gateway) -> None:
        answered = await client(gateway).chat.completions.create(**QUESTION, stream=stream)
        heard.append([part async for part in answered] if stream else answered)

    log, _ = through(tmp_path / "run", well, talk, record=tmp_path / "tape")
    assert [request.error for request in log.of(Request)] == [""]
    assert heard
    assert "No space left" in caplog.text
    assert "1 answers could not be written down" in caplog.text


def test_a_stream_whose_client_left_at_its_last_event_is_recorded(tmp_path: Path) -> None:
    async def hangs_on(asked: Asked) -> None:
        await asked.say(STREAM, *CHUNKS, DONE.removesuffix(b"0\r\n\r\n"))
        await asyncio.sleep(0.5)

    async def talk(gateway: Gateway) -> None:
        async with aiohttp.ClientSession() as http:
            question = QUESTION | {"stream": True, "stream_options": {"include_usage": True}}
            async with http.post(f"{gateway.base_url()}/chat/completions", json=question) as answer:
                async for line in answer.content:
                    if line.startswith(b"data: [DONE]"):
                        answer.close()
                        break
        await asyncio.sleep(0.1)

    log, _ = through(tmp_path / "run", hangs_on, talk, record=tmp_path / "tape")
    assert [request.error for request in log.of(Request)] == [""]
    assert len(list((tmp_path / "tape").glob("*-1.json"))) == 1
