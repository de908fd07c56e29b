"""OpenAI's HTTP bodies: what a client gets, whole and in chunks.

Fields and meanings follow OpenAI's public API reference (Chat Completions, Completions, Models); ``reasoning_content``
is DeepSeek's, as vLLM and SGLang have it too.
"""

from __future__ import annotations

import msgspec


class ReasoningTokens(msgspec.Struct):
    reasoning_tokens: int


class CachedTokens(msgspec.Struct):
    cached_tokens: int  # that were in the cache already, since another prompt had them


class Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens
    completion_tokens_details: ReasoningTokens | msgspec.UnsetType = msgspec.UNSET  # of a model with thoughts


class FunctionCall(msgspec.Struct):
    name: str | msgspec.UnsetType = msgspec.UNSET  # not in the later pieces of a call
    arguments: str = ""  # JSON, or more of it


class AnswerCall(msgspec.Struct):
    id: str
    function: FunctionCall
    type: str = "function"


class AnswerMessage(msgspec.Struct):
    content: str | None
    role: str = "assistant"
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[AnswerCall] | msgspec.UnsetType = msgspec.UNSET


class ToolCallDelta(msgspec.Struct, omit_defaults=True):
    """The first of a call has everything; the others have more of its arguments."""

    index: int
    function: FunctionCall
    id: str | None = None
    type: str | None = None


class Delta(msgspec.Struct, omit_defaults=True):
    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class TokenLogprob(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int]


class ChatTokenLogprob(TokenLogprob):
    top_logprobs: list[TokenLogprob]


class ChatLogprobs(msgspec.Struct):
    content: list[ChatTokenLogprob]


class TextLogprobs(msgspec.Struct):
    """A list each, an item a token; the first token of an echoed prompt has no log-probability."""

    tokens: list[str] = []
    token_logprobs: list[float | None] = []
    top_logprobs: list[dict[str, float] | None] = []
    text_offset: list[int] = []


class ChatChoice(msgspec.Struct):
    message: AnswerMessage
    finish_reason: str
    index: int = 0
    logprobs: ChatLogprobs | msgspec.UnsetType = msgspec.UNSET


class ChatChunkChoice(msgspec.Struct):
    delta: Delta
    finish_reason: str | None = None
    index: int = 0
    logprobs: ChatLogprobs | msgspec.UnsetType = msgspec.UNSET


class TextChoice(msgspec.Struct):
    text: str
    finish_reason: str | None = None
    index: int = 0
    logprobs: TextLogprobs | None = None


class _Answer(msgspec.Struct, kw_only=True):
    id: str
    created: int
    model: str


class ChatCompletion(_Answer):
    choices: list[ChatChoice]
    usage: Usage
    object: str = "chat.completion"


class ChatChunk(_Answer, omit_defaults=True):
    choices: list[ChatChunkChoice]
    object: str
    usage: Usage | None = None


class Completion(_Answer, omit_defaults=True):
    """A whole completion, and also one chunk of a streamed one: OpenAI uses the same object for both."""

    choices: list[TextChoice]
    object: str
    usage: Usage | None = None


class ModelCard(msgspec.Struct):
    id: str
    created: int
    object: str = "model"
    owned_by: str = "shosei"


class ModelList(msgspec.Struct):
    data: list[ModelCard]
    object: str = "list"


class Tokenized(msgspec.Struct):
    """The answer to ``POST /tokenize``, in vLLM's shape."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class Detokenized(msgspec.Struct):
    """The answer to ``POST /detokenize``, in vLLM's shape."""

    prompt: str
