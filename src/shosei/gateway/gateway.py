"""The gateway: listens, tells calls to a model from the rest, admits them and writes their events."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import replace

from shosei.errors import InputError
from shosei.gateway.apis import Api
from shosei.gateway.bodies import MAX_BODY_BYTES, Bodies
from shosei.gateway.budget import BUDGET_CODE, Spent, TaskBudgets, words_over
from shosei.gateway.call import Call, path_of
from shosei.gateway.config import GatewayConfig
from shosei.gateway.downstream import Downstream
from shosei.gateway.faults import inject
from shosei.gateway.passage import Passages
from shosei.gateway.ratings import Ratings, takes
from shosei.gateway.recording import Replay, Tee
from shosei.gateway.relay import Relay
from shosei.gateway.upstream import Source, Upstream
from shosei.log import Event, Note, Request, Writer
from shosei.log.secret import AnswerIds, RunSecret
from shosei.wire.accepted import AcceptedConnections, ConnectionLimits
from shosei.wire.access import Access
from shosei.wire.api_error import ApiError
from shosei.wire.api_keys import ApiKey, KeyLimits
from shosei.wire.chat_page import ChatPage
from shosei.wire.endpoint import listen

_KEYLESS = frozenset({"/health", "/livez"})
_LAST_S = 1.0  # for clients to read what was written
_USAGE_REFUSED = "the upstream refuses stream_options: of later streams it is not known what they cost in tokens"


def ignore(_task: str) -> None:
    """Nothing is done about a task that exceeds its budget but to refuse its calls."""


def any_task(_task: str) -> bool:
    """Calls of every task are taken, and those that name none."""
    return True


class Gateway:
    """Between clients and ``upstream``, for the length of an ``async with``. Calls become events of ``writer``.

    ``on_exceeded`` is told once of each task that asks for more than its budget; calls of a task that is not open are
    refused. ``api_key`` lets clients in beside those of ``config.api_keys``. ``page`` stands before the upstream's own.
    Raises InputError for an upstream, a key or an address that cannot be one, and for one that others reach without
    keys or ``config.open``.
    """

    def __init__(
        self,
        upstream: str,
        writer: Writer | None,
        config: GatewayConfig = GatewayConfig(port=0),  # noqa: B008 - immutable
        on_exceeded: Callable[[str], None] = ignore,
        is_open: Callable[[str], bool] = any_task,
        api_key: str = "",
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - immutable
        page: ChatPage | None = None,
    ) -> None:
        self._page = page
        self._writer, self._config, self._is_open = writer, config, is_open
        self._source = _source(upstream, writer, config)
        self._access_rules, self._limits = config.access_rules(api_key), KeyLimits()
        self._budgets = TaskBudgets(config.budget, on_exceeded)
        self._asks_usage = True  # until the upstream refuses to be asked
        self._passages = Passages(self._emit)
        self._downstreams: set[Downstream] = set()
        self._connections = AcceptedConnections(replace(limits, discarded=MAX_BODY_BYTES))
        self._bodies = Bodies(config.body_memory)
        self._hurried = False
        self._not_recorded = 0
        secret = RunSecret.of(writer.path.parent.parent) if writer else RunSecret.of_process()
        self._ids, self._numbers = AnswerIds(secret), itertools.count(1)
        self._ratings = Ratings(writer, secret, config.rating_rules(self._access_rules.keys))
        self.url = ""  # http://HOST:PORT, once it listens

    def base_url(self, task: str = "", agent: str = "") -> str:
        """What a client of this run is to call, ``/v1`` included."""
        return f"{self.url}{path_of(self._run, task, agent)}/v1"

    def spent(self, task: str) -> Spent:
        """What a task has spent so far."""
        return self._budgets.account(task)

    async def __aenter__(self) -> Gateway:
        host = self._config.host
        listener = listen(host, self._config.port)
        address, port, *_ = listener.getsockname()
        try:
            self._access = Access(self._access_rules, host, address, self._keyless)
        except InputError:
            listener.close()
            raise
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._server = await asyncio.get_running_loop().create_server(self._connected, sock=listener)
        self._watching = asyncio.create_task(self._connections.watch())
        return self

    def _connected(self) -> Downstream:
        return Downstream(self._handle, self._downstreams, self._key_of, self._connections, self._bodies)

    async def __aexit__(self, *_: object) -> None:
        """Let the answers in flight end for ``drain_s``, while further calls are refused; then cancel them."""
        self._connections.draining = True
        until = time.monotonic() + self._config.drain_s
        while any(downstream.busy for downstream in self._downstreams) and not self._hurried:
            if time.monotonic() > until:
                break
            await asyncio.sleep(0.01)
        self._server.close()
        left = [*self._downstreams]
        for downstream in left:
            downstream.drain()
            downstream.cancel()
        while any(downstream.busy for downstream in left):
            await asyncio.sleep(0)
        until = time.monotonic() + _LAST_S
        while self._downstreams and time.monotonic() < until:
            await asyncio.sleep(0.01)
        self._connections.abort()
        self._watching.cancel()
        self._source.close()
        if self._not_recorded:
            words = "calls were not on the recording and failed: this is no replay of what was recorded"
            self._emit(Note(level="warning", text=f"{self._not_recorded} {words}"))

    def hurry(self) -> None:
        """Wait no longer for the answers in flight."""
        self._hurried = True

    @property
    def _keyless(self) -> frozenset[str]:
        return _KEYLESS | (self._page.keyless if self._page else frozenset())

    @property
    def _run(self) -> str:
        return self._writer.run if self._writer else ""

    def _emit(self, event: Event) -> None:
        if self._writer:
            self._writer.emit(event)

    def _key_of(self, call: Call) -> ApiKey | None:
        """The key that lets a call in. What is not measured has whatever type its upstream takes. Raises ApiError."""
        return self._access.key_of(call.method, call.path, call.headers, json=call.api is not None or takes(call))

    async def _handle(self, call: Call) -> None:
        try:
            if call.refusal:
                raise call.refusal
            with self._limits.request(call.key):
                await self._answer(call)
        except ApiError as error:
            headers = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
            call.downstream.refuse(error.status, error.message, code=error.code, param=error.param, headers=headers)

    async def _answer(self, call: Call) -> None:
        downstream = call.downstream
        if downstream.turns_away(call.path):
            return
        if not call.path:
            downstream.refuse(400, "The target is no path, such as [/r/RUN][/t/TASK][/a/AGENT]/v1/chat/completions")
        elif call.run and self._run and call.run != self._run:
            downstream.refuse(404, f"This gateway records run '{self._run}', not '{call.run}'", code="unknown_run")
        elif call.path in ("/health", "/livez"):
            downstream.whole(200, b'{"status":"ok"}')
        elif self._page and (page := self._page.answer(call.method, call.path, call.headers)):
            downstream.whole(page.status, page.body, page.headers)
        elif call.api:
            number = next(self._numbers)
            call.id = self._ids.new(call.api.id_prefix)
            await self._measure(call, call.api, self._config.fault_rates.draw(number))
        elif takes(call):
            await self._ratings.answer(call, self._access.proxies.sender(downstream.peer, call.headers))
        else:
            await self._passages.pass_on(call, self._source)

    async def _measure(self, call: Call, api: Api, fault: str) -> None:
        """Answer a call to a model, and write its event whatever happens."""
        call.read(ask_usage=self._asks_usage)
        charge = self._budgets.charge(call.task)
        relay = Relay(call, api, charge, cut=fault == "cut", keeps_text=self._config.keep_rated_text)
        self._ratings.remember(call, relay.pieces)
        reply = relay.reply
        try:
            reply.stream = call.stream
            self._begin(call)
            if self._admits(call, relay) and not await inject(fault, call, relay, self._config.delay_s, self._emit):
                await relay.run(self._source)
                self._not_recorded += relay.not_recorded
                if relay.usage_refused and self._asks_usage:
                    self._asks_usage = False
                    self._emit(Note(level="warning", text=_USAGE_REFUSED))
        except asyncio.CancelledError:
            # Many clients leave at a stream's last event, before HTTP's own end: theirs is a whole answer.
            if relay.complete:
                relay.finish()
            else:
                reply.error = reply.error or ("disconnect" if call.downstream.gone else "cancelled")
                relay.break_off()
            raise
        except Exception:
            reply.status, reply.error = 500, "5xx"
            raise
        finally:
            reply.done_ns = reply.done_ns or time.monotonic_ns()
            charge.settle(*relay.spent())
            self._emit(relay.event(self._config.purpose))

    def _begin(self, call: Call) -> None:
        """Put the call on record, for the case that this process is killed before it is answered."""
        if self._writer:
            self._writer.begin(
                Request(
                    id=call.id,
                    purpose=self._config.purpose,
                    seen_by="gateway",
                    scheduled_ns=call.received_ns,
                    stream=call.stream,
                    phase="inference",
                    task=call.task,
                    agent=call.agent,
                    api_key=call.key.name if call.key else "",
                    attribution=call.attribution,
                )
            )

    def _admits(self, call: Call, relay: Relay) -> bool:
        """Whether the call's task may ask; if not, it has been refused."""
        if not self._is_open(call.task):
            message = f"No task '{call.task}' is under way: call the base URL that the task was given"
            relay.refuse(403, message, "unknown_task", error="4xx")
            return False
        if not self._budgets.admit(call.task):
            relay.refuse(403, words_over(call.task), BUDGET_CODE, error="budget")
            return False
        return True


def _source(upstream: str, writer: Writer | None, config: GatewayConfig) -> Source:
    """Who answers, and what is kept of it. Raises InputError."""
    if config.keep_bodies and writer is None:
        raise InputError("bodies are kept beside a run's log, and there is no run: name one", param="keep_bodies")
    source: Source
    source = Replay(config.replay) if config.replay else Upstream(upstream, config.key_variable, config.stall_s)
    bodies = writer.path.parent.with_name("bodies") / writer.path.name if config.keep_bodies and writer else None
    return Tee(source, config.record, bodies) if config.record or bodies else source
