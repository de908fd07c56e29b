"""What a server and a file of questions are, told before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shosei.cli.common import say
from shosei.errors import InputError
from shosei.quantity import NS_PER_S

if TYPE_CHECKING:
    from shosei.exam import ExamConfig
    from shosei.wire.suite import Task

_REMEDIES: dict[str | int | None, str] = {
    "context limit": "; --set exam.max_tokens=64 asks for shorter answers",
    401: "; set OPENAI_API_KEY to its key",
    403: "; set OPENAI_API_KEY to its key",
    404: "; --model NAME asks another model",
}
_WIDTH = 60  # characters of a question or an answer that are shown


def show(questions: Path, tasks: Sequence[Task], unused: Sequence[str]) -> None:
    """Say how the first questions were understood, and which columns of theirs are not used."""
    say(f"questions   {len(tasks)} in {questions}; the first, with truth and grader:")
    for task in tasks[:3]:
        say(f"            {_short(task.question)} → {_short(task.truth)} ({task.grader}, {task.lang})")
    if unused:
        say(f"            columns not used: {', '.join(unused)}")


async def check(url: str, exam: ExamConfig, tasks: Sequence[Task], *, usage: bool) -> tuple[str, float, bool]:
    """Ask a question, then one streamed, and say what came back: model, seconds that an answer took, if it streams.

    ``usage``: the stream is asked for its count of tokens.

    Raises InputError: no server at ``url``, no model in it, or a question that it does not answer.
    """
    from shosei.exam.prompting import request
    from shosei.wire.client import Client
    from shosei.wire.refusal import settings_wanted

    async with Client(url, timeout_s=exam.timeout_s, headers=exam.headers) as client:
        model = await client.model(exam.model, "--model NAME")
        try:
            served = list(await client.models())
        except InputError:  # a server need not list what it serves where --model names it
            served = [model]
        exam = exam.model_copy(update={"model": model})
        others = f"; it lists {len(served)}, choose with --model: {_short(', '.join(served))}"
        say(f"server      {url}, model {exam.model}{others * (served != [exam.model])}")
        path, body = request(tasks[0], exam)
        reply = await client.ask(path, body)
        if reply.error:
            refusal = f"{reply.error}, status {reply.status}: {reply.message}" if reply.status else reply.error
            remedy = settings_wanted(reply.message, "exam", "load")
            remedy = remedy or _REMEDIES.get(reply.error) or _REMEDIES.get(reply.status, "")
            raise InputError(f"{url} did not answer a question ({refusal}){remedy}")
        cut = f" (cut off after {body[exam.max_tokens_field]} tokens)" * (reply.finish_reason == "length")
        say(f"asked       {_short(tasks[0].asked)}\nanswered    {_short(reply.text)}{cut}")
        path, body = request(tasks[-1], exam)
        counted = {"stream_options": {"include_usage": True}} if usage else {}
        streamed = await client.ask(path, body | {"stream": True, **counted})
    if streamed.error:
        why = f"{streamed.error}: {streamed.message}{settings_wanted(streamed.message, 'load')}"
        say(f"streamed    no ({why}), so that no time to a first token is measured")
    else:
        reply = streamed  # of the two, the one that finds the model in memory
        counts = "with token counts" if streamed.tokens_out else "without token counts: no tokens a second are measured"
        say(f"streamed    yes, {counts}")
    return exam.model, ((reply.done_ns or 0) - (reply.sent_ns or 0)) / NS_PER_S, not streamed.error


def _short(text: str) -> str:
    """The text on one line, as much of it as is shown."""
    line = " ".join(text.split())
    return f"{line[: _WIDTH - 1]}…" if len(line) > _WIDTH else line
