"""One process's share of a load: sends on schedule, whether or not earlier requests came back, and writes down what
became of each.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import resource
import time
from collections.abc import Callable

from shosei.load.config import LoadConfig
from shosei.load.conversations import Conversations
from shosei.load.prompts import prompts_of
from shosei.load.schedule import arrivals
from shosei.load.stage import Stage
from shosei.load.tally import Tally
from shosei.load.timer import Timer
from shosei.load.watch import ClientVerdict, Watch
from shosei.log import ClientLimit, Writer
from shosei.quantity import NS_PER_S
from shosei.wire.client import Client

_PATH = "/v1/chat/completions"
_AFTER_ERROR_S = 0.1  # closed loop: a server that refuses at once is not asked as fast as the client can
_CONNECTIONS = 65_536  # a host's ports allow no more to one address


class Share:
    """Every ``workers``-th request of a load, from number ``worker``; drawn before anything is sent."""

    def __init__(self, config: LoadConfig, url: str, writer: Writer, tally: Tally, worker: int = 0) -> None:
        self._config, self._url, self._writer, self._tally = config, url, writer, tally
        self._conversations = Conversations(config, prompts_of(config))
        self._numbers = itertools.count(worker, config.workers)
        self._offsets = arrivals(config)[worker :: config.workers]
        self._exhausted: ClientVerdict | None = None  # where a request could not be sent from here
        self._places = len(range(worker, config.concurrency or 0, config.workers))

    async def send(self, stage: Stage, watched: Callable[[ClientVerdict], None]) -> None:
        """Offer it; ``watched`` is given the client's verdict on itself when the steady window ends.

        Cancelling keeps what was measured: requests under way are recorded as cancelled.
        """
        _allow_connections()
        headers = {"x-shosei-purpose": stage.purpose, **self._config.headers}
        async with Client(self._url, timeout_s=self._config.timeout_s, headers=headers) as client:
            async with asyncio.TaskGroup() as group:
                watch = Watch(self._writer, stage.steady_ns)
                try:
                    async with watch:
                        with Timer() as timer:
                            if self._config.arrival == "closed":
                                await self._closed(client, stage, group, timer)
                            else:
                                await self._open(client, stage, group, timer)
                            await timer.sleep_until(stage.end_ns)
                finally:
                    watched(watch.verdict if watch.verdict.limit else self._exhausted or watch.verdict)

    async def _open(self, client: Client, stage: Stage, group: asyncio.TaskGroup, timer: Timer) -> None:
        free = asyncio.Semaphore(self._places) if self._places else contextlib.nullcontext()
        for offset in self._offsets.tolist():
            due_ns = stage.begin_ns + int(offset * NS_PER_S)
            await timer.sleep_until(due_ns)
            group.create_task(self._ask(client, stage, due_ns, free))

    async def _closed(self, client: Client, stage: Stage, group: asyncio.TaskGroup, timer: Timer) -> None:
        async def occupy() -> None:
            """Ask, wait for the answer, ask again: what is measured is service time."""
            while (now := time.monotonic_ns()) < stage.end_ns:
                if await self._ask(client, stage, now, contextlib.nullcontext()):
                    await asyncio.sleep(_AFTER_ERROR_S)

        await timer.sleep_until(stage.begin_ns)
        for _ in range(self._places):
            group.create_task(occupy())

    async def _ask(
        self, client: Client, stage: Stage, due_ns: int, free: contextlib.AbstractAsyncContextManager[None]
    ) -> str:
        """Send one request, record its end and return its error; ``done_ns`` of one that was not sent stays None."""
        number = next(self._numbers)
        reply = client.reply(stream=self._config.stream, scheduled_ns=due_ns)
        self._tally.sent += 1
        try:
            async with free:
                left_s = (stage.limit_ns - time.monotonic_ns()) / NS_PER_S
                if left_s <= 0:
                    reply.error = "timeout"
                    return reply.error
                conversation = self._conversations.take(number)
                await client.post(_PATH, conversation.body, reply, timeout_s=left_s)
                if not reply.error:
                    self._conversations.answered(conversation, reply.text)
                elif reply.error == "cancelled":
                    line = f"load client is out of connections: {reply.message}; raise ulimit -n"
                    self._exhausted = ClientVerdict(line, ClientLimit("connections"))
                return reply.error
        except asyncio.CancelledError:
            reply.error = "cancelled"
            raise
        finally:
            self._tally.add(reply)
            self._writer.emit(reply.event(stage.purpose))


def _allow_connections() -> None:
    """More open files than the usual 1,024: a server that stalls under an open loop gathers connections."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS if most == resource.RLIM_INFINITY else min(most, _CONNECTIONS)
    if 0 <= allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
