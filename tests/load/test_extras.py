"""What a server wants beside the API goes into every request of a load, and what it answers never ends one."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from load_server import served
from shosei.log import Request, RunBegin, read_log
from verb import Shosei

SHORT = ["--seconds", "1", "--warmup-s", "0", "--drain-s", "5", "--rate", "20", "--max-tokens", "9"]


def test_fields_go_into_the_request_or_out_of_it(tmp_path: Path, shosei: Shosei) -> None:
    with served() as server:
        code, _, _ = shosei(
            "load",
            server.url,
            "--run",
            tmp_path / "run",
            *SHORT,
            "--workers",
            "2",
            "--extra-body",
            '{"stream_options": null, "max_tokens": null, "max_completion_tokens": 9, "top_k": 1}',
            "--header",
            "api-key: sesame",
        )
    assert code == 0
    assert server.bodies
    for body, headers in zip(server.bodies, server.headers, strict=True):
        assert not {"stream_options", "max_tokens"} & body.keys()
        assert (body["max_completion_tokens"], body["top_k"], headers["api-key"]) == (9, 1, "sesame")
    assert read_log(tmp_path / "run" / "log").of(RunBegin)[0].config["extra_body"]["top_k"] == 1
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or b"sesame" not in file.read_bytes()


def test_a_load_goes_on_whatever_an_answer_is(tmp_path: Path, shosei: Shosei) -> None:
    bad = [
        b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
        b'data: {"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'data: {"usage": {"prompt_tokens": -1}}\n\n',
        b'data: {"choices": 3}\n\n',
        b"data: 3\n\n",
    ]

    async def behave(number: int, request: web.Request) -> web.StreamResponse | None:
        if number % 2:
            return None
        return web.Response(body=bad[number // 2 % len(bad)], content_type="text/event-stream")

    with served(behave) as server:
        code, _, _ = shosei("load", server.url, "--run", tmp_path / "run", *SHORT)
    assert code == 0
    found = [event.error for event in read_log(tmp_path / "run" / "log").of(Request)]
    assert len(found) == len(server.bodies) > 2 * len(bad)
    assert {*found} == {"", "5xx"}
    assert abs(found.count("5xx") - found.count("")) <= 1
