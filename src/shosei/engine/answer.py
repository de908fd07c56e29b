"""Greedy answers to a list of prompts, in this process: validation while training."""

from __future__ import annotations

from collections.abc import Sequence

from shosei.engine.engine import Engine
from shosei.engine.protocol import Failed, Submit
from shosei.errors import InputError
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec


def answer_greedily(
    model: Transformer,
    spec: ModelSpec,
    prompts: list[list[int]],
    max_new_tokens: list[int],
    stop_ids: Sequence[int],
    slots: int = 64,
) -> list[list[int]]:
    """The answer to each prompt, in order, at most ``max_new_tokens[i]`` tokens and without the stop id.

    The weights are read, never changed. Raises InputError for a prompt that the model cannot take.
    """
    if not prompts:
        return []
    longest = max(len(prompt) + limit for prompt, limit in zip(prompts, max_new_tokens, strict=True))
    engine = Engine(model, spec, min(slots, len(prompts)), min(longest, spec.context_length))
    for number, (prompt, limit) in enumerate(zip(prompts, max_new_tokens, strict=True)):
        engine.submit(Submit(number, prompt, limit, stop_ids=list(stop_ids)))
    answers: list[list[int]] = [[] for _ in prompts]
    while engine.busy:
        for event in engine.step():
            if isinstance(event, Failed):
                raise InputError(f"prompt {event.id}: {event.message}")
            if event.finish != "stop":
                answers[event.id].append(event.token)
    return answers
