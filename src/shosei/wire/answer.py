"""What is read of an answer: a chat completion, or a chunk of one, as loosely as servers word it."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from shosei.wire.thoughts import said_in

_MOST_TOKENS = 1 << 53


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
    reasoning_text: Any = None  # GitHub Copilot's
    thinking: Any = None  # Ollama's, and some that pass Anthropic's on
    reasoning_details: Any = None  # OpenRouter's: a list of objects, of which some are encrypted
    thinking_blocks: Any = None  # LiteLLM's
    refusal: Any = None
    tool_calls: list[LooseCall] | None = None
    function_call: LooseFunction | None = None  # what tool calls were before there could be several

    @property
    def thoughts(self) -> Any:
        """What the model thinks beside its content, in whichever field and form."""
        return (
            self.reasoning_content
            or self.reasoning
            or self.reasoning_text
            or self.thinking
            or self.reasoning_details
            or self.thinking_blocks
        )


class LooseChoice(msgspec.Struct, gc=False):
    """One of the answers that were asked for."""

    index: int | None = 0
    message: LooseMessage | None = None
    delta: LooseMessage | None = None
    text: Any = None
    finish_reason: Any = None


class Usage(NamedTuple):
    """Tokens as the server counts them; None where it does not, or where its count is none."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None  # of ``tokens_in``: those that the server had read before
    tokens_reasoning: int | None = None  # of ``tokens_out``: thoughts, shown or not
    tokens_total: int | None = None  # as the server adds them up

    @classmethod
    def of(cls, usage: Any) -> Usage:
        """What an answer's ``usage`` says, in the words of a chat or of the Responses API."""
        return cls(
            _count(_one_of(usage, "prompt_tokens", "input_tokens")),
            _count(_one_of(usage, "completion_tokens", "output_tokens")),
            _count(_one_of(_one_of(usage, "prompt_tokens_details", "input_tokens_details"), "cached_tokens")),
            _count(_one_of(_one_of(usage, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens")),
            _count(_one_of(usage, "total_tokens")),
        )


def _one_of(fields: Any, *names: str) -> Any:
    return next((fields[name] for name in names if name in fields), None) if isinstance(fields, dict) else None


def _count(value: Any) -> int | None:
    """A count of tokens: a whole number, which may be written as 4.0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


class AnswerBody(msgspec.Struct, gc=False):
    """What is read of an answer, or of a chunk of one. The rest, which servers fill as they like, is skipped."""

    id: Any = None
    choices: list[LooseChoice] | None = None
    usage: Any = None
    error: Any = None

    @property
    def first_text(self) -> str:
        """What the first of the answers says, or a chunk of it; without thoughts that stand apart, and calls."""
        for choice in self.choices or ():
            if not choice.index:
                message = choice.delta or choice.message
                return said_in(message.content if message else choice.text)
        return ""
