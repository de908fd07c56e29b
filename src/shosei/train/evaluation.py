"""What is asked of a model at an epoch's end: answers to the frozen validation set, and how well it foretells text that
it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch

from shosei.data.packing import Packed
from shosei.log import HeldOut, Score, Writer
from shosei.model.transformer import Transformer
from shosei.progress import progress
from shosei.spec import ModelSpec
from shosei.text import ChatFormat
from shosei.train.loss import answer_loss
from shosei.wire.suite import Task, identities


class Decode(Protocol):
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
    decode: Decode,
    writer: Writer,
    epoch: int,
) -> None:
    """Answer every task and emit one raw ``score`` each. Nothing is graded here."""
    prompts = [chat.render(task.messages) for task in tasks]
    with progress(f"answering {len(tasks):,} validation tasks"):
        answers = decode(model, spec, prompts, [task.max_tokens for task in tasks], chat.tokenizer.end_ids)
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
                choices=task.choices,
                identity=identity[task.suite],
            )
        )


@torch.no_grad()
def held_out_loss(
    model: Transformer, text: Packed, batch_tokens: int, dtype: torch.dtype, *, epoch: int, step: int
) -> HeldOut:
    """The cross-entropy on ``text``, summed over its predictions, computed as the training loss is."""
    where = next(model.parameters()).device
    nats, tokens = 0.0, 0
    with progress("evaluating on held-out text", len(text), "rows") as work:
        for batch in work.over(text.in_order(batch_tokens), lambda batch: len(batch.ids)):
            ids, targets = torch.from_numpy(batch.ids).to(where), torch.from_numpy(batch.targets).to(where)
            mean = answer_loss(model, ids, targets, dtype)
            nats += mean.item() * batch.tokens
            tokens += batch.tokens
    finite = nats if math.isfinite(nats) else None
    return HeldOut(epoch=epoch, step=step, nats=finite, tokens=tokens, characters=text.characters)


def rates(loss: HeldOut) -> dict[str, float]:
    """Nats a token, and bits a character: these alone compare across tokenizers. Empty where the loss is not finite."""
    if loss.nats is None:
        return {}
    return {
        "nats_per_token": loss.nats / loss.tokens,
        "bits_per_character": loss.nats / math.log(2) / loss.characters,
    }
