"""Access to the gateway: who may spend the upstream's key."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway_upstream import QUESTION, client, exchanged, through, well
from shosei.gateway import Gateway
from shosei.log import PassedOn, Request, RunBegin, read_log
from shosei.wire.api_keys import ApiKey, digest_of, entry_of
from verb import Shosei

SECRET = "a-key-of-the-shop"
KEYED = {"Authorization": f"Bearer {SECRET}"}


def keys(folder: Path, **limits: int) -> Path:
    file = folder / "keys.toml"
    file.write_text(entry_of(ApiKey("shop", digest_of(SECRET), **limits)))
    return file


async def status(url: str, method: str = "POST", path: str = "/v1/chat/completions", **asked: Any) -> int:
    async with aiohttp.ClientSession() as http, http.request(method, url + path, **asked) as answer:
        await answer.read()
        return answer.status


@pytest.mark.parametrize("upstream_key", ["", "sk-hosted"])
def test_a_key_lets_in_and_goes_no_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream_key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", upstream_key)

    async def talk(gateway: Gateway) -> None:
        assert await status(gateway.url, json=QUESTION) == 401
        assert await status(gateway.url, json=QUESTION, headers={"Authorization": "Bearer agent:solver"}) == 401
        assert await status(gateway.url, "GET", "/v1/files") == 401
        assert await status(gateway.url, "GET", "/t/x/health") == await status(gateway.url, "GET", "/health") == 200
        assert await status(gateway.url, path="/a/solver/v1/chat/completions", json=QUESTION, headers=KEYED) == 200
        assert await status(gateway.url, path="/v1/files", data=b"a,b", headers=KEYED) == 200

    log, upstream = through(tmp_path, well, talk, api_keys=keys(tmp_path))
    assert [(event.api_key, event.agent) for event in log.of(Request)] == [("shop", "solver")]
    assert len(log.of(PassedOn)) == 1
    assert len(upstream.asked) == 2
    for asked in upstream.asked:
        assert SECRET not in asked.head
        assert ("sk-hosted" in asked.head) == bool(upstream_key)


def test_the_body_of_whoever_is_refused_is_read_and_not_kept(tmp_path: Path) -> None:
    """So that a client which sends a long one reads why, and the connection goes on."""

    async def talk(gateway: Gateway) -> None:
        body = json.dumps(QUESTION).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        refused = head + b"Content-Length: %d\r\n\r\n" % (8 << 20) + b" " * (8 << 20)
        keyed = head + b"Authorization: Bearer %s\r\nConnection: close\r\n" % SECRET.encode()
        answer = await exchanged(gateway.url, refused + keyed + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"www-authenticate: Bearer\r\n" in answer
        assert answer.count(b"HTTP/1.1 200 ") == 1

    log, upstream = through(tmp_path, well, talk, api_keys=keys(tmp_path))
    assert len(upstream.asked) == len(log.of(Request)) == 1


def test_a_key_has_its_limits(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        statuses = [await status(gateway.url, json=QUESTION, headers=KEYED) for _ in range(3)]
        assert statuses == [200, 200, 429]

    log, _ = through(tmp_path, well, talk, api_keys=keys(tmp_path, requests_per_minute=2))
    assert len(log.of(Request)) == 2


def test_a_page_cannot_spend_the_upstreams_key(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        page = {"Origin": "http://evil.example"}
        assert await status(gateway.url, json=QUESTION, headers=page) == 403
        assert await status(gateway.url, "GET", "/v1/files", headers=page) == 403
        assert await status(gateway.url, "OPTIONS", headers=page) == 403
        assert await status(gateway.url, json=QUESTION, headers={"Host": "evil.example"}) == 421
        plain = {"Content-Type": "text/plain"}
        assert await status(gateway.url, data=json.dumps(QUESTION), headers=plain) == 415
        assert await status(gateway.url, json=QUESTION, headers={"Origin": "http://localhost:3000"}) == 200

    log, upstream = through(tmp_path, well, talk, allow_origin=["http://localhost:3000"])
    assert len(upstream.asked) == len(log.of(Request)) == 1


def test_official_clients_show_the_key(tmp_path: Path) -> None:
    async def talk(gateway: Gateway) -> None:
        asking = client(gateway, "t1", "solver").with_options(api_key=SECRET)
        assert (await asking.chat.completions.create(**QUESTION)).choices[0].message.content

    through(tmp_path, well, talk, api_keys=keys(tmp_path))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "--api-key or --api-keys FILE, or that everybody may with --open"),
        (["--host", "::"], "--open"),
        (["--open", "--api-key", SECRET], "leave one out"),
        (["--api-key", "short"], "at least 16"),
        (["--api-keys", "none.toml"], "none.toml"),
    ],
)
def test_a_gateway_that_anybody_could_use_does_not_start(
    shosei: Shosei, tmp_path: Path, options: list[str], words: str
) -> None:
    run = tmp_path / "run"
    code, out, error = shosei("gateway", "--upstream", "http://127.0.0.1:9", "--port", "0", "--run", run, *options)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert words in error
    assert not run.exists()


def told_by_gateway(run: Path, *options: str) -> str:
    """What a gateway that others can reach says until it is ready; then it is stopped."""
    words = ["gateway", "--upstream", "http://127.0.0.1:9", "--host", "0.0.0.0", "--port", "0", "--run", str(run)]
    command, lines = [sys.executable, "-m", "shosei", *words, *options], [""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        while not lines[-1].startswith("ready"):
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        process.terminate()
        assert process.wait(30) == 0
    return "".join(lines)


def test_the_record_has_no_key(tmp_path: Path) -> None:
    told_by_gateway(tmp_path, "--api-key", SECRET)
    [begin] = read_log(tmp_path / "log").of(RunBegin)
    assert begin.argv[-2:] == ["--api-key", "…"]
    assert SECRET.encode() not in b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_an_open_gateway_says_once_what_that_means(tmp_path: Path) -> None:
    told = told_by_gateway(tmp_path, "--open")
    assert told.count("without a key, as much as they like") == 1


def test_a_page_of_the_gateway_s_own_is_none_to_the_upstream(tmp_path: Path) -> None:
    """The upstream knows neither the gateway's origin nor its cookies; what another page sends is passed on."""
    other = {"Origin": "http://elsewhere.example", "Cookie": "session=1"}

    async def talk(gateway: Gateway) -> None:
        ours = {"Origin": gateway.url, "Referer": f"{gateway.url}/", "Cookie": "shosei_rater=1"}
        assert await status(gateway.url, json=QUESTION, headers=ours) == 200
        listed = {"Sec-Fetch-Site": "same-origin", "Cookie": "shosei_rater=1"}
        assert await status(gateway.url, "GET", "/v1/models", headers=listed) == 200
        assert await status(gateway.url, json=QUESTION, headers=other) == 200

    _, upstream = through(tmp_path, well, talk, allow_origin=[other["Origin"]])
    heads = [asked.head.lower() for asked in upstream.asked]
    assert not [head for head in heads[:2] for name in ("origin:", "referer:", "cookie:") if name in head]
    assert "origin: http://elsewhere.example" in heads[2]
    assert "cookie: session=1" in heads[2]
