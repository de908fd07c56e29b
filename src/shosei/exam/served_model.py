"""A model behind an OpenAI-compatible endpoint as the subject of an exam."""

from __future__ import annotations

from collections.abc import Sequence

from shosei.errors import InputError
from shosei.exam.config import ExamConfig
from shosei.exam.counts import Counts, OnProgress
from shosei.exam.exam import Answer, Exam
from shosei.exam.programs import run_programs
from shosei.exam.prompting import request
from shosei.exam.resume import NOTHING, Kept
from shosei.log import Note, Writer
from shosei.sandbox.proof import Proof, choose
from shosei.wire.client import Client
from shosei.wire.suite import Task

_HEADERS = {"x-shosei-purpose": "exam"}


class ServedModel:
    """Answers each task with one request."""

    def __init__(self, client: Client, config: ExamConfig) -> None:
        self._client, self._config = client, config

    async def answer(self, task: Task, sample: int, due_ns: int) -> Answer:
        reply = await self._client.ask(*request(task, self._config), scheduled_ns=due_ns)
        return Answer(reply.event("exam", task=task.id), reply.text, reply.message, reply.id)


async def check(config: ExamConfig, url: str, tasks: Sequence[Task]) -> tuple[ExamConfig, Proof | None]:
    """Make sure that the exam can begin: the configuration with the model's and the sandbox's names, and its proof.

    No proof where there are no programs to run. Raises InputError: no server at ``url``, or no model in it; no sandbox
    holds on this machine. Call it before the run begins, so that a failed start leaves nothing in the log.
    """
    config = config.model_copy(update={"model": await name_of_model(url, config.model, "exam", config.timeout_s)})
    if not config.executes or not any(task.grader == "python" for task in tasks):
        return config, None
    proof = await choose(config)
    return config.model_copy(update={"sandbox": proof.backend}), proof


async def name_of_model(url: str, name: str, section: str, timeout_s: float = 120.0) -> str:
    """``name``, or else the first that the server lists. Raises InputError: no server at ``url``, or no model in it."""
    async with Client(url, timeout_s=timeout_s) as client:
        served = await client.models()
    if not served and not name:
        raise InputError(f"{url} lists no model: name one with --set {section}.model=NAME")
    return name or served[0]


async def run_exam(
    config: ExamConfig,
    proof: Proof | None,
    url: str,
    tasks: Sequence[Task],
    writer: Writer,
    progress: OnProgress = lambda counts: None,
    kept: Kept = NOTHING,
) -> Counts:
    """Ask each task ``config.samples`` times, with what ``check`` returned; return counts by suite.

    Each answer becomes a ``request`` and a raw ``score`` event, in the log before the next is asked. Programs are
    executed when everything has been answered, so that the server is not timed while they take the processor. What is
    ``kept`` is not done again. ``progress`` is called after each answer and after each program.
    """
    programs = sum(task.grader == "python" for task in tasks)
    if programs and not proof:
        text = f"{programs} python tasks are asked but not executed; to run the programs, leave out --sandbox none"
        writer.emit(Note(level="warning", text=text))
    exam = Exam(tasks, config.samples, writer, progress, decoding=_decoding(config), kept=kept.answers)
    async with Client(url, timeout_s=config.timeout_s, headers=_HEADERS) as client:
        await exam.closed(ServedModel(client, config), config.concurrency)
    if proof:
        await run_programs(config, proof, exam, writer, progress, kept.executed)
    return exam.counts


def _decoding(config: ExamConfig) -> dict[str, object]:
    """What decides, beside the tasks and the model, on which answers are graded."""
    return {
        "max_tokens": config.max_tokens,
        "temperature": config.temperature,
        **({} if config.prompting == "chat" else {"prompting": config.prompting}),
    }
