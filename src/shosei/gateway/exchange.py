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
from shosei.log import Event, Fault, Request
from shosei.wire.connection import Broken, NotConnected

_RETRY_AFTER = [(b"retry-after", b"1")]  # seconds


@dataclass(slots=True)
class Shared:
    """What all exchanges of a gateway share."""

    source: Source
    ledger: Ledger
    faults: Faults
    emit: Callable[[Event], None]
    is_open: Callable[[str], bool]  # whether calls of a task are taken


@dataclass(slots=True)
class Exchange:
    """A call and its event; ``fault`` is what is done to it on purpose, if anything."""

    shared: Shared
    call: Call
    route: Route
    client: Client
    event: Request
    fault: str
    relay: Relay | None = None

    async def run(self) -> None:
        """Answer the call, and write its event whatever happens."""
        event = self.event
        try:
            question = self._read()
            if not self.shared.is_open(event.task):
                message = f"No task '{event.task}' is under way: call the base URL that the task was given"
                self._refuse(403, message, "unknown_task", error="4xx")
            elif not self.shared.ledger.admit(event.task):
                whose = f"task '{event.task}'" if event.task else "the calls that name no task"
                self._refuse(403, f"The budget of {whose} is spent", "budget_exceeded", error="budget")
            elif not await self._broken():
                await self._relay(question)
        except InputError as error:
            self._refuse(400, str(error), "invalid_body", error="4xx")
        except asyncio.CancelledError:
            # Many clients leave at a stream's last event, before HTTP's own end: theirs is a whole answer.
            if self.relay and self.relay.complete:
                self.relay.finish()
            else:
                event.error = "disconnect" if self.client.gone else "cancelled"
            raise
        except Exception:
            event.status, event.error = 500, "5xx"
            raise
        finally:
            event.done_ns = event.done_ns or time.monotonic_ns()
            event.first_try_error = event.error
            self.shared.ledger.charge(event.task, event.tokens_in or 0, event.tokens_out or 0)
            self.shared.emit(event)

    def _read(self) -> Question:
        """The question, and what it says of its caller. Raises InputError."""
        event, call = self.event, self.call
        event.bytes_sent = len(call.body)
        try:
            question = Question.of(call.body)
        except InputError:
            self._name({})
            raise
        self._name(question.metadata)
        event.stream, event.tool_results = question.stream, results(question.raw("messages"))
        return question

    def _name(self, metadata: dict[str, object]) -> None:
        caller = Caller.of(self.route, self.call.headers, metadata)
        self.event.agent, self.event.task, self.event.attribution = caller.agent, caller.task, caller.attribution

    async def _broken(self) -> bool:
        """Do what is to be done to this request on purpose; return whether that was its answer."""
        if not self.fault:
            return False
        event, now = self.event, time.monotonic_ns()
        # A moment, not a stretch: the requests of others in the meantime are as usual.
        self.shared.emit(
            Fault(name=self.fault, begin_ns=now, end_ns=now, child="gateway", phase=event.phase, span=event.id,
                  task=event.task, agent=event.agent)
        )  # fmt: skip
        match self.fault:
            case "429":
                self._refuse(429, "Too many requests (injected)", "injected_fault", error="429")
            case "500":
                self._refuse(500, "The server failed (injected)", "injected_fault", error="5xx")
            case "delay":
                await asyncio.sleep(self.shared.faults.delay_s)
        return self.fault in ("429", "500")

    async def _relay(self, question: Question) -> None:
        """Ask, and hand the answer on."""
        event, client = self.event, self.client
        relay = self.relay = Relay(event, question, client, cut=self.fault == "cut")
        ask = Ask(self.call, self.route, client, question.body, event.id, event.task, event.agent, question.fields)
        event.sent_ns = time.monotonic_ns()
        try:
            event.done_ns = await self.shared.source.answer(ask, relay)
        except NotConnected as error:
            # What this machine has no connection for, the upstream has no part in.
            self._fail(502, str(error), "cancelled" if error.exhausted else "connect")
        except Broken as error:
            self._fail(502, f"the upstream's answer broke off: {error}", "cut stream" if event.status else "connect")
        except TimeoutError:
            self._fail(504, "the upstream was silent for too long", "timeout")
        except NotRecorded as error:
            self._refuse(404, str(error), "not_recorded", error="4xx")
        else:
            relay.finish()
            if not client.begun:
                self._fail(502, relay.message, event.error)

    def _fail(self, status: int, message: str, error: str) -> None:
        """Say what the upstream did, or end the connection where its answer has begun."""
        if self.client.begun:
            self.event.error = error
            self.client.cut()
        else:
            self._refuse(status, message, f"upstream_{error.replace(' ', '_')}", error=error)

    def _refuse(self, status: int, message: str, code: str, *, error: str) -> None:
        self.event.status, self.event.error = status, error
        self.client.refuse(status, message, code=code, headers=_RETRY_AFTER if status == 429 else [])
