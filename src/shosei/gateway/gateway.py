"""The gateway: listens, tells calls to a model from the rest, and gives each of them an exchange."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Callable
from urllib.parse import unquote

from shosei.errors import InputError
from shosei.gateway.bodies import Bodies
from shosei.gateway.budget import Ledger, Spent
from shosei.gateway.caller import Route, place
from shosei.gateway.client import Call, Client
from shosei.gateway.config import GatewayConfig
from shosei.gateway.exchange import Exchange, Shared
from shosei.gateway.recording import Recorder, Replay
from shosei.gateway.source import Ask, NotRecorded, Source
from shosei.gateway.upstream import Upstream
from shosei.log import Event, Writer
from shosei.wire.connection import Page
from shosei.wire.listen import listen

_MEASURED = {"/v1/chat/completions": "chatcmpl-", "/v1/completions": "cmpl-"}


def ignore(_task: str) -> None:
    """Nothing is done about a task that exceeds its budget but to refuse its calls."""


def any_task(_task: str) -> bool:
    """Calls of every task are taken, and those that name none."""
    return True


class Gateway:
    """Between clients and ``upstream``, for the length of an ``async with``. Calls become events of ``writer``.

    ``on_exceeded`` is told once of each task that asks for more than its budget; calls of a task that is not open are
    refused. Raises InputError for an upstream, a key or an address that cannot be one.
    """

    def __init__(
        self,
        upstream: str,
        writer: Writer | None,
        config: GatewayConfig = GatewayConfig(),  # noqa: B008 - immutable
        on_exceeded: Callable[[str], None] = ignore,
        is_open: Callable[[str], bool] = any_task,
    ) -> None:
        self._writer, self._config = writer, config
        self._source = _source(upstream, writer, config)
        self._ledger = Ledger(config.budget, on_exceeded)
        self._shared = Shared(self._source, self._ledger, config.faults, self._emit, is_open)
        self._clients: set[Client] = set()
        self._name, self._numbers = uuid.uuid4().hex[:16], itertools.count(1)
        self.url = ""  # http://HOST:PORT, once it listens

    def base_url(self, task: str = "", agent: str = "") -> str:
        """What a client of this run is to call, ``/v1`` included."""
        return f"{self.url}{place(self._run, task, agent)}/v1"

    def spent(self, task: str) -> Spent:
        """What a task has spent so far."""
        return self._ledger.account(task)

    async def __aenter__(self) -> Gateway:
        host = self._config.host
        listener = listen(host, self._config.port)
        port = listener.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Client(self._handle, self._clients), sock=listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the answers in flight end for ``drain_s``, then cancel them."""
        self._server.close()
        for client in [*self._clients]:
            client.drain()
        until = time.monotonic() + self._config.drain_s
        while self._clients and time.monotonic() < until:
            await asyncio.sleep(0.01)
        left = [*self._clients]
        for client in left:
            client.cancel()
        while any(client.busy for client in left):
            await asyncio.sleep(0)
        for client in left:
            client.abort()
        self._source.close()

    @property
    def _run(self) -> str:
        return self._writer.run if self._writer else ""

    def _emit(self, event: Event) -> None:
        if self._writer:
            self._writer.emit(event)

    async def _handle(self, call: Call, client: Client) -> None:
        route = Route.of(call.target)
        if route is None:
            client.refuse(404, "Nothing is here: the API is under [/r/RUN][/t/TASK][/a/AGENT]/v1")
        elif route.run and self._run and route.run != self._run:
            client.refuse(404, f"This gateway records run '{self._run}', not '{route.run}'", code="unknown_run")
        elif route.path == "/health":
            client.whole(200, b'{"status":"ok"}')
        elif prefix := _MEASURED.get(route.path):
            if call.method == "POST":
                await self._exchange(prefix, call, route, client)
            else:
                client.refuse(405, f"{route.path} takes POST")
        elif call.method == "GET" and _is_of_models(route.path):
            await self._pass_on(call, route, client)
        else:
            client.refuse(404, f"{route.path} is not measured, so it is not passed on")

    async def _exchange(self, prefix: str, call: Call, route: Route, client: Client) -> None:
        number = next(self._numbers)
        id, fault = f"{prefix}{self._name}{number:08x}", self._config.faults.draw(number)
        await Exchange(self._shared, call, route, client, id, self._config.purpose, fault).run()

    async def _pass_on(self, call: Call, route: Route, client: Client) -> None:
        """What costs no tokens is handed through and leaves no event."""
        page = Page()
        try:
            await self._source.answer(Ask(call, route, client, call.body), page)
        except NotRecorded as error:
            client.refuse(404, str(error), code="not_recorded")
        except (ConnectionError, TimeoutError) as error:
            client.refuse(502, f"no answer from the upstream: {error}", code="upstream_connect")
        else:
            client.whole(page.status, page.body)


def _is_of_models(path: str) -> bool:
    """Whether it is the list of models or one of them, whose name may have slashes; dots lead nowhere else."""
    first, *rest = unquote(path).removeprefix("/v1/").split("/")
    return first == "models" and ".." not in rest


def _source(upstream: str, writer: Writer | None, config: GatewayConfig) -> Source:
    """Who answers, and what is kept of it. Raises InputError."""
    source: Source
    source = Replay(config.replay) if config.replay else Upstream(upstream, config.key_variable, config.stall_s)
    if config.record:
        source = Recorder(source, config.record)
    if config.keep_bodies:
        if writer is None:
            raise InputError("bodies are kept beside a run's log, and there is no run: name one", param="keep_bodies")
        source = Bodies(source, writer.path.parent.with_name("bodies") / writer.path.name)
    return source
