"""One request to a model, from the moment that it is whole until its event is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from shosei.errors import InputError
from shosei.gateway.budget import Ledger
from shosei.gateway.caller import Caller, Route
from shosei.gateway.client import Call, Client
from shosei.gateway.faults import Faults
from shosei.gateway.question import Question
from shosei.gateway.relay import Relay
from shosei.gateway.source import Ask, NotRecorded, Source
from shosei.gateway.tools import results
from shosei.log import Event, Fault, Request, ToolResult
from shosei.wire.connection import Broken, NotConnected
from shosei.wire.reply import Reply

_RETRY_AFTER = [(b"retry-after", b"1")]  # seconds


@dataclass(slots=True)
class Shared:
    """What all exchanges of a gateway share."""

    source: Source
    ledger: Ledger
    faults: Faults
    emit: Callable[[Event], None]
    is_open: Callable[[str], bool]  # whether calls of a task are taken


class Exchange:
    """A call and what became of it; ``fault`` is what is done to it on purpose, if anything."""

    def __init__(
        self, shared: Shared, call: Call, route: Route, client: Client, id: str, purpose: str, fault: str
    ) -> None:
        self._shared, self._call, self._route, self._client = shared, call, route, client
        self._id, self._purpose, self._fault = id, purpose, fault
        self._reply = Reply(id, call.received_ns, bytes_sent=len(call.body))
        self._caller = Caller("", "", "")
        self._tool_results: list[ToolResult] = []
        self._relay: Relay | None = None

    async def run(self) -> None:
        """Answer the call, and write its event whatever happens."""
        reply = self._reply
        try:
            question, task = self._read(), self._caller.task
            if not self._shared.is_open(task):
                message = f"No task '{task}' is under way: call the base URL that the task was given"
                self._refuse(403, message, "unknown_task", error="4xx")
            elif not self._shared.ledger.admit(task):
                whose = f"task '{task}'" if task else "the calls that name no task"
                self._refuse(403, f"The budget of {whose} is spent", "budget_exceeded", error="budget")
            elif not await self._broken():
                await self._ask(question)
        except InputError as error:
            self._refuse(400, str(error), "invalid_body", error="4xx")
        except asyncio.CancelledError:
            # Many clients leave at a stream's last event, before HTTP's own end: theirs is a whole answer.
            if self._relay and self._relay.complete:
                self._relay.finish()
            else:
                reply.error = "disconnect" if self._client.gone else "cancelled"
            raise
        except Exception:
            reply.status, reply.error = 500, "5xx"
            raise
        finally:
            reply.done_ns = reply.done_ns or time.monotonic_ns()
            self._shared.ledger.charge(self._caller.task, reply.tokens_in or 0, reply.tokens_out or 0)
            self._shared.emit(self._event())

    def _event(self) -> Request:
        caller = self._caller
        event = self._reply.event(
            self._purpose, phase="inference", task=caller.task, agent=caller.agent, attribution=caller.attribution,
            tool_calls=self._relay.tool_calls if self._relay else [], tool_results=self._tool_results,
        )  # fmt: skip
        event.id, event.seen_by = self._id, "gateway"
        event.bytes_received = event.bytes_received or None  # the upstream may never have been asked
        return event

    def _read(self) -> Question:
        """The question, and what it says of its caller. Raises InputError."""
        metadata: dict[str, object] = {}
        try:
            question = Question.of(self._call.body)
            metadata = question.metadata
        finally:
            self._caller = Caller.of(self._route, self._call.headers, metadata)
        self._reply.stream, self._tool_results = question.stream, results(question.raw("messages"))
        return question

    async def _broken(self) -> bool:
        """Do what is to be done to this request on purpose; return whether that was its answer."""
        if not self._fault:
            return False
        now = time.monotonic_ns()
        # A moment, not a stretch: the requests of others in the meantime are as usual.
        self._shared.emit(
            Fault(name=self._fault, begin_ns=now, end_ns=now, child="gateway", phase="inference", span=self._id,
                  task=self._caller.task, agent=self._caller.agent)
        )  # fmt: skip
        match self._fault:
            case "429":
                self._refuse(429, "Too many requests (injected)", "injected_fault", error="429")
            case "500":
                self._refuse(500, "The server failed (injected)", "injected_fault", error="5xx")
            case "delay":
                await asyncio.sleep(self._shared.faults.delay_s)
        return self._fault in ("429", "500")

    async def _ask(self, question: Question) -> None:
        """Ask, and hand the answer on."""
        reply, client, caller = self._reply, self._client, self._caller
        relay = self._relay = Relay(self._id, reply, question, client, cut=self._fault == "cut")
        ask = Ask(self._call, self._route, client, question.body, self._id, caller.task, caller.agent, question.fields)
        reply.sent_ns = time.monotonic_ns()
        try:
            reply.done_ns = await self._shared.source.answer(ask, relay)
        except NotConnected as error:
            # What this machine has no connection for, the upstream has no part in.
            self._fail(502, str(error), "cancelled" if error.exhausted else "connect")
        except Broken as error:
            self._fail(502, f"the upstream's answer broke off: {error}", "cut stream" if reply.status else "connect")
        except TimeoutError:
            self._fail(504, "the upstream was silent for too long", "timeout")
        except NotRecorded as error:
            self._refuse(404, str(error), "not_recorded", error="4xx")
        else:
            relay.finish()
            if not client.begun:
                self._fail(502, f"the upstream's {reply.message}", reply.error)

    def _fail(self, status: int, message: str, error: str) -> None:
        """Say what the upstream did, or end the connection where its answer has begun."""
        if self._client.begun:
            self._reply.error = error
            self._client.cut()
        else:
            self._refuse(status, message, f"upstream_{error.replace(' ', '_')}", error=error)

    def _refuse(self, status: int, message: str, code: str, *, error: str) -> None:
        self._reply.status, self._reply.error = status, error
        self._client.refuse(status, message, code=code, headers=_RETRY_AFTER if status == 429 else [])
