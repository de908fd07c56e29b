"""Calls of the Responses API through the gateway: the client sees the same, and the log has what a chat's call has."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import pytest
import uvloop

from gateway_upstream import OK, STREAM, Asked, client, exchanged, framed, page, through, unchunked
from responses_upstream import (
    END,
    LOOKUP,
    event,
    events,
    function_call,
    message,
    refused,
    response,
    say,
    thoughts,
)
from shosei.gateway import Gateway, GatewayConfig
from shosei.log import Fault, Log, Request, ToolCall, ToolResult

QUESTION: dict[str, Any] = {"model": "m", "input": "今日は何曜日？"}
SLOW_DOWN = {"code": "rate_limit_exceeded", "message": "slow down"}
ANSWERS = {
    "text": response([message("月曜日です。")]),
    "thoughts": response([thoughts("今日は…"), message("月曜日")]),
    "calls": response([function_call("lookup", '{"city": "京都"}'), function_call("lookup", '{"city": 3}', 2)]),
    "refusal": response([refused("できません")]),
    "cut short": response([message("月曜")], status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
    "failed": response([message("月曜")], status="failed", error=SLOW_DOWN),
    "no usage": response([message("月曜")], usage=None),
    "nothing": response([]),
}


def requests(log: Log) -> list[Request]:
    return log.of(Request)


async def by_user(asked: Asked) -> None:
    """The answer that the client names."""
    await say(asked, ANSWERS[asked.body["user"]])


def answering(answer: dict[str, Any]) -> Callable[[Asked], Awaitable[None]]:
    async def handle(asked: Asked) -> None:
        await say(asked, answer)

    return handle


async def created(asking: openai.AsyncOpenAI, **options: Any) -> list[Any]:
    """What ``create`` gives: the response, or each event."""
    answer: Any = await asking.responses.create(**QUESTION, **options)
    if options.get("stream"):
        return [each.to_dict() async for each in answer]
    return [answer.to_dict(), answer.output_text]


async def streamed(asking: openai.AsyncOpenAI, **options: Any) -> list[Any]:
    """What ``stream`` gives: each event, and the response that the client puts together."""
    async with asking.responses.stream(**QUESTION, **options) as stream:
        seen = [each.to_dict(warnings=False) async for each in stream]
        return [*seen, (await stream.get_final_response()).to_dict(warnings=False)]


async def told(ask: Callable[..., Awaitable[list[Any]]], asking: openai.AsyncOpenAI, **options: Any) -> list[Any]:
    try:
        return await ask(asking, **options)
    except (openai.OpenAIError, RuntimeError) as error:
        return [type(error), str(error)]


@pytest.mark.parametrize("name", ANSWERS)
def test_the_official_client_sees_the_same_with_the_gateway_and_without(tmp_path: Path, name: str) -> None:
    upstream_url = ""

    async def answer(asked: Asked) -> None:
        nonlocal upstream_url
        upstream_url = f"http://{asked.head.lower().split('host: ')[1].splitlines()[0]}/v1"
        await by_user(asked)

    async def talk(gateway: Gateway) -> None:
        options = {"user": name, "tools": [LOOKUP]}
        ways: list[tuple[Any, dict[str, Any]]] = [(created, {}), (created, {"stream": True}), (streamed, {})]
        through_it = [await told(ask, client(gateway), **options, **more) for ask, more in ways]
        straight = openai.AsyncOpenAI(
            base_url=upstream_url, api_key="placeholder", max_retries=0, _strict_response_validation=True
        )
        assert [await told(ask, straight, **options, **more) for ask, more in ways] == through_it
        assert any(isinstance(each, dict) for each in through_it[0])

    log, _ = through(tmp_path, answer, talk)
    assert [request.stream for request in requests(log)] == [False, True, True]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ANSWERS)
def test_the_log_has_tokens_times_and_errors(tmp_path: Path, name: str, stream: bool) -> None:
    async def talk(gateway: Gateway) -> None:
        await told(created, client(gateway, "t1", "数学"), user=name, tools=[LOOKUP], stream=stream)
        spent = gateway.spent("t1")
        assert spent.calls == 1
        assert (spent.tokens_in, spent.tokens_out) == (11, 7) or name == "no usage"

    log, upstream = through(tmp_path, by_user, talk)
    (request,) = requests(log)
    assert upstream.asked[0].body == {**QUESTION, "user": name, "tools": [LOOKUP], "stream": stream}
    assert (request.task, request.agent, request.attribution) == ("t1", "数学", "path")
    assert request.error == {"failed": "5xx", "calls": "invalid tool call"}.get(name, "")
    assert (request.status, request.stream) == (200, stream)
    tokens = (None, None, None) if name == "no usage" else (11, 7, 4)
    assert (request.tokens_in, request.tokens_out, request.tokens_cached) == tokens
    assert (request.first_token_ns is not None) is (stream and name != "nothing")
    assert request.scheduled_ns <= request.sent_ns <= request.first_byte_ns <= request.done_ns  # type: ignore[operator]
    assert request.bytes_received
    assert request.tool_calls == (
        [ToolCall("call_1", "lookup"), ToolCall("call_2", "lookup", "invalid arguments")] if name == "calls" else []
    )
    # The client continues by the answer's id, which the upstream must know: it stays, and the log has it.
    assert request.id == "resp_up1"
    assert request.span.startswith("resp_")
    assert request.span != request.id
    assert not list(tmp_path.rglob("*.inflight"))


@pytest.mark.parametrize("stream", [False, True])
def test_every_byte_is_the_upstreams(tmp_path: Path, stream: bool) -> None:
    odd = b'{"object" : "response","id":"r","status":"completed","output":[ ],"n":1.0,"x":"\\u00e9"}'
    pings = [b": ping\n\n", b'event: response.new_kind\ndata: {"type":"response.new_kind", "n": 1.0}\n\n']
    blocks = [*pings, *events(ANSWERS["calls"]), b"data: [DONE]\n\n"]
    sent = b"".join(blocks) if stream else odd

    async def answer(asked: Asked) -> None:
        if stream:
            await asked.say(STREAM, *map(framed, blocks), END)
        else:
            await asked.say(OK + b"Content-Length: %d\r\n\r\n%s" % (len(odd), odd))

    async def talk(gateway: Gateway) -> None:
        body = json.dumps({**QUESTION, "stream": stream, "tools": [LOOKUP]}).encode()
        head = (
            b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        )
        assert unchunked(await exchanged(gateway.url, head % len(body) + body)) == sent

    log, _ = through(tmp_path, answer, talk)
    assert [request.error for request in requests(log)] == ["invalid tool call" if stream else ""]


def test_what_a_request_says_reaches_the_upstream(tmp_path: Path) -> None:
    """A conversation that goes on by the last answer's id, whatever headers the client sends."""
    output = {"type": "function_call_output", "call_id": "call_1", "output": "794"}

    async def talk(gateway: Gateway) -> None:
        asking = client(gateway, organization="org-1", project="proj-1", default_headers={"OpenAI-Beta": "x=v1"})
        first = await asking.responses.create(**QUESTION, user="text")
        await asking.responses.create(
            model="m",
            input=[output],
            previous_response_id=first.id,
            user="text",
            include=["reasoning.encrypted_content"],
        )

    log, upstream = through(tmp_path, by_user, talk)
    asked = upstream.asked[1]
    assert asked.body["previous_response_id"] == "resp_up1"
    assert asked.body["input"] == [output]
    assert asked.body["include"] == ["reasoning.encrypted_content"]
    lines = set(asked.head.lower().split("\r\n"))
    assert {"openai-organization: org-1", "openai-project: proj-1", "openai-beta: x=v1"} <= lines
    assert requests(log)[1].tool_results == [ToolResult("call_1", rule=2)]
    assert len({request.span for request in requests(log)}) == 2


def test_tools_of_a_prompt_that_the_upstream_keeps_are_not_checked(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        await client(gateway).responses.create(prompt={"id": "pmpt_1"}, user="calls")
        await client(gateway).responses.create(**QUESTION, user="calls")

    log, _ = through(tmp_path, by_user, talk)
    calls = [[call.error for call in request.tool_calls] for request in requests(log)]
    assert calls == [["", ""], ["unknown tool", "unknown tool"]]


def test_tool_results_are_those_since_the_model_spoke(tmp_path: Path) -> None:
    def output(id: str, text: Any) -> dict[str, Any]:
        return {"type": "function_call_output", "call_id": id, "output": text}

    items = [
        {"role": "user", "content": "いつ？"},
        function_call("lookup", "{}"),
        output("old", "Error: before"),
        {"type": "reasoning", "id": "rs_1", "summary": []},
        function_call("lookup", "{}", 2),
        function_call("lookup", "{}", 3),
        output("call_2", "Error: no such city"),
        output("call_3", [{"type": "input_text", "text": "794"}]),
    ]

    async def talk(gateway: Gateway) -> None:
        await client(gateway).responses.create(model="m", input=items, user="text")  # type: ignore[arg-type]

    log, _ = through(tmp_path, by_user, talk)
    wanted = [ToolResult("call_2", True, "prefix", 2), ToolResult("call_3", rule=2)]
    assert requests(log)[0].tool_results == wanted


def test_a_stream_that_breaks_off_anywhere_passes_as_far_as_it_came(tmp_path: Path) -> None:
    data = b"".join(events(ANSWERS["text"]))
    cuts = [*range(0, len(data), 97), len(data)]
    waiting = iter(cuts)

    async def answer(asked: Asked) -> None:
        part = data[: next(waiting)]
        await asked.say(STREAM, *([framed(part)] if part else []))
        raise ConnectionError

    async def talk(gateway: Gateway) -> None:
        body = json.dumps({**QUESTION, "stream": True}).encode()
        head = (
            b"POST /v1/responses HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        )
        for cut in cuts:
            assert unchunked(await exchanged(gateway.url, head % len(body) + body)) == data[:cut]

    log, _ = through(tmp_path, answer, talk)
    assert [request.error for request in requests(log)] == ["cut stream"] * len(cuts)
    assert [request.tokens_out for request in requests(log)] == [None] * (len(cuts) - 1) + [7]


def test_errors_of_the_upstream_are_told_as_they_are(tmp_path: Path) -> None:
    statuses = iter((429, 500, 400, 404, 200))

    async def answer(asked: Asked) -> None:
        status = next(statuses)
        error = {"error": {"message": "no", "type": "x", "code": None, "param": None}}
        if status == 200:
            broken = event("error", sequence_number=2, code="server_error", message="no", param=None)
            await asked.say(STREAM, *map(framed, [*events(ANSWERS["text"])[:2], broken]), END)
        else:
            await asked.say(b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n" % status + page(error))

    async def talk(gateway: Gateway) -> None:
        kinds = (openai.RateLimitError, openai.InternalServerError, openai.BadRequestError, openai.NotFoundError)
        for kind in kinds:
            with pytest.raises(kind, match="no"):
                await client(gateway).responses.create(**QUESTION)
        assert (await told(created, client(gateway), stream=True))[-1]

    log, _ = through(tmp_path, answer, talk)
    assert [request.error for request in requests(log)] == ["429", "5xx", "4xx", "4xx", "5xx"]
    assert all(request.id.startswith("resp_") for request in requests(log))


def test_budgets_and_faults_hold(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        asking = client(gateway, "t1")
        for _ in range(2):
            await asking.responses.create(**QUESTION)
        with pytest.raises(openai.PermissionDeniedError, match="budget"):
            await asking.responses.create(**QUESTION)

    log, _ = through(tmp_path / "budget", answering(ANSWERS["text"]), talk, tokens=30)
    assert [request.error for request in requests(log)] == ["", "", "budget"]

    async def broken(gateway: Gateway) -> None:
        for stream in (False, True):
            with pytest.raises(openai.APIError):
                await created(client(gateway), stream=stream)

    for kind, error in (("429", "429"), ("500", "5xx"), ("cut", "cut stream")):
        log, _ = through(tmp_path / kind, answering(ANSWERS["text"]), broken, inject=[f"{kind}=1"])
        assert [request.error for request in requests(log)] == [error] * 2
        own_names = {request.span or request.id for request in requests(log)}
        assert {fault.span for fault in log.of(Fault)} == own_names


def test_a_recording_gives_the_conversation_again_and_bodies_are_kept(tmp_path: Path) -> None:
    heard: list[list[Any]] = []
    number = 0

    async def answer(asked: Asked) -> None:
        nonlocal number
        number += 1
        await say(asked, response([message(f"{number}番")], id=f"resp_{number}"))

    async def talk(gateway: Gateway) -> None:
        asking, said, last = client(gateway, "t1"), [], None
        for stream in (False, False, True):
            options = {"previous_response_id": last} if last else {}
            said.append(await created(asking, stream=stream, **options))
            last = said[-1][0]["response"]["id"] if stream else said[-1][0]["id"]
        heard.append(said)

    log, _ = through(tmp_path / "run", answer, talk, record=tmp_path / "tape", keep_bodies=True)
    assert [request.id for request in requests(log)] == ["resp_1", "resp_2", "resp_3"]
    (bodies,) = (tmp_path / "run" / "bodies").iterdir()
    lines = [json.loads(line) for line in bodies.read_text().splitlines()]
    assert [line["id"] for line in lines] == [request.span for request in requests(log)]
    assert [line["request"]["input"] for line in lines] == [QUESTION["input"]] * 3

    async def again() -> None:
        async with Gateway("http://127.0.0.1:9", None, GatewayConfig(port=0, replay=tmp_path / "tape")) as gateway:
            await talk(gateway)

    uvloop.run(again())
    assert heard[0] == heard[1]


def test_what_is_not_a_call_passes(tmp_path: Path) -> None:
    async def answer(asked: Asked) -> None:
        background = response([], status="queued", usage=None)
        await asked.say(OK + page(background if asked.body.get("background") else ANSWERS["text"]))

    async def talk(gateway: Gateway) -> None:
        asking = client(gateway).responses
        queued = await asking.create(**QUESTION, background=True)
        assert queued.status == "queued"
        assert (await asking.retrieve(queued.id)).output_text == "月曜日です。"
        assert (await asking.cancel(queued.id)).id == queued.id

    log, upstream = through(tmp_path, answer, talk)
    assert [asked.head.split(" HTTP")[0] for asked in upstream.asked] == [
        "POST /v1/responses",
        "GET /v1/responses/resp_up1",
        "POST /v1/responses/resp_up1/cancel",
    ]
    assert [(request.error, request.tokens_out) for request in requests(log)] == [("", None)]
