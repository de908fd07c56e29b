"""Asks every task and writes down what came back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from shosei.errors import InputError
from shosei.exam.config import ExamConfig
from shosei.exam.runner import execute, prove
from shosei.log import Exec, Note, Score, Writer
from shosei.metrics.accuracy.grading import EXTRACTION_VERSION, extract_code
from shosei.wire.client import Client, Reply
from shosei.wire.suite import Task, identities

PROGRAMS_AT_ONCE = 2


class SuiteCount(msgspec.Struct):
    """How far one suite is. Answers: tasks × samples. ``failed`` of the ``done`` have no answer.

    ``programs`` of the answers are to be executed, once all suites' answers are there.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    programs: int = 0
    executed: int = 0
    first_error: str = ""

    @property
    def answered(self) -> int:
        return self.done - self.failed


Progress = Callable[[dict[str, SuiteCount]], None]


async def check(config: ExamConfig, url: str) -> ExamConfig:
    """Make sure that the exam can begin, and return the configuration with the served model's name filled in.

    Raises InputError: no server at ``url``, or no model in it; the sandbox does not work on this machine. Call it
    before the run begins, so that a failed start leaves nothing in the log.
    """
    async with Client(url, timeout_s=config.timeout_s) as client:
        served = await client.models()
    if not served and not config.model:
        raise InputError(f"{url} lists no model: name one with --set exam.model=NAME")
    if config.executes:
        await prove(config)
    return config.model_copy(update={"model": config.model or served[0]})


async def run_exam(
    config: ExamConfig, url: str, tasks: Sequence[Task], writer: Writer, progress: Progress = lambda counts: None
) -> dict[str, SuiteCount]:
    """Ask each task ``config.samples`` times, with a configuration from ``check``; return counts by suite.

    Each answer becomes a ``request`` and a raw ``score`` event as soon as it is there. Programs are executed when
    everything has been answered, so that the server is not timed while they take the processor; a program's ``score``
    follows its ``exec`` event, so that an interruption leaves no program without its outcome. ``progress`` is called
    after each answer and after each program.
    """
    counts: dict[str, SuiteCount] = {}
    for task in tasks:
        counts.setdefault(task.suite, SuiteCount()).total += config.samples
    asked = sum(task.grader == "python" for task in tasks)
    if asked and not config.executes:
        text = f"{asked} python tasks are asked but not executed; to run the programs, add --sandbox rlimits"
        writer.emit(Note(level="warning", text=text))
    identity = identities(tasks, _decoding(config))
    pending = iter([(task, sample) for sample in range(config.samples) for task in tasks])
    programs: deque[tuple[Task, int, Reply]] = deque()

    async def ask(client: Client) -> None:
        for task, sample in pending:
            reply = await client.ask("/v1/chat/completions", _body(task, config))
            writer.emit(reply.event("exam", task=task.id))
            count = counts[task.suite]
            count.done += 1
            count.failed += bool(reply.error)
            if reply.error and not count.first_error:
                count.first_error = f"{reply.error}: {reply.message}".rstrip(": ")
            if task.grader == "python" and config.executes and not reply.error:
                count.programs += 1
                programs.append((task, sample, reply))
            else:
                writer.emit(_score(task, sample, reply, identity))
            progress(counts)

    async def run_programs() -> None:
        while programs:
            task, sample, reply = programs.popleft()
            writer.emit(await _execute(task, sample, reply.text, config))
            writer.emit(_score(task, sample, reply, identity))
            counts[task.suite].executed += 1
            progress(counts)

    headers = {"x-shosei-purpose": "exam"}
    async with Client(url, timeout_s=config.timeout_s, headers=headers) as client:
        async with asyncio.TaskGroup() as group:
            for _ in range(config.concurrency):
                group.create_task(ask(client))
    async with asyncio.TaskGroup() as group:
        for _ in range(PROGRAMS_AT_ONCE):
            group.create_task(run_programs())
    return counts


def _body(task: Task, config: ExamConfig) -> dict[str, object]:
    return {
        "model": config.model,
        "messages": task.messages,
        "max_tokens": min(task.max_tokens, config.max_tokens),
        "temperature": config.temperature,
    }


def _decoding(config: ExamConfig) -> dict[str, object]:
    """What decides, beside the tasks and the model, on which answers are graded."""
    return {"max_tokens": config.max_tokens, "temperature": config.temperature, "extraction": EXTRACTION_VERSION}


def _score(task: Task, sample: int, reply: Reply, identity: Mapping[str, str]) -> Score:
    return Score(
        suite=task.suite, item=task.id, cluster=task.cluster, grader=task.grader, truth=task.truth, answer=reply.text,
        sample=sample, lang=task.lang, request=reply.id, error=reply.error, task=task.id,
        question=task.question, references=task.references, identity=identity[task.suite],
    )  # fmt: skip


async def _execute(task: Task, sample: int, answer: str, config: ExamConfig) -> Exec:
    execution = await execute(extract_code(answer), task, config)
    return Exec(
        suite=task.suite, item=task.id, sample=sample, backend=config.sandbox, level=config.sandbox, oracle="outside",
        outcome=execution.outcome, cpu_ns=execution.cpu_ns, task=task.id,
    )  # fmt: skip
