"""``shosei gateway``: stand between any agents and any OpenAI-compatible server, and record every call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shosei.cli.common import JsonOption, RunOption, fast_loop, result, run_async, say
from shosei.errors import EXIT_OK, InputError

if TYPE_CHECKING:
    from shosei.gateway import GatewayConfig
    from shosei.log import Writer

_NO_UPSTREAM = "http://127.0.0.1"  # where answers are read back, nobody is asked


def gateway(
    upstream: Annotated[str, typer.Option(metavar="URL", help="The OpenAI-compatible server that answers.")] = "",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")] = 8100,
    run: RunOption = None,
    upstream_key_env: Annotated[
        str, typer.Option(metavar="NAME", help="Environment variable with the upstream's key.")
    ] = "OPENAI_API_KEY",
    record: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write every answer down there.", show_default=False)
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Read answers from there; ask nobody.", show_default=False)
    ] = None,
    injections: Annotated[
        list[str] | None,
        typer.Option(
            "--inject",
            metavar="FAULT=SHARE",
            show_default=False,
            help="A share of calls to break on purpose: 429, 500, delay or cut, such as 429=0.1. Repeatable.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of which calls are broken.")] = 0,
    delay: Annotated[float, typer.Option(min=0, metavar="S", help="How late a delayed call is sent on.")] = 1.0,
    stall_timeout: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="Longest silence of the upstream.")
    ] = 120.0,
    calls: Annotated[int | None, typer.Option(min=1, help="Most calls of one task.", show_default=False)] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens of one task.", show_default=False)] = None,
    keep_bodies: Annotated[
        bool, typer.Option("--keep-bodies", help="Keep questions and answers in the run folder, in plain text.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Pass calls on to a model server until interrupted, and record who called, how long it took and what failed.

    A client's base URL may name its task and its agent: http://HOST:PORT/t/TASK/a/AGENT/v1. Without a run folder
    nothing is recorded.
    """
    from contextlib import nullcontext, suppress

    from shosei.gateway import Budget, Faults, GatewayConfig
    from shosei.log.run import RUN_VARIABLE, open_run
    from shosei.wire.endpoint import KEY_VARIABLE, Endpoint

    if not upstream and not replay:
        raise InputError("--upstream URL: name the server that answers, or --replay DIR to read answers back")
    if upstream:
        place = Endpoint.of(upstream)  # before it is written down: a URL may hold a password
        if (place.host, place.port) in ((host, port), ("localhost", port)):
            raise InputError(f"--upstream {upstream} is where the gateway itself would listen: choose another --port")
    if upstream_key_env not in os.environ and upstream_key_env != KEY_VARIABLE:
        raise InputError(f"--upstream-key-env {upstream_key_env}: no such variable is set")
    config = GatewayConfig(
        host=host, port=port, budget=Budget(calls, tokens), key_variable=upstream_key_env, stall_s=stall_timeout,
        faults=Faults.parse(injections or [], seed, delay), record=record, replay=replay, keep_bodies=keep_bodies,
    )  # fmt: skip
    target = open_run(run, must_exist=False) if run or os.environ.get(RUN_VARIABLE) else None
    told = {"upstream": upstream, "budget": {"calls": calls, "tokens": tokens}, "inject": injections or []}
    recording = (
        target.recording("gateway", "inference", config=told, seeds={"faults": seed}) if target else nullcontext()
    )
    with recording as kept, suppress(KeyboardInterrupt):  # being told to stop is how it ends
        if target and kept:
            say(f"recording into attempt {kept.writer.attempt} of {target.folder}")
        run_async(_serve(upstream or _NO_UPSTREAM, kept.writer if kept else None, config, as_json), fast_loop())
    return EXIT_OK


async def _serve(upstream: str, writer: Writer | None, config: GatewayConfig, as_json: bool) -> None:
    import asyncio

    from shosei.gateway import Gateway

    async with Gateway(upstream, writer, config) as running:
        url = running.base_url()
        lines = [f"ready: {config.replay or upstream} behind {url} (Ctrl-C stops it)", f"export OPENAI_BASE_URL={url}"]
        result({"url": running.url, "base_url": url}, lines, as_json=as_json)
        await asyncio.Event().wait()
