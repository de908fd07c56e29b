"""What is read of an answer: a chat completion, or a chunk of one, as loosely as servers word it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Tokens = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)] | None


# What is decoded from JSON has no cycles, so the garbage collector need not visit it (gc=False).
class LooseFunction(msgspec.Struct, gc=False):
    """What a call of a tool says, or a piece of that."""

    name: str | None = None
    arguments: Any = None


class LooseCall(msgspec.Struct, gc=False):
    """A call of a tool, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: LooseFunction | None = None


class LooseMessage(msgspec.Struct, gc=False):
    """What the model says, or a piece of it."""

    content: Any = None  # text, or a list of parts
    reasoning_content: Any = None  # DeepSeek's and vLLM's name of a model's thoughts
    reasoning: Any = None  # OpenRouter's, and newer vLLM's
    refusal: Any = None
    tool_calls: list[LooseCall] | None = None
    function_call: LooseFunction | None = None  # what tool calls were before there could be several


class LooseChoice(msgspec.Struct, gc=False):
    """One of the answers that were asked for."""

    index: int | None = 0
    message: LooseMessage | None = None
    delta: LooseMessage | None = None
    text: Any = None
    finish_reason: Any = None


class CachedTokens(msgspec.Struct, gc=False):
    """Of a prompt's tokens, those that the server had read before."""

    cached_tokens: Tokens = None


class LooseUsage(msgspec.Struct, gc=False):
    """Tokens as the server counts them."""

    prompt_tokens: Tokens = None
    completion_tokens: Tokens = None
    prompt_tokens_details: CachedTokens | None = None


class AnswerBody(msgspec.Struct, gc=False):
    """What is read of an answer, or of a chunk of one. The rest, which servers fill as they like, is skipped."""

    id: Any = None
    choices: list[LooseChoice] | None = None
    usage: LooseUsage | None = None
    error: Any = None
