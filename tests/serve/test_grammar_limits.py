"""Grammars that take for ever, fill the memory or come in heaps: they are refused, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serve_front import ASK, TOKENIZER, of_schema, tool
from serve_process import Browser, child, make_model, serving
from shosei.engine.grammar_process import Result, Trial
from shosei.serve.grammar_checker import GrammarChecker, GrammarLimits, Rule
from shosei.wire.api_error import ApiError

CHAT = "/v1/chat/completions"
SCHEMA = "response_format.json_schema.schema"
# Whether a text keeps all of these patterns takes the compiler longer than anybody waits.
ENDLESS = {"allOf": [{"type": "string", "pattern": f"^.*a.{{{number}}}b.*$"} for number in range(3, 40)]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[psutil.Process, str]]:
    model = make_model(tmp_path_factory.mktemp("grammars") / "model", context=1024)
    with serving(model) as (process, url):
        yield child(process, "http"), url


def endless(title: str) -> dict[str, Any]:
    return {**ASK, "max_tokens": 3, "response_format": of_schema({**ENDLESS, "title": title})}


def send(url: str, body: dict[str, Any]) -> socket.socket:
    """A client that has asked and does not read."""
    host, port = url.removeprefix("http://").split(":")
    client, data = socket.create_connection((host, int(port))), json.dumps(body).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    client.sendall(head.encode() + data)
    return client


def process_for_grammars(front: psutil.Process) -> psutil.Process:
    (process,) = [process for process in front.children() if process.status() != psutil.STATUS_ZOMBIE]
    return process


def test_others_are_answered_while_endless_grammars_come_and_their_clients_leave(
    server: tuple[psutil.Process, str],
) -> None:
    front, url = server
    browser = Browser(url)
    clients = [send(url, endless(f"left {number}")) for number in range(8)]
    browser.ask()  # a hang would meet the browser's own time limit
    for client in clients:
        client.close()
    browser.ask(tools=[tool("left")])
    browser.ask()
    assert len([process for process in front.children() if process.status() != psutil.STATUS_ZOMBIE]) <= 1


def test_the_refusal_says_which_limit_and_is_remembered(server: tuple[psutil.Process, str]) -> None:
    front, url = server
    browser = Browser(url)
    refused = browser.post(endless("remembered"), CHAT)
    assert (refused.status, refused.body["param"]) == (400, SCHEMA)
    assert "takes longer than 2 s to compile" in refused.body["message"]
    browser.ask(tools=[tool("remembered")])
    process = process_for_grammars(front)
    assert browser.post(endless("remembered"), CHAT).body["message"] == refused.body["message"]
    assert process_for_grammars(front) == process, "it was tried again, and the process killed"


def test_a_timeout_counts_while_a_grammar_is_tried(server: tuple[psutil.Process, str]) -> None:
    refused = Browser(server[1]).post(endless("late") | {"timeout": 0.3}, CHAT)
    assert (refused.status, refused.body["code"]) == (504, "timeout")


def test_a_killed_process_is_started_again(server: tuple[psutil.Process, str]) -> None:
    front, url = server
    browser = Browser(url)
    browser.ask(tools=[tool("before")])
    killed = process_for_grammars(front)
    killed.kill()
    while browser.post({**ASK, "max_tokens": 3, "tools": [tool("after")]}, CHAT).status == 503:
        pass  # it was not seen to be gone yet
    browser.ask(tools=[tool("later")])
    assert process_for_grammars(front) != killed


@pytest.mark.parametrize("field", ["guided_regex", "guided_grammar"])
def test_texts_that_only_look_like_grammars(server: tuple[psutil.Process, str], field: str) -> None:
    """Nested brackets without end, and the line ends among which a converter looks for its first word."""
    browser = Browser(server[1])
    for text in ("(" * 100_000, "root ::= " + "(" * 50_000, "\n" * 100_000 + "x ::="):
        refused = browser.post({**ASK, "max_tokens": 3, field: text}, CHAT)
        if refused.status != 200:
            assert (refused.status, refused.body["param"]) == (400, field)
            assert len(refused.body["message"]) < 500


Scene = Callable[[GrammarChecker], Awaitable[None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    TOKENIZER.save(tmp_path_factory.mktemp("tokenizer"))
    return tmp_path_factory.getbasetemp() / "tokenizer0"


def play(scene: Scene, folder: Path, **limits: Any) -> None:
    async def all_of_it() -> None:
        checker = GrammarChecker(folder, GrammarLimits(**limits))
        try:
            await scene(checker)
        finally:
            await checker.close()

    asyncio.run(all_of_it())


def rule(lark: str, param: str = "tools") -> Rule:
    return Rule(Trial(lark), param)


def test_memory_is_limited(folder: Path) -> None:
    async def scene(checker: GrammarChecker) -> None:
        with pytest.raises(ApiError, match=r"field: .* more than 24 MiB") as refused:
            await checker.check([rule("start: %json " + json.dumps(ENDLESS), "field")], "client")
        assert (refused.value.status, refused.value.param) == (400, "field")
        await checker.check([rule('start: "a"')], "client")

    play(scene, folder, time_s=60.0, memory_bytes=24 << 20)


def test_of_several_rules_the_one_at_fault_is_named(folder: Path) -> None:
    async def scene(checker: GrammarChecker) -> None:
        rules = [rule('start: "a"', "tools[0]"), rule("start: /(/", "tools[1]"), rule('start: "b"', "tools[2]")]
        for _ in ("tried", "remembered"):
            with pytest.raises(ApiError) as refused:
                await checker.check(rules, "client")
            assert refused.value.param == "tools[1]"

    play(scene, folder)


def test_a_caller_that_leaves_frees_its_place_at_once(folder: Path) -> None:
    async def scene(checker: GrammarChecker) -> None:
        hanging = asyncio.create_task(checker.check([rule("start: %json " + json.dumps(ENDLESS))], "client"))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(checker.check([rule('start: "a"')], "other"))
        await asyncio.sleep(0)
        hanging.cancel()
        async with asyncio.timeout(60):
            await waiting

    play(scene, folder, time_s=3600.0)


LARK = st.sampled_from(
    ["start: ", "a: ", "b", "start", '"x"', "/./", "/(a|b)*/", "|", "*", "{2,3}", "(", ")", "\n", "%json", "{}"]
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(LARK, max_size=12).map(" ".join) | st.text(max_size=40), min_size=20, max_size=20))
def test_whatever_is_no_grammar_is_refused_in_one_line_that_names_the_field(folder: Path, texts: list[str]) -> None:
    async def scene(checker: GrammarChecker) -> None:
        checks = (
            checker.check([rule(text, "guided_grammar")], f"client {number}") for number, text in enumerate(texts)
        )
        for outcome in await asyncio.gather(*checks, return_exceptions=True):
            if outcome == Result():
                continue
            assert isinstance(outcome, ApiError)
            assert (outcome.status, outcome.param) == (400, "guided_grammar")
            assert outcome.message.startswith("guided_grammar: answers cannot be held to this: ")
            assert len(outcome.message.splitlines()) == 1
            assert len(outcome.message) < 500

    play(scene, folder)
