"""What this server does not do is refused, never quietly left out."""

from __future__ import annotations

from typing import Any

from shosei.serve.errors import ApiError
from shosei.wire.openai import ChatRequest, CompletionRequest, Request

MAX_STOPS = 4  # as OpenAI's API has it
MAX_STOP_CHARACTERS = 256

# Fields of OpenAI's API that would change the answer, and are not known to ``wire.openai``.
_UNSUPPORTED = (
    "audio", "best_of", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "prediction",
    "presence_penalty", "response_format", "suffix", "tools", "top_logprobs",
)  # fmt: skip
_NO_EFFECT: dict[str, Any] = {"best_of": 1, "response_format": {"type": "text"}}

# OpenAI's names for roles of the chat format.
_ROLES = {"developer": "system", "tool": "environment"}


def check(request: Request) -> None:
    """Raise ApiError for what both kinds of request may hold and this server cannot do."""
    extra = request.model_extra or {}
    for name in _UNSUPPORTED:
        if extra.get(name) and extra[name] != _NO_EFFECT.get(name):
            raise ApiError(400, f"{name} is not supported", param=name)
    if len(request.stops) > MAX_STOPS or not all(0 < len(stop) <= MAX_STOP_CHARACTERS for stop in request.stops):
        raise ApiError(400, f"stop: at most {MAX_STOPS} texts of 1 to {MAX_STOP_CHARACTERS} characters", param="stop")
    if request.seed is not None and not -(2**63) <= request.seed < 2**63:
        raise ApiError(400, "seed must fit into 64 bits", param="seed")


def messages(request: ChatRequest) -> list[dict[str, str]]:
    """The conversation in the chat format's own roles. Raises ApiError."""
    for turn in request.messages:
        check_unicode(turn.text, "messages")
    return [{"role": _ROLES.get(turn.role, turn.role), "content": turn.text} for turn in request.messages]


def prompt(request: CompletionRequest) -> str:
    """The one text to continue. Raises ApiError."""
    if request.echo:
        raise ApiError(400, "echo is not supported", param="echo")
    prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    if len(prompts) != 1 or not prompts[0]:
        raise ApiError(400, "prompt must be one text that is not empty", param="prompt")
    check_unicode(prompts[0], "prompt")
    return prompts[0]


def check_unicode(text: str, param: str) -> None:
    """Raise ApiError if ``text`` cannot be written down."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ApiError(400, "a lone surrogate is no character", param=param) from None
