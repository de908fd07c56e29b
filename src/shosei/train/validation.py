"""Greedy answers to the frozen validation set, as raw ``score`` events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shosei.log import Score, Writer
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec
from shosei.text import ChatFormat
from shosei.wire.suite import Task, identities


class Answer(Protocol):
    """Greedy decoding, injected: the ids that ``model`` says after each of ``prompts``, without the stop id."""

    def __call__(
        self,
        model: Transformer,
        spec: ModelSpec,
        prompts: list[list[int]],
        max_new_tokens: list[int],
        stop_ids: Sequence[int],
    ) -> list[list[int]]: ...


def validate(
    model: Transformer,
    spec: ModelSpec,
    chat: ChatFormat,
    tasks: list[Task],
    answer: Answer,
    writer: Writer,
    epoch: int,
) -> None:
    """Answer every task and emit one ``score`` each. Nothing is graded here."""
    prompts = [chat.render(task.messages) for task in tasks]
    answers = answer(model, spec, prompts, [task.max_tokens for task in tasks], chat.tokenizer.end_ids)
    identity = identities(tasks, {"temperature": 0.0})
    for task, ids in zip(tasks, answers, strict=True):
        writer.emit(
            Score(
                suite=task.suite,
                item=task.id,
                cluster=task.cluster,
                grader=task.grader,
                truth=task.truth,
                answer=chat.tokenizer.decode(ids),
                lang=task.lang,
                epoch=epoch,
                phase="training",
                question=task.question,
                references=task.references,
                identity=identity[task.suite],
            )
        )
