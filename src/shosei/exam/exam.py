"""Asks every task and writes down what came back."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from shosei.errors import InputError
from shosei.exam.config import ExamConfig
from shosei.exam.programs import Programs
from shosei.exam.prompting import request
from shosei.exam.resume import Done
from shosei.log import Note, Score, Writer
from shosei.metrics.grading.programs import EXTRACTION_VERSION
from shosei.sandbox.proof import Proof, choose
from shosei.wire.client import Client, Reply
from shosei.wire.suite import Task, identities

PROGRAMS_AT_ONCE = 2


class SuiteCount(msgspec.Struct):
    """How far one suite is. Answers: tasks × samples. ``failed`` of the ``done`` have no answer.

    ``kept`` of the ``done`` were answered before an interruption. ``programs`` of the answers are to be executed, once
    all suites' answers are there.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    kept: int = 0
    programs: int = 0
    executed: int = 0
    first_error: str = ""

    @property
    def answered(self) -> int:
        return self.done - self.failed


Counts = dict[str, SuiteCount]
Progress = Callable[[Counts], None]


async def check(config: ExamConfig, url: str, tasks: Sequence[Task]) -> tuple[ExamConfig, Proof | None]:
    """Make sure that the exam can begin: the configuration with the model's and the sandbox's names, and its proof.

    No proof where there are no programs to run. Raises InputError: no server at ``url``, or no model in it; no sandbox
    holds on this machine. Call it before the run begins, so that a failed start leaves nothing in the log.
    """
    async with Client(url, timeout_s=config.timeout_s) as client:
        served = await client.models()
    if not served and not config.model:
        raise InputError(f"{url} lists no model: name one with --set exam.model=NAME")
    config = config.model_copy(update={"model": config.model or served[0]})
    if not config.executes or not any(task.grader == "python" for task in tasks):
        return config, None
    proof = await choose(config)
    return config.model_copy(update={"sandbox": proof.backend}), proof


async def run_exam(
    config: ExamConfig,
    proof: Proof | None,
    url: str,
    tasks: Sequence[Task],
    writer: Writer,
    progress: Progress = lambda counts: None,
    done: Done | None = None,
) -> Counts:
    """Ask each task ``config.samples`` times, with what ``check`` returned; return counts by suite.

    Each answer becomes a ``request`` and a raw ``score`` event, in the log before the next is asked. Programs are
    executed when everything has been answered, so that the server is not timed while they take the processor. What is
    ``done`` is not done again. ``progress`` is called after each answer and after each program.
    """
    done = done or Done({}, set())
    counts: Counts = {}
    for task in tasks:
        counts.setdefault(task.suite, SuiteCount()).total += config.samples
    asked = sum(task.grader == "python" for task in tasks)
    if asked and not proof:
        text = f"{asked} python tasks are asked but not executed; to run the programs, leave out --sandbox none"
        writer.emit(Note(level="warning", text=text))
    identity = identities(tasks, _decoding(config))
    pending = deque((task, sample) for sample in range(config.samples) for task in tasks)
    answers: list[tuple[Task, Score]] = []

    def count(task: Task, score: Score, message: str = "") -> None:
        answers.append((task, score))
        of_suite = counts[task.suite]
        of_suite.done += 1
        of_suite.failed += bool(score.error)
        of_suite.programs += task.grader == "python" and proof is not None and not score.error
        if score.error and not of_suite.first_error:
            of_suite.first_error = f"{score.error}: {message}".rstrip(": ")
        progress(counts)

    async def ask(client: Client) -> None:
        while pending:
            task, sample = pending.popleft()
            kept = done.answers.get((task.suite, task.id, sample))
            if kept:
                counts[task.suite].kept += 1
                count(task, kept)
                continue
            reply = await client.ask(*request(task, config))
            score = _score(task, sample, reply, identity)
            writer.emit(reply.event("exam", task=task.id))
            writer.emit(msgspec.structs.replace(score))
            writer.flush()
            count(task, score, reply.message)

    headers = {"x-shosei-purpose": "exam"}
    async with Client(url, timeout_s=config.timeout_s, headers=headers) as client:
        async with asyncio.TaskGroup() as group:
            for _ in range(config.concurrency):
                group.create_task(ask(client))
    if proof:
        await _run_programs(config, proof, answers, writer, counts, progress, done)
    return counts


async def _run_programs(
    config: ExamConfig,
    proof: Proof,
    answers: Sequence[tuple[Task, Score]],
    writer: Writer,
    counts: Counts,
    progress: Progress,
    done: Done,
) -> None:
    pending = deque((task, score) for task, score in answers if task.grader == "python" and not score.error)
    async with contextlib.AsyncExitStack() as stack:
        programs = [
            await stack.enter_async_context(Programs(config, proof)) for _ in range(min(PROGRAMS_AT_ONCE, len(pending)))
        ]

        async def work(mine: Programs) -> None:
            while pending:
                task, score = pending.popleft()
                if (task.suite, task.id, score.sample) not in done.executed:
                    writer.emit(await mine.run(task, score.sample, score.answer))
                counts[task.suite].executed += 1
                progress(counts)

        async with asyncio.TaskGroup() as group:
            for each in programs:
                group.create_task(work(each))
    if programs and (broken := sorted(set().union(*(each.broken for each in programs)))):
        text = f"{len(broken)} tasks' own reference solutions do not pass their tests here: {', '.join(broken)}"
        writer.emit(Note(level="warning", text=text))


def _decoding(config: ExamConfig) -> dict[str, object]:
    """What decides, beside the tasks and the model, on which answers are graded."""
    return {
        "max_tokens": config.max_tokens,
        "temperature": config.temperature,
        "extraction": EXTRACTION_VERSION,
        **({} if config.prompting == "chat" else {"prompting": config.prompting}),
    }


def _score(task: Task, sample: int, reply: Reply, identity: Mapping[str, str]) -> Score:
    return Score(
        suite=task.suite,
        item=task.id,
        cluster=task.cluster,
        grader=task.grader,
        truth=task.truth,
        answer=reply.text,
        sample=sample,
        lang=task.lang,
        request=reply.id,
        error=reply.error,
        task=task.id,
        question=task.question,
        references=task.references,
        identity=identity[task.suite],
    )
