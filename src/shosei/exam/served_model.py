"""A model behind an OpenAI-compatible endpoint as the subject of an exam."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from shosei.errors import InputError
from shosei.exam.config import ExamConfig
from shosei.exam.counts import Counts
from shosei.exam.exam import Answer, Exam
from shosei.exam.programs import run_programs
from shosei.exam.prompting import request
from shosei.exam.resume import NOTHING, Kept
from shosei.log import Note, Score, Writer
from shosei.metrics.grading.grade import COMMAND
from shosei.progress import progress
from shosei.sandbox.proof import Proof, choose
from shosei.wire.client import Client, Reply
from shosei.wire.refusal import tokens_left
from shosei.wire.suite import Task

_LIMITS = ("max_tokens", "max_completion_tokens")
_NOT_OF_LENGTH = (401, 403, 404, 405, 408, 429)  # refusals for other reasons
_LONGEST_TASK = 1024  # of those that come along


class ServedModel:
    """Answers each task with one request, which is sent again where the server, not the model, failed."""

    def __init__(self, client: Client, config: ExamConfig) -> None:
        self._client, self._config = client, config
        self._failed = 0  # tasks in a row
        self._context: int | None = None
        self._knows_context = False

    async def answer(self, task: Task, sample: int, due_ns: int) -> Answer:
        tries = _Tries(due_ns)
        path, body = request(task, self._config)
        reply = await self._ask(path, body, tries)
        if shorter := await self._shortened(reply, body):
            reply = await self._ask(path, shorter, tries)
        event = msgspec.structs.replace(
            reply.event("exam", task=task.id),
            tries=tries.count,
            first_try_error=tries.first_error or reply.error,
            waited_ns=tries.waited_ns,
        )
        return Answer(event, reply.text, reply.message, reply.id, reply.finish_reason, reply.reasoning)

    async def _ask(self, path: str, body: dict[str, Any], tries: _Tries) -> Reply:
        """Ask until there is an answer, or a refusal that is one, or no try is left.

        While task after task fails, each is tried once: a server that is gone is not waited for a thousand times.
        """
        wait_s, retries = self._config.retry_wait_s, self._config.retries
        while True:
            reply = await self._client.ask(path, body, scheduled_ns=tries.due_ns)
            tries.add(reply)
            if not _may_pass(reply):
                self._failed = 0
                return reply
            if not retries or self._failed >= self._config.concurrency:
                self._failed += 1
                return reply
            told_s = min(reply.retry_after_s or 0.0, self._config.timeout_s)
            await tries.wait(told_s or wait_s)
            wait_s, retries = 2 * wait_s, retries - 1

    async def _shortened(self, reply: Reply, body: dict[str, Any]) -> dict[str, Any] | None:
        """The body with a limit of tokens that fits the context, where the refusal of a longer one tells it."""
        limit = next((name for name in _LIMITS if isinstance(body.get(name), int)), None)
        if reply.error not in ("4xx", "context limit") or reply.status in _NOT_OF_LENGTH or not limit:
            return None
        left = tokens_left(reply.message, body[limit], self._context)
        if left is None and not self._knows_context:
            with contextlib.suppress(InputError):
                self._context = (await self._client.models()).get(self._config.model)
            self._knows_context = True
            left = tokens_left(reply.message, body[limit], self._context)
        return {**body, limit: left} if left else None


@dataclass(slots=True)
class _Tries:
    """How often a task's request was sent, and what became of the first."""

    due_ns: int
    count: int = 0
    first_error: str = ""
    waited_ns: int = 0

    def add(self, reply: Reply) -> None:
        self.count += 1
        if self.count == 1:
            self.first_error = reply.error

    async def wait(self, seconds: float) -> None:
        begin_ns = time.monotonic_ns()
        await asyncio.sleep(seconds)
        self.waited_ns += time.monotonic_ns() - begin_ns


def _may_pass(reply: Reply) -> bool:
    """Whether the same request may do better later: no server, one that is busy, or one that broke."""
    return reply.error == "connect" or (reply.error != "" and (reply.status == 429 or (reply.status or 0) >= 500))


def is_final(score: Score) -> bool:
    """Whether a later try would not answer better: there is an answer, though it may have no words, or no room for one.

    What is ``empty`` is none: the server gave neither a choice nor a reason why it ends.
    """
    return score.error in ("", "context limit")


async def check(config: ExamConfig, url: str, tasks: Sequence[Task]) -> tuple[ExamConfig, Proof | None]:
    """Make sure that the exam can begin: the configuration with the model's and the sandbox's names, and its proof.

    No proof where there are no programs to run. Raises InputError: no server at ``url``, or no model in it; no sandbox
    holds on this machine; a command is to judge. Call it before the run begins, so that a failed start leaves nothing
    in the log.
    """
    if commanded := sum(task.grader == COMMAND for task in tasks):
        raise InputError(f"{commanded} tasks are judged by a command, for 'shosei agents run --grade-with' only")
    async with Client(url, timeout_s=config.timeout_s, headers=config.headers) as client:
        config = config.model_copy(update={"model": await client.model(config.model, "--model NAME")})
    if not config.executes or not any(task.grader == "python" for task in tasks):
        return config, None
    with progress("trying the sandbox"):
        proof = await choose(config)
    return config.model_copy(update={"sandbox": proof.backend}), proof


async def run_exam(
    config: ExamConfig,
    proof: Proof | None,
    url: str,
    tasks: Sequence[Task],
    writer: Writer,
    kept: Kept = NOTHING,
) -> Counts:
    """Ask each task ``config.samples`` times, with what ``check`` returned; return counts by suite.

    Each answer becomes a ``request`` and a raw ``score`` event, in the log before the next is asked. Programs are
    executed when everything has been answered, so that the server is not timed while they take the processor. What is
    ``kept`` is not done again.
    """
    programs = sum(task.grader == "python" for task in tasks)
    if programs and not proof:
        text = f"{programs} python tasks are asked but not executed; to run the programs, leave out --sandbox none"
        writer.emit(Note(level="warning", text=text))
    exam = Exam(
        tasks,
        config.samples,
        writer,
        decoding=_decoding(config, tasks),
        kept=kept.answers,
        packages=proof.packages if proof else "",
    )
    headers = {"x-shosei-purpose": "exam", **config.headers}
    async with Client(url, timeout_s=config.timeout_s, headers=headers) as client:
        await exam.closed(ServedModel(client, config), config.concurrency)
    if proof:
        await run_programs(config, proof, exam, writer, kept.executed)
    return exam.counts


def _decoding(config: ExamConfig, tasks: Sequence[Task]) -> dict[str, object]:
    """What decides, beside the tasks and the model, on which answers are graded."""
    limits = {config.max_tokens} if config.max_tokens else {task.max_tokens for task in tasks}
    return {
        # A number that was a setting's default once: with another, scores of old logs could not be compared by task.
        "max_tokens": max(_LONGEST_TASK, *limits),
        "temperature": config.temperature,
        **({} if config.prompting == "chat" else {"prompting": config.prompting}),
        **({"asked_for": config.max_tokens} if config.max_tokens else {}),
        **({"extra_body": config.extra_body} if config.extra_body else {}),
    }
