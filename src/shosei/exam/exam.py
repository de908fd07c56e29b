"""Puts every task to a subject, an endpoint or an agent system, and writes down what came back."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from shosei.exam.counts import SuiteCount, counts_of, summed
from shosei.exam.resume import SampleKey
from shosei.log import Request, Score, Workflow, Writer
from shosei.metrics.grading.programs import EXTRACTION_VERSION
from shosei.metrics.observed.answers import CUT
from shosei.progress import Progress, progress
from shosei.quantity import NS_PER_S
from shosei.wire.suite import Task, identities

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a subject says to a task, with the event that tells how it came to it, or that it failed."""

    event: Request | Workflow
    text: str = ""
    message: str = ""  # where it failed: the first words of why
    request: str = ""  # the id of the request that brought it
    finish_reason: str = ""
    reasoning: str = ""


class Subject(Protocol):
    """Whoever is examined."""

    async def answer(self, task: Task, sample: int, due_ns: int) -> Answer:
        """Do ``task``, which was due at monotonic ``due_ns``. A failure is an answer's error, never an exception.

        Raises CancelledError to end the exam: nothing more is asked.
        """
        ...


async def drain(pending: deque[T], concurrency: int, work: Callable[[T], Awaitable[None]]) -> None:
    """Do ``work`` for what is ``pending``, ``concurrency`` at a time, until nothing is."""

    async def occupy() -> None:
        while pending:
            await work(pending.popleft())

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(occupy())


class Exam:
    """Tasks × ``samples``, of which those in ``kept`` are answered.

    ``decoding`` is what decides on grades beside the tasks and the subject; ``packages`` decide on those of programs.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        samples: int,
        writer: Writer,
        *,
        decoding: Mapping[str, object],
        kept: Mapping[SampleKey, Score],
        packages: str = "",
    ) -> None:
        self.counts = counts_of(tasks, samples)
        self.answered: list[tuple[Task, Score]] = []
        self._writer, self._work = writer, Progress("asking")
        decoding = {**decoding, "extraction": EXTRACTION_VERSION}
        self._identity = identities(tasks, decoding)
        if packages:
            python = {task.suite for task in tasks if task.grader == "python"}
            programs = [task for task in tasks if task.suite in python]
            self._identity |= identities(programs, {**decoding, "packages": packages})
        self._pending: deque[tuple[Task, int]] = deque()
        for sample in range(samples):
            for task in tasks:
                if score := kept.get((task.suite, task.id, sample)):
                    self._count(task, score).kept += 1
                else:
                    self._pending.append((task, sample))

    @property
    def ended(self) -> bool:
        """Whether nothing is left to ask."""
        return not self._pending

    async def closed(self, subject: Subject, concurrency: int) -> None:
        """Ask what is left, ``concurrency`` tasks at a time."""

        async def ask(pending: tuple[Task, int]) -> None:
            await self._ask(subject, *pending, time.monotonic_ns())

        with self._shown():
            await drain(self._pending, concurrency, ask)

    async def open(self, subject: Subject, rate: float, seed: int) -> None:
        """Ask what is left as a Poisson process of ``rate`` a second, whether or not earlier tasks have ended."""
        arrivals, due_ns = random.Random(seed), time.monotonic_ns()
        with self._shown():
            async with asyncio.TaskGroup() as group:
                while self._pending:
                    task, sample = self._pending.popleft()
                    due_ns += int(arrivals.expovariate(rate) * NS_PER_S)
                    await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) / NS_PER_S))
                    group.create_task(self._ask(subject, task, sample, due_ns))

    async def _ask(self, subject: Subject, task: Task, sample: int, due_ns: int) -> None:
        try:
            answer = await subject.answer(task, sample, due_ns)
        except asyncio.CancelledError:
            self._pending.clear()
            raise
        score = self._score(task, sample, answer)
        self._writer.emit(answer.event)
        self._writer.emit(score)
        self._writer.flush()
        self._count(task, score, answer.message)
        self._work.advance()
        self._work.note = f"{summed(self.counts).failed} failed"

    @contextlib.contextmanager
    def _shown(self) -> Iterator[None]:
        count = summed(self.counts)
        with progress("asking", count.total, "answers", done=count.done) as self._work:
            yield

    def _count(self, task: Task, score: Score, message: str = "") -> SuiteCount:
        self.answered.append((task, score))
        count = self.counts[task.suite]
        count.end(score.error, message)
        count.cut += score.finish_reason == CUT
        return count

    def _score(self, task: Task, sample: int, answer: Answer) -> Score:
        return Score(
            suite=task.suite,
            item=task.id,
            cluster=task.cluster,
            grader=task.grader,
            truth=task.truth,
            answer=answer.text,
            sample=sample,
            lang=task.lang,
            request=answer.request,
            error=answer.event.error,
            task=answer.event.task,
            question=task.question,
            references=task.references,
            identity=self._identity[task.suite],
            finish_reason=answer.finish_reason,
            reasoning=answer.reasoning,
            choices=task.choices,
        )
