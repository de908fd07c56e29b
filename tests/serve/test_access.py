"""Access to the server over HTTP: keys, names, pages, and bodies whose text is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foreign_chats import CHATS, make_chat
from serve_front import ASK, Front, of_schema, player, tool
from shosei.serve.exchange import server_access
from shosei.wire.access import AccessRules
from shosei.wire.api_keys import ApiKey, ApiKeys, digest_of, entry_of
from shosei.wire.client import Client

SECRET = "a-key-of-the-shop"
KEYED = {"Authorization": f"Bearer {SECRET}"}
HALF = "\ud800"  # of a surrogate pair


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    return player(tmp_path)


def keyed(folder: Path, **limits: int) -> dict[str, Any]:
    """What makes a server ask for the shop's key, which has these limits."""
    file = folder / "keys.toml"
    file.write_text(entry_of(ApiKey("shop", digest_of(SECRET), **limits)))
    return {"access": server_access(AccessRules(ApiKeys(file=file)))}


async def told(front: Front, method: str, path: str, **asked: Any) -> tuple[int, Any, Any]:
    """Status, headers and error of an answer."""
    async with front.http.request(method, front.url + path, **asked) as response:
        body = await response.json() if "json" in response.headers["Content-Type"] else {}
        return response.status, response.headers, body.get("error")


def test_a_key_is_asked_for_and_its_name_is_what_the_log_has(play: Callable[..., None], tmp_path: Path) -> None:
    async def scene(front: Front) -> None:
        status, headers, error = await told(front, "POST", "/v1/chat/completions", json=ASK)
        assert (status, headers["WWW-Authenticate"], error["type"]) == (401, "Bearer", "authentication_error")
        for path in ("/v1/models", "/v1/completions", "/openapi.json", "/tokenize"):
            assert (await told(front, "GET", path))[0] == 401
        for path in ("/health", "/readyz", "/metrics"):
            assert (await told(front, "GET", path))[0] == 200
        assert (await front.post(ASK, Authorization="Bearer no such key at all"))[0] == 401
        assert (await front.post(ASK, **KEYED))[0] == 200
        event = await front.event()  # the one: whoever is refused before writes nothing
        assert (event.api_key, event.status) == ("shop", 200)
        assert SECRET.encode() not in front.writer.path.read_bytes()

    play(scene, text="好", **keyed(tmp_path))


def test_our_client_has_the_key_of_the_usual_variable(
    play: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    async def scene(front: Front) -> None:
        async with Client(front.url) as client:
            assert list(await client.models()) == ["scripted"]
            reply = await client.ask("/v1/chat/completions", ASK)
            assert (reply.status, reply.text) == (200, "好")

    play(scene, text="好", **keyed(tmp_path))


def test_a_key_has_its_limits(play: Callable[..., None], tmp_path: Path) -> None:
    async def scene(front: Front) -> None:
        running = asyncio.create_task(front.post(ASK, **KEYED))
        while not front.engine.submitted:
            await asyncio.sleep(0.01)
        status, headers, error = await told(front, "POST", "/v1/chat/completions", json=ASK, headers=KEYED)
        assert (status, headers["Retry-After"], error["type"]) == (429, "1", "rate_limit_error")
        assert (await told(front, "GET", "/health"))[0] == 200
        running.cancel()
        while (await told(front, "GET", "/v1/models", headers=KEYED))[0] == 429:
            await asyncio.sleep(0.01)
        statuses = [(await told(front, "GET", "/v1/models", headers=KEYED))[0] for _ in range(20)]
        assert set(statuses) == {200, 429}

    play(scene, after="hang", **keyed(tmp_path, requests_per_minute=10, concurrent=1))


def test_a_page_that_took_this_machines_address_is_told_nothing(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/health")):
            asked = {"json": ASK} if method == "POST" else {}
            status, _, error = await told(front, method, path, headers={"Host": "evil.example:8000"}, **asked)
            assert (status, "--allow-host" in error["message"]) == (421, True)
        assert not front.engine.submitted

    play(scene)


def test_a_page_elsewhere_cannot_have_the_model_work(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        for origin, kind, expected in (
            ("http://evil.example", "application/json", 403),
            ("null", "text/plain", 403),  # what a browser sends for a page without asking the server before
            (None, "text/plain", 415),
        ):
            headers = {"Content-Type": kind, **({"Origin": origin} if origin else {})}
            asked = {"data": json.dumps(ASK).encode(), "headers": headers}
            assert (await told(front, "POST", "/v1/chat/completions", **asked))[0] == expected
        assert not front.engine.submitted

    play(scene)


def test_a_page_that_may_ask_reads_that_it_lacks_the_key(play: Callable[..., None]) -> None:
    origin = "http://localhost:3000"
    access = server_access(AccessRules(ApiKeys(SECRET), origins=[origin]))

    async def scene(front: Front) -> None:
        url = f"{front.url}/v1/chat/completions"
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        async with front.http.options(url, headers=preflight) as response:
            assert response.status == 200
        status, headers, _ = await told(front, "POST", "/v1/models", json=ASK, headers={"Origin": origin})
        assert (status, headers["Access-Control-Allow-Origin"]) == (401, origin)
        assert (await front.post(ASK, Origin=origin, **KEYED))[0] == 200

    play(scene, text="好", access=access)


# What a request says beside a question, and where half a surrogate pair stands in it.
HALVES: list[tuple[dict[str, Any], str]] = [
    ({"model": HALF}, "model"),
    ({"tools": [tool("f")], "tool_choice": tool(HALF)}, "tool_choice.function.name"),
    ({"tools": [tool(HALF)]}, "tools[0].function.name"),
    ({"tools": [tool("f", properties={HALF: {}})]}, "tools[0].function.parameters.properties.?"),
    ({"messages": [{"role": "user", "content": "x", "name": HALF}]}, "messages[0].name"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": HALF}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": "x", HALF: 1}]}, "messages[0].?"),
    ({"messages": [{"role": HALF, "content": "x"}]}, "messages[0].role"),
    ({"stop": ["a", HALF]}, "stop[1]"),
    ({"user": HALF}, "user"),
    ({"metadata": {"a": {"b": HALF}}}, "metadata.a.b"),
    ({HALF: 1}, "?"),
    ({"prompt": HALF}, "prompt"),
    ({"reasoning_effort": HALF}, "reasoning_effort"),
    ({"chat_template_kwargs": {HALF: HALF}}, "chat_template_kwargs.?"),
    ({"logit_bias": {HALF: 1}}, "logit_bias.?"),
    ({"stream_options": {HALF: True}}, "stream_options.?"),
    ({"guided_choice": [HALF]}, "guided_choice[0]"),
    ({"guided_regex": HALF}, "guided_regex"),
    ({"guided_grammar": HALF}, "guided_grammar"),
    ({"guided_json": {"const": HALF}}, "guided_json.const"),
    ({"response_format": {"type": HALF}}, "response_format.type"),
    ({"response_format": of_schema({"const": HALF})}, "response_format.json_schema.schema.const"),
    ({"bad_words": [HALF]}, "bad_words[0]"),
]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/tokenize", "/v1/feedback"])
def test_half_a_pair_is_refused_by_its_place(play: Callable[..., None], path: str) -> None:
    async def scene(front: Front) -> None:
        for change, param in HALVES:
            status, body = await front.post({**ASK, **change}, path)
            assert (status, body["error"]["param"]) == (400, param)
        assert not front.engine.submitted

    play(scene)


def test_half_a_pair_within_a_schema_that_is_a_text_is_refused(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        status, body = await front.post({**ASK, "guided_json": '{"const": "\\ud800"}'})
        assert (status, body["error"]["param"]) == (400, "guided_json")

    play(scene)


@pytest.mark.parametrize("is_object", [False, True])
def test_half_a_pair_within_the_json_of_a_call_breaks_nothing(
    play: Callable[..., None], tmp_path: Path, is_object: bool
) -> None:
    """Our own format leaves a call's arguments the text that they are; most templates read it."""
    if is_object:
        make_chat(tmp_path, **CHATS["Hermes, tags are tokens"])

    async def scene(front: Front) -> None:
        for arguments in ('{"a": "\\ud800"}', '{"\\ud800": 1}', '{"\\ud800": 1, "b'):
            call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
            turns = [*ASK["messages"], {"role": "assistant", "tool_calls": [call]}]
            turns.append({"role": "tool", "tool_call_id": "c", "content": "5"})
            for path in ("/v1/chat/completions", "/tokenize"):
                status, body = await front.post({"messages": turns}, path)
                assert status == (400 if is_object else 200)
                assert not is_object or body["error"]["param"] == "messages"

    play(scene, text="好")


def test_bodies_are_text(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        for body, expected in (
            (b'{"prompt": "\xed\xa0\x80"}', 400),  # the bytes of half a pair
            ('{"prompt": "x"}'.encode("utf-16"), 400),
            (b'\xef\xbb\xbf{"prompt": "x"}', 200),
            (rb'{"prompt": "\ud83d\ude00"}', 200),
            (rb'{"prompt": "\\ud83d"}', 200),
            (rb'{"prompt": "\ud83d\ude00 \ude00"}', 400),
        ):
            headers = {"Content-Type": "application/json"}
            assert (await told(front, "POST", "/v1/completions", data=body, headers=headers))[0] == expected, body

    play(scene, text="好")


def test_paths_and_headers_of_any_bytes_are_answered(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        host, port = front.url.removeprefix("http://").split(":")
        for path, header in ((b"/v1/models/%ed%a0%80", b""), (b"/v1/models", b"X-Shosei-Purpose: \xed\xa0\x80\r\n")):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n" % (path, header))
            assert (await reader.read()).split()[1] in (b"404", b"200")
            writer.close()

    play(scene)


def test_a_name_in_the_host_may_be_anything_but_ours(play: Callable[..., None]) -> None:
    async def scene(front: Front) -> None:
        host, port = front.url.removeprefix("http://").split(":")
        for line in (b"Host: \xff\r\n", b"Host: a b\r\n", b"", b"Host: localhost\r\nHost: localhost\r\n"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /v1/models HTTP/1.1\r\n%sConnection: close\r\n\r\n" % line)
            assert (await reader.read()).split()[1] in (b"400", b"421")
            writer.close()

    play(scene)
