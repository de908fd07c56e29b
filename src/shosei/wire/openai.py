"""OpenAI's HTTP bodies: what a client may ask, and errors. Requests are checked; unknown fields are kept.

Fields and meanings follow OpenAI's public API reference (Chat Completions, Completions, Models, Errors).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shosei.wire.message import Items, Message

# The paths at which a model is asked, with what the ids of their answers begin with.
ID_PREFIXES = {"/v1/chat/completions": "chatcmpl-", "/v1/completions": "cmpl-"}

MAX_CHOICES = 128  # as OpenAI's API has it
MAX_ALTERNATIVES = 20
# Beyond them logits become infinite, or nothing.
LEAST_REPETITION_PENALTY, MOST_REPETITION_PENALTY = 1e-3, 1e3


class RequestBody(BaseModel):
    """What both kinds of request share."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(ge=LEAST_REPETITION_PENALTY, le=MOST_REPETITION_PENALTY)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] = {}
    min_tokens: Annotated[int, Field(ge=0)] = 0
    stop_token_ids: Items[int] = []
    ignore_eos: bool = False
    seed: int | None = None
    stop: str | Items[str] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] = 1
    timeout: Annotated[float, Field(gt=0)] | None = None  # seconds; no field of OpenAI's
    structured_outputs: StructuredOutputs | None = None
    guided_json: dict[str, Any] | str | None = None
    guided_regex: str | None = None
    guided_choice: Items[str] | None = None
    guided_grammar: str | None = None

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
    def alternatives(self) -> int | None:
        """How many tokens each token's score is given beside; None: no scores are asked for."""
        return None

    @property
    def stops(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or [])


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow")

    include_usage: bool = False


class StructuredOutputs(BaseModel):
    """vLLM's name for what an answer must be: one of these."""

    model_config = ConfigDict(extra="allow")

    json_schema: Annotated[dict[str, Any] | str | None, Field(alias="json")] = None
    regex: str | None = None
    choice: Items[str] | None = None
    grammar: str | None = None
    json_object: bool | None = None


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


class AllowedTools(BaseModel):
    mode: Literal["auto", "required"]
    tools: Items[NamedTool]


class ToolSelection(BaseModel):
    """A ``tool_choice`` among some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class JsonSchema(BaseModel):
    name: str
    json_schema: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    json_object_schema: Annotated[dict[str, Any] | None, Field(alias="schema")] = None  # llama.cpp's, of json_object


class ChatRequest(RequestBody):
    """``POST /v1/chat/completions``."""

    messages: Annotated[Items[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    tools: Items[Tool] = []
    tool_choice: Literal["none", "auto", "required"] | NamedTool | ToolSelection = "auto"
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = ResponseFormat(type="text")
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_ALTERNATIVES)] = 0
    chat_template_kwargs: dict[str, Any] = {}
    reasoning_effort: str | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool = False

    @property
    def must_call(self) -> bool:
        choice = self.tool_choice
        selected = isinstance(choice, ToolSelection) and choice.allowed_tools.mode == "required"
        return choice == "required" or isinstance(choice, NamedTool) or selected

    @property
    def alternatives(self) -> int | None:
        return self.top_logprobs if self.logprobs else None

    @property
    def offered(self) -> list[Tool]:
        """The tools that the model may call."""
        return [] if self.tool_choice == "none" else self.tools


class CompletionRequest(RequestBody):
    """``POST /v1/completions``."""

    prompt: str | Items[str] | Items[int] | Items[Items[int]]
    max_tokens: Annotated[int, Field(ge=0)] = 16
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=MAX_ALTERNATIVES)] | None = None
    add_special_tokens: bool = True  # whether the token that documents begin with stands before a text

    @field_validator("prompt", mode="before")
    @classmethod
    def _are_few(cls, prompt: Any) -> Any:
        """Only ids may be many. Many lists of them would take long to be looked at."""
        if isinstance(prompt, list) and len(prompt) > MAX_CHOICES and not isinstance(prompt[0], int):
            raise ValueError(f"one text or several, at most {MAX_CHOICES}, or their ids")
        return prompt

    @property
    def alternatives(self) -> int | None:
        return self.logprobs


class TokenizeRequest(BaseModel):
    """``POST /tokenize``, vLLM's: of a text, or of a conversation as the model reads it."""

    model_config = ConfigDict(extra="ignore")

    model: str = ""
    prompt: str | None = None
    messages: Items[Message] | None = None
    tools: Items[Tool] = []
    add_special_tokens: bool = True
    add_generation_prompt: bool | None = None
    continue_final_message: bool = False
    chat_template_kwargs: dict[str, Any] = {}
    return_token_strs: bool = False


class DetokenizeRequest(BaseModel):
    """``POST /detokenize``, vLLM's."""

    model: str = ""
    tokens: Items[int]


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
