"""An agent system as the subject of an exam, with the gateway between it and the model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from shosei.errors import InputError
from shosei.exam.counts import Counts
from shosei.exam.exam import Answer, Exam
from shosei.exam.resume import NOTHING, Kept
from shosei.files import write_atomic
from shosei.gateway import Gateway, Spent
from shosei.log import Window, Workflow, Writer
from shosei.systems.command_grader import CommandGrader, RunningGrader
from shosei.systems.config import AgentsConfig
from shosei.systems.job_channel import Outcome
from shosei.systems.running_system import RunningSystem
from shosei.systems.system import System
from shosei.systems.task_folder import TaskFolder, task_folder
from shosei.wire.client import Client
from shosei.wire.suite import Task
from shosei.wire.system import Assignment

_MODEL_FILE = "model.txt"  # of a recording: which model was asked


async def check(config: AgentsConfig, url: str, tasks: Sequence[Task]) -> AgentsConfig:
    """Make sure that the tasks can be given, and return the configuration with the served model's name filled in.

    ``tasks`` are those of ``judged_by_command``. Raises InputError: no OpenAI-compatible server at ``url``, or no model
    in it; programs to be judged; two tasks of one name; a recording that names no model. Call it before the run begins,
    so that a failed start leaves nothing in the log.
    """
    config.gateway()
    for task, count in Counter(task.id for task in tasks).items():
        if count > 1:
            raise InputError(f"{count} suites have a task with the id '{task}': give each suite a run of its own")
    if any(task.grader == "python" for task in tasks):
        raise InputError("programs are run by 'shosei exam' only: name suites without the grader 'python'")
    return config.model_copy(update={"model": await _model(config, url)})


async def _model(config: AgentsConfig, url: str) -> str:
    """The name of the model that is asked, or was asked when the answers were recorded."""
    if config.replay:
        return config.model or _recorded_model(config.replay)
    async with Client(url) as client:
        return await client.model(config.model, "--model NAME")


def _recorded_model(recording: Path) -> str:
    try:
        return (recording / _MODEL_FILE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"{recording} is no recording of 'shosei agents run --record', which has a file {_MODEL_FILE}: "
            "name another folder, or say which model it is by --model NAME"
        ) from None


async def run_agents(
    config: AgentsConfig,
    system: System,
    url: str,
    tasks: Sequence[Task],
    writer: Writer,
    output: Path,
    kept: Kept = NOTHING,
    grader: CommandGrader | None = None,
) -> Counts:
    """Give ``system`` each task ``config.samples`` times, with what ``check`` returned; return counts by suite.

    Each becomes a ``workflow`` and a raw ``score`` event, in the log before the next is given; one that fails does so
    alone. What is ``kept`` is not given again. ``output`` takes what the tasks print. A ``grader``
    judges each answer before the next task is given. Raises KeyboardInterrupt when
    told to stop: what has ended is in the log. Raises MeasurementInvalid: the system does not start.
    """
    decoding = {"grade_with": config.grade_with} if config.grade_with else {}
    exam = Exam(tasks, config.samples, writer, decoding=decoding, kept=kept.answers)
    if not exam.ended:
        await _give(exam, config, system, url, writer, output, grader)
    return exam.counts


async def _give(
    exam: Exam,
    config: AgentsConfig,
    system: System,
    url: str,
    writer: Writer,
    output: Path,
    grader: CommandGrader | None,
) -> None:
    under_way: set[str] = set()  # a call of no such task would be on nobody's budget

    async with (
        Gateway(url, writer, config.gateway(), lambda name: running.kill(name), under_way.__contains__) as gateway,
        RunningGrader(grader, writer, output) if grader else nullcontext() as judge,
    ):
        if config.record:
            write_atomic(config.record / _MODEL_FILE, config.model.encode())
        async with RunningSystem(system, writer, output, config.settings) as running:
            kept_in = output.with_name("tasks") if config.keep_folders else None
            subject = MeteredSystem(running, gateway, system.name, config, under_way, kept_in, judge)
            begin_ns = time.monotonic_ns()
            try:
                if config.rate:
                    await exam.open(subject, config.rate, config.seed)
                else:
                    await exam.closed(subject, config.concurrency)
            finally:
                writer.emit(Window(name="steady", begin_ns=begin_ns, end_ns=time.monotonic_ns()))
            if running.interrupted:
                raise running.interruption


@dataclass(frozen=True)
class MeteredSystem:
    """A running system with the gateway between it and the model: it gets each task, and its calls are counted."""

    running: RunningSystem
    gateway: Gateway
    name: str
    config: AgentsConfig
    under_way: set[str]
    folders: Path | None  # where those of tasks are kept
    grader: RunningGrader | None

    async def answer(self, task: Task, sample: int, due_ns: int) -> Answer:
        name, begin_ns = f"{task.id}#{sample}", time.monotonic_ns()
        async with task_folder(name, self.folders) as folder:
            given = self._assignment(task, folder)
            outcome = await self._run(name, given, folder)
            end_ns, spent = time.monotonic_ns(), self.gateway.spent(name)
            outcome = _final_outcome(outcome, spent, may_be_silent=self.grader is not None)
            if self.grader and not outcome.error:
                await self.grader.judge(task, sample, given, outcome.answer)
        workflow = Workflow(
            system=self.name,
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
        return Answer(workflow, outcome.answer, outcome.message)

    def _assignment(self, task: Task, folder: TaskFolder) -> Assignment:
        return Assignment(
            id=task.id,
            question="\n\n".join(message["content"] for message in task.messages),
            lang=task.lang,
            model=self.config.model,
            messages=task.messages,
            folder=str(folder.files),
        )

    async def _run(self, name: str, given: Assignment, folder: TaskFolder) -> Outcome:
        self.under_way.add(name)
        try:
            return await self.running.run(name, given, self.gateway.base_url(name), folder, self.config.seconds)
        finally:
            self.under_way.discard(name)


def _final_outcome(outcome: Outcome, spent: Spent, *, may_be_silent: bool) -> Outcome:
    """What became of a task, by what it said and by what the gateway saw of it; what it did may be its answer."""
    if spent.exceeded:
        return Outcome(error="budget", message=spent.exceeded)
    if outcome.error:
        return outcome
    if not spent.calls:
        return Outcome(error="unused endpoint", message="it made no call to the base URL that it was given")
    if not (may_be_silent or outcome.answer.strip()):
        return Outcome(error="no answer", message="its answer is empty")
    return outcome
