"""What a server wants beside the API goes into every request of a load, and what it answers never ends one."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from aiohttp import web

from load_server import served
from shosei.log import Request, RunBegin, read_log
from shosei.wire.refusal import settings_wanted
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


REFUSALS = {  # by field: how servers word it, and the setting that helps
    "max_tokens": (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "--set load.max_tokens_field=max_completion_tokens",
    ),
    "stream_options": ("Extra inputs are not permitted: stream_options", "--set load.usage=false"),
    "temperature": (
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
        """--set load.extra_body='{"temperature": null}'""",
    ),
}


@pytest.mark.parametrize("field", REFUSALS)
def test_a_refused_field_names_the_setting_that_helps(field: str, tmp_path: Path, shosei: Shosei) -> None:
    words, setting = REFUSALS[field]

    async def behave(number: int, request: web.Request) -> web.StreamResponse | None:
        if field in server.bodies[number]:
            return web.json_response({"error": {"message": words}}, status=400)
        return None

    with served(behave) as server:
        code, out, _ = shosei("load", server.url, "--run", tmp_path / "refused", *SHORT)
        assert code == 5
        assert f"the first said: {words}; ask without that field: {setting}\n" in out
        code, out, _ = shosei("load", server.url, "--run", tmp_path / "run", *SHORT, *shlex.split(setting))
    assert (code, ", 0 failed" in out) == (0, True)
    told = [request.tokens_out for request in read_log(tmp_path / "run" / "log").of(Request)]
    assert set(told) == {2}  # this server counts whether it is asked to or not


def test_words_about_the_length_of_an_answer_name_no_setting() -> None:
    for words in ("max_tokens is too large: 9000", "`max_tokens` must be at most 4096", "an unknown error", ""):
        assert settings_wanted(words, "load") == ""
    assert settings_wanted("Unrecognized request argument supplied: max_completion_tokens", "exam", "load") == (
        "; ask without that field: --set exam.max_tokens_field=max_tokens --set load.max_tokens_field=max_tokens"
    )


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
    assert {*found} == {"", "malformed", "cut stream"}
    assert abs(len(found) - 2 * found.count("")) <= 1
