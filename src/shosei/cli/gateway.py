"""``shosei gateway``: stand between any agents and any OpenAI-compatible server, and record every call."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shosei.cli.access import ApiKeyOption, say_open, words_without
from shosei.cli.chat_page import page_of, ratings_of, read_form
from shosei.cli.common import JsonOption, RunOption, fast_loop, result, run_async, say
from shosei.errors import EXIT_OK, InputError

if TYPE_CHECKING:
    from shosei.gateway import Gateway, GatewayConfig
    from shosei.log import Log

_NO_UPSTREAM = "http://127.0.0.1"  # where answers are read back, nobody is asked
_MEASURING = ("load", "exam", "agents")


def gateway(
    context: typer.Context,
    upstream: Annotated[str, typer.Option(metavar="URL", help="The OpenAI-compatible server that answers.")] = "",
    api_key: ApiKeyOption = "",
    run: RunOption = None,
    as_json: JsonOption = False,
) -> int:
    """Pass calls on to a model server until interrupted, and record who called, how long it took and what failed.

    A client's base URL may name its task and its agent: http://HOST:PORT/t/TASK/a/AGENT/v1. Without a run folder
    nothing is recorded.
    """
    from contextlib import nullcontext, suppress

    from shosei.config import save
    from shosei.gateway import Gateway, GatewayConfig
    from shosei.log.attempt import has_measured, must_be_new
    from shosei.log.run import RUN_VARIABLE, open_run
    from shosei.wire.access import Access
    from shosei.wire.endpoint import KEY_VARIABLE, Endpoint, listen

    config: GatewayConfig = context.obj.load(GatewayConfig)
    if not upstream and not config.replay:
        raise InputError("--upstream URL: name the server that answers, or --replay DIR to read answers back")
    if upstream:
        place = Endpoint.of(upstream)  # before it is written down: a URL may hold a password
        if (place.host, place.port) in ((config.host, config.port), ("localhost", config.port)):
            raise InputError(f"--upstream {upstream} is where the gateway itself would listen: choose another --port")
    if config.key_variable not in os.environ and config.key_variable != KEY_VARIABLE:
        raise InputError(f"--upstream-key-env {config.key_variable}: no such variable is set")
    rules = config.access_rules(api_key)
    config.rating_rules(rules.keys)
    read_form(config.rating_form)
    with listen(config.host, config.port) as listener:  # who may ask is settled before anything is written
        Access(rules, config.host, listener.getsockname()[0])
    target = open_run(run, must_exist=False) if run or os.environ.get(RUN_VARIABLE) else None
    config.check_recorded(recorded=target is not None)
    settings = {
        "upstream": upstream,
        "budget": {"calls": config.calls, "tokens": config.tokens},
        "inject": config.inject,
    }
    manifest: dict[str, Any] = {"config": settings, "seeds": {"faults": config.seed}, "argv": words_without(api_key)}

    def new_attempt(log: Log) -> bool:
        return must_be_new(log, "gateway", settings, _MEASURING) or has_measured(log, "gateway")

    recording = (
        target.recording("gateway", "inference", new_attempt=new_attempt, **manifest) if target else nullcontext()
    )
    with recording as record, suppress(KeyboardInterrupt):  # being told to stop is how it ends
        if target and record:
            save(target.toml, "gateway", config)
            say(f"recording into attempt {record.writer.attempt} of {target.folder}")
        writer = record.writer if record else None
        limits = config.limits().within_open_files(files_each=2)  # the client's and the upstream's
        ratings = ratings_of(config, keyed=bool(rules.keys)) if record else None
        page = page_of("", ratings=ratings) if config.page else None
        running = Gateway(upstream or _NO_UPSTREAM, writer, config, api_key=api_key, limits=limits, page=page)
        run_async(_serve(running, config, upstream, as_json), fast_loop())
    return EXIT_OK


async def _serve(gateway: Gateway, config: GatewayConfig, upstream: str, as_json: bool) -> None:
    async with gateway as running:
        url = running.base_url()
        if config.open:
            say_open(running.url, "the server behind it, with its key," if upstream else "the recording")
        lines = [f"ready: {config.replay or upstream} behind {url} (Ctrl-C stops it)", f"export OPENAI_BASE_URL={url}"]
        if config.page:
            lines.append(f"chat page: {running.url}/")
        result({"url": running.url, "base_url": url}, lines, as_json=as_json)
        await _told_to_stop(running)


async def _told_to_stop(gateway: Gateway) -> None:
    """Wait for SIGTERM, Ctrl-C or the terminal's end, unless started to outlive that; a second one hurries the
    gateway's end."""
    import asyncio

    told = asyncio.Event()

    def stop() -> None:
        if told.is_set():
            gateway.hurry()
        told.set()

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(signum) != signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(signum, stop)
    await told.wait()
