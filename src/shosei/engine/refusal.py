"""Why a request cannot run, if so. Whatever passes here cannot disturb the requests beside it."""

from __future__ import annotations

import math
from collections.abc import Collection

from shosei.engine.protocol import MAX_FRAME_BYTES, Failed, LogitRules, Submit, most_score_bytes
from shosei.spec import ModelSpec


def refusal(request: Submit, spec: ModelSpec, max_length: int) -> Failed | None:
    """The failure of a request that an engine of ``max_length`` tokens cannot answer; None: it can."""
    if len(request.prompt) >= max_length:
        message = f"the prompt has {len(request.prompt)} tokens; with one to answer, {max_length} fit the context"
        return Failed(request.id, message, "context_length_exceeded")
    if not request.prompt or not _are_tokens(request.prompt, spec.vocab_size):
        problem = f"the prompt must be one token or more, each from 0 to {spec.vocab_size - 1}"
    elif request.score_prompt and len(request.prompt) * most_score_bytes(request.alternatives or 0) > MAX_FRAME_BYTES:
        problem = "the scores of so long a prompt do not fit a message: send less of it, or a smaller logprobs"
    elif request.max_tokens < 1:
        problem = "max_tokens must be at least 1"
    elif not 0 <= request.temperature < float("inf"):
        problem = "temperature must be 0 (greedy) or a positive number"
    elif not 0 < request.top_p <= 1:
        problem = "top_p must be above 0 and at most 1"
    elif request.top_k < 0 or not 0 <= request.min_p <= 1:
        problem = "top_k must be 0 (all) or a number of tokens, and min_p from 0 to 1"
    elif request.alternatives is not None and request.alternatives < 0:
        problem = "logprobs must be 0 or a number of tokens"
    elif request.rules and not _are_sound(request.rules, spec.vocab_size):
        problem = (
            f"repetition_penalty must be positive, penalties finite, biased tokens from 0 to {spec.vocab_size - 1}"
        )
    else:
        return None
    return Failed(request.id, problem, "invalid_request")


def _are_sound(rules: LogitRules, vocab_size: int) -> bool:
    numbers = [rules.repetition_penalty, rules.presence_penalty, rules.frequency_penalty, *rules.logit_bias.values()]
    return (
        rules.repetition_penalty > 0 and all(map(math.isfinite, numbers)) and _are_tokens(rules.logit_bias, vocab_size)
    )


def _are_tokens(ids: Collection[int], vocab_size: int) -> bool:
    return not ids or (min(ids) >= 0 and max(ids) < vocab_size)
