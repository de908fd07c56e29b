"""OpenAI's HTTP bodies: what a client may ask, and what it gets. Requests are checked; unknown fields are let through.

Fields and meanings follow OpenAI's public API reference (Chat Completions, Completions, Models, Errors).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shosei.wire.message import Message

# The paths at which a model is asked, with what the ids of their answers begin with.
ID_PREFIXES = {"/v1/chat/completions": "chatcmpl-", "/v1/completions": "cmpl-"}


class RequestBody(BaseModel):
    """What both kinds of request share."""

    model_config = ConfigDict(extra="allow")

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: int | None = None
    stop: str | list[str] | None = None
    n: Literal[1] = 1

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, values: Any) -> Any:
        """Clients send null for what they leave to the server."""
        if not isinstance(values, dict):
            return values
        return {key: value for key, value in values.items() if value is not None}

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or [])


class StreamOptions(BaseModel):
    include_usage: bool = False


class Function(BaseModel):
    """What a tool does and takes; ``parameters`` is a JSON schema."""

    name: Annotated[str, Field(pattern=r"^[\w.-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(BaseModel):
    type: Literal["function"]
    function: Function


class FunctionName(BaseModel):
    name: str


class NamedTool(BaseModel):
    """A ``tool_choice`` that leaves no choice."""

    type: Literal["function"]
    function: FunctionName


class JsonSchema(BaseModel):
    name: str
    json_schema: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatRequest(RequestBody):
    """``POST /v1/chat/completions``."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: list[Tool] = []
    tool_choice: Literal["none", "auto", "required"] | NamedTool = "auto"
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = ResponseFormat(type="text")

    @property
    def offered(self) -> list[Tool]:
        """The tools that the model may call."""
        return [] if self.tool_choice == "none" else self.tools


class CompletionRequest(RequestBody):
    """``POST /v1/completions``."""

    prompt: str | list[str]
    max_tokens: Annotated[int, Field(ge=1)] = 16
    echo: bool = False


class Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


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
    tool_calls: list[ToolCallDelta] | None = None


class ChatChoice(msgspec.Struct):
    message: AnswerMessage
    finish_reason: str
    index: int = 0


class ChatChunkChoice(msgspec.Struct):
    delta: Delta
    finish_reason: str | None = None
    index: int = 0


class TextChoice(msgspec.Struct):
    text: str
    finish_reason: str | None = None
    index: int = 0
    logprobs: None = None


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


# HTTP status -> the API's error type; clients map them to exception classes.
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


def error_body(status: int, message: str, *, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The JSON body of an error answer."""
    kind = ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
