"""Gives a system every task, with the gateway between it and the model, and writes down what became of each."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shosei.errors import InputError
from shosei.gateway import Gateway, Spent
from shosei.log import Score, Window, Workflow, Writer
from shosei.metrics.grading.programs import EXTRACTION_VERSION
from shosei.systems.config import AgentsConfig
from shosei.systems.hosted import Hosted, Outcome
from shosei.systems.resume import Key
from shosei.systems.system import System
from shosei.wire.client import Client
from shosei.wire.suite import Task, identities

_SECOND = 1_000_000_000
_DECODING = {"extraction": EXTRACTION_VERSION}  # what decides on grades, beside tasks and system


@dataclass
class Counts:
    """How far a measurement is. Of the ``done`` tasks, ``kept`` had ended before an interruption."""

    total: int
    done: int = 0
    kept: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    first_error: str = ""

    def add(self, ended: Workflow) -> None:
        self.done += 1
        if ended.error:
            self.errors[ended.error] += 1
            self.first_error = self.first_error or f"{ended.error}: {ended.message}"


Work = deque[tuple[Task, int]]  # tasks, each with the number of its sample
Progress = Callable[[Counts], None]


async def check(config: AgentsConfig, url: str, tasks: Sequence[Task]) -> AgentsConfig:
    """Make sure that the tasks can be given, and return the configuration with the served model's name filled in.

    Raises InputError: no OpenAI-compatible server at ``url``, or no model in it; programs to be judged, or two tasks of
    one name. Call it before the run begins, so that a failed start leaves nothing in the log.
    """
    config.gateway()
    for task, count in Counter(task.id for task in tasks).items():
        if count > 1:
            raise InputError(f"{count} suites have a task with the id '{task}': give each suite a run of its own")
    if any(task.grader == "python" for task in tasks):
        raise InputError("programs are run by 'shosei exam' only: name suites without the grader 'python'")
    async with Client(url) as client:
        served = await client.models()
    if not served and not config.model:
        raise InputError(f"{url} lists no model: name one with --set agents.model=NAME")
    return config.model_copy(update={"model": config.model or served[0]})


async def run_agents(
    config: AgentsConfig,
    system: System,
    url: str,
    tasks: Sequence[Task],
    writer: Writer,
    output: Path,
    progress: Progress = lambda counts: None,
    done: Mapping[Key, Workflow] | None = None,
) -> Counts:
    """Give ``system`` each task ``config.samples`` times, with what ``check`` returned; return the counts.

    Each becomes a ``workflow`` and a raw ``score`` event, in the log before the next is given; one that fails does so
    alone. What is ``done`` is not given again. ``output`` takes what the tasks print. Raises KeyboardInterrupt when
    told to stop: what has ended is in the log. Raises MeasurementInvalid: the system does not start.
    """
    done = done or {}
    work = [(task, sample) for sample in range(config.samples) for task in tasks]
    left = deque((task, sample) for task, sample in work if (task.suite, task.id, sample) not in done)
    counts = Counts(len(work))
    for event in done.values():
        counts.add(event)
    counts.kept = counts.done
    if left:
        await _Harness(config, system, writer, counts, progress, identities(tasks, _DECODING)).run(url, left, output)
    return counts


class _Harness:
    """A gateway and a hosted system, and the tasks that are given to it."""

    def __init__(
        self,
        config: AgentsConfig,
        system: System,
        writer: Writer,
        counts: Counts,
        progress: Progress,
        identity: Mapping[str, str],
    ) -> None:
        self._config, self._system, self._writer = config, system, writer
        self._counts, self._progress, self._identity = counts, progress, identity
        self._under_way: set[str] = set()  # a call of no such task would be on nobody's budget

    async def run(self, url: str, left: Work, output: Path) -> None:
        config, is_open = self._config.gateway(), self._under_way.__contains__
        async with Gateway(url, self._writer, config, self._over_budget, is_open) as self._gateway:
            async with Hosted(self._system, self._writer, output) as self._hosted:
                begin_ns = time.monotonic_ns()
                try:
                    await (self._open(left, begin_ns) if self._config.rate else self._closed(left))
                finally:
                    self._writer.emit(Window(name="steady", begin_ns=begin_ns, end_ns=time.monotonic_ns()))
                if self._hosted.interrupted:
                    raise KeyboardInterrupt

    def _over_budget(self, name: str) -> None:
        self._hosted.kill(name)

    async def _closed(self, left: Work) -> None:
        async def occupy() -> None:
            """Give a task, wait for its end, give the next."""
            while left:
                task, sample = left.popleft()
                await self._give(task, sample, time.monotonic_ns())

        async with asyncio.TaskGroup() as group:
            for _ in range(self._config.concurrency):
                group.create_task(occupy())

    async def _open(self, left: Work, begin_ns: int) -> None:
        chance, due_ns = random.Random(self._config.seed), begin_ns
        async with asyncio.TaskGroup() as group:
            while left and not self._hosted.interrupted:
                due_ns += int(chance.expovariate(self._config.rate or 1.0) * _SECOND)
                await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) / _SECOND))
                group.create_task(self._give(*left.popleft(), due_ns))

    async def _give(self, task: Task, sample: int, due_ns: int) -> None:
        name, begin_ns = f"{task.id}#{sample}", time.monotonic_ns()
        question = "\n\n".join(message["content"] for message in task.messages)
        fields = {"id": task.id, "question": question, "lang": task.lang, "model": self._config.model}
        self._under_way.add(name)
        try:
            outcome = await self._hosted.run(name, fields, self._gateway.base_url(name), self._config.seconds)
        finally:
            self._under_way.discard(name)
        end_ns, spent = time.monotonic_ns(), self._gateway.spent(name)
        outcome = _judged(outcome, spent)
        score = Score(
            suite=task.suite,
            item=task.id,
            cluster=task.cluster,
            grader=task.grader,
            truth=task.truth,
            answer=outcome.answer,
            sample=sample,
            lang=task.lang,
            error=outcome.error,
            task=name,
            question=task.question,
            references=task.references,
            identity=self._identity[task.suite],
        )
        workflow = Workflow(
            system=self._system.name,
            suite=task.suite,
            item=task.id,
            sample=sample,
            cluster=task.cluster,
            scheduled_ns=due_ns,
            begin_ns=begin_ns,
            end_ns=end_ns,
            error=outcome.error,
            message=outcome.message,
            calls=spent.calls,
            tokens_in=spent.tokens_in,
            tokens_out=spent.tokens_out,
            task=name,
        )
        self._counts.add(workflow)
        self._writer.emit(score)
        self._writer.emit(workflow)
        self._writer.flush()
        self._progress(self._counts)


def _judged(outcome: Outcome, spent: Spent) -> Outcome:
    """What became of a task, by what it said and by what the gateway saw of it."""
    if spent.exceeded:
        return Outcome(error="budget", message=spent.exceeded)
    if outcome.error:
        return outcome
    if not spent.calls:
        return Outcome(error="unused endpoint", message="it made no call to the base URL that it was given")
    if not outcome.answer.strip():
        return Outcome(error="no answer", message="its answer is empty")
    return outcome
