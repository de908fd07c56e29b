"""Sends requests on schedule, whether or not earlier ones came back, and writes down what became of each."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from typing import Any

from shosei.errors import InputError
from shosei.load.config import LoadConfig
from shosei.load.prompts import Messages, cycle, read_prompts
from shosei.load.schedule import poisson
from shosei.load.tally import Tally
from shosei.load.watch import Watch
from shosei.log import Window, Writer
from shosei.wire.client import Client, Reply

_HEADERS = {"x-shosei-purpose": "load"}
_LEAD_NS = 100_000_000  # between drawing the schedule and its first instant
_SECOND = 1_000_000_000
_MAX_REQUESTS = 10_000_000


async def check(config: LoadConfig, url: str) -> LoadConfig:
    """Make sure that the load can begin, and return the configuration with the served model's name filled in.

    Raises InputError: prompts that cannot be read, no OpenAI-compatible server at ``url``, or no model in it. Call it
    before the run begins, so that a failed start leaves nothing in the log.
    """
    read_prompts(config.suite)
    async with Client(url, timeout_s=config.timeout_s) as client:
        served = await client.models()
    if not served and not config.model:
        raise InputError(f"{url} lists no model: name one with --set load.model=NAME")
    return config.model_copy(update={"model": config.model or served[0]})


async def run_load(config: LoadConfig, url: str, writer: Writer, tally: Tally | None = None) -> Tally:
    """Offer the load, with a configuration from ``check``; return the counts, which ``tally`` shows while it runs.

    Every scheduled request becomes one ``request`` event with purpose ``load``, answered or not; what the limit of the
    drain leaves unanswered is a timeout. Cancelling keeps what was measured: requests under way are recorded as
    cancelled, those still to come not at all, and the windows are closed.
    """
    load = _Load(config, writer, tally or Tally())
    async with Client(url, timeout_s=config.timeout_s, headers=_HEADERS) as client:
        await load.run(client)
    return load.tally


class _Load:
    """One load: its schedule, drawn before anything is sent, and its windows."""

    def __init__(self, config: LoadConfig, writer: Writer, tally: Tally) -> None:
        self.tally = tally
        self._config, self._writer = config, writer
        self._prompts = cycle(read_prompts(config.suite), config.seed)
        if config.rate * (config.warmup_s + config.seconds) > _MAX_REQUESTS:
            raise InputError(f"more than {_MAX_REQUESTS:,} requests: lower load.rate or load.seconds")
        offsets = poisson(config.rate, config.warmup_s + config.seconds, config.seed)
        if not len(offsets):
            raise InputError("no request falls into the load: raise load.rate or load.seconds")
        tally.scheduled = len(offsets)
        self._places = asyncio.Semaphore(config.concurrency) if config.concurrency else contextlib.nullcontext()
        self._begin_ns = time.monotonic_ns() + _LEAD_NS
        self._steady_ns = self._begin_ns + int(config.warmup_s * _SECOND)
        self._end_ns = self._steady_ns + int(config.seconds * _SECOND)
        self._limit_ns = self._end_ns + int(config.drain_s * _SECOND)
        self._due_ns = [self._begin_ns + int(offset * _SECOND) for offset in offsets]

    async def run(self, client: Client) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                watch = Watch(self._writer)
                try:
                    async with watch:
                        for due_ns in self._due_ns:
                            await _sleep_until(due_ns)
                            group.create_task(self._ask(client, next(self._prompts), due_ns))
                            self.tally.sent += 1
                        await _sleep_until(self._end_ns)
                finally:
                    self.tally.client = watch.verdict
                    self._close_window("warmup", self._begin_ns, self._steady_ns)
                    self._close_window("steady", self._steady_ns, self._end_ns, watch.invalid)
        finally:
            self._close_window("drain", self._end_ns, self._limit_ns)

    async def _ask(self, client: Client, messages: Messages, due_ns: int) -> None:
        """Send one request and record its end. ``done_ns`` of one that could not be sent stays None."""
        reply = Reply(f"req-{uuid.uuid4().hex}", due_ns, error="cancelled", stream=self._config.stream)
        try:
            async with self._places:
                left_s = (self._limit_ns - time.monotonic_ns()) / _SECOND
                if left_s > 0:
                    path, body = "/v1/chat/completions", self._body(messages)
                    reply = await client.ask(path, body, scheduled_ns=due_ns, timeout_s=left_s)
                else:
                    reply.error = "timeout"
        finally:
            self.tally.add(reply)
            self._writer.emit(reply.event("load"))

    def _body(self, messages: Messages) -> dict[str, Any]:
        config = self._config
        body = {
            "model": config.model, "messages": messages, "max_tokens": config.max_tokens,
            "temperature": config.temperature, "stream": config.stream,
        }  # fmt: skip
        return body | {"stream_options": {"include_usage": True}} if config.stream else body

    def _close_window(self, name: str, begin_ns: int, end_ns: int, invalid: str = "") -> None:
        end_ns = min(end_ns, time.monotonic_ns())
        if end_ns > begin_ns:
            self._writer.emit(Window(name=name, begin_ns=begin_ns, end_ns=end_ns, invalid=invalid))


async def _sleep_until(due_ns: int) -> None:
    # An event loop's timer may ring a little early.
    while (left_ns := due_ns - time.monotonic_ns()) > 0:
        await asyncio.sleep(left_ns / _SECOND)
