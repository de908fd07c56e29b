"""What this server does not do is refused, never quietly left out."""

from __future__ import annotations

from typing import Any

from shosei.serve.errors import ApiError
from shosei.text.chat import compact
from shosei.wire.openai import ChatRequest, CompletionRequest, Message, NamedTool, RequestBody, Tool

MAX_STOPS = 4  # as OpenAI's API has it
MAX_STOP_CHARACTERS = 256

# Fields of OpenAI's API that would change the answer, where ``wire.openai`` does not know them: of both kinds of
# request, or of plain completions.
_UNSUPPORTED = (
    "audio",
    "best_of",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "prediction",
    "presence_penalty",
    "response_format",
    "suffix",
    "tools",
    "top_logprobs",
)
_NO_EFFECT: dict[str, Any] = {"best_of": 1, "response_format": {"type": "text"}}

# OpenAI's names for roles of the chat format.
_ROLES = {"developer": "system"}


def check(request: RequestBody) -> None:
    """Raise ApiError for what both kinds of request may hold and this server cannot do."""
    extra = request.model_extra or {}
    for name in _UNSUPPORTED:
        if extra.get(name) and extra[name] != _NO_EFFECT.get(name):
            raise ApiError(400, f"{name} is not supported", param=name)
    if len(request.stops) > MAX_STOPS or not all(0 < len(stop) <= MAX_STOP_CHARACTERS for stop in request.stops):
        raise ApiError(400, f"stop: at most {MAX_STOPS} texts of 1 to {MAX_STOP_CHARACTERS} characters", param="stop")
    if request.seed is not None and not -(2**63) <= request.seed < 2**63:
        raise ApiError(400, "seed must fit into 64 bits", param="seed")


def messages(request: ChatRequest) -> list[dict[str, Any]]:
    """The conversation in the chat format's own roles. Raises ApiError."""
    turns = []
    for number, turn in enumerate(request.messages):
        check_unicode(turn.text, "messages")
        calls = [call.model_dump() for call in turn.tool_calls or []]
        check_unicode(compact(calls), "messages")
        turns.append({"role": _ROLES.get(turn.role, turn.role), "content": turn.text, "tool_calls": calls})
        if turn.role == "tool" and turn.tool_call_id not in _asked_before(request.messages, number):
            param = f"messages[{number}].tool_call_id"
            raise ApiError(400, f"{param}: no message before it has a tool call of this id", param=param)
    return turns


def _asked_before(turns: list[Message], number: int) -> list[str]:
    """Ids of the calls that the results from turn ``number`` back to the last other turn may belong to."""
    before = next((turn for turn in reversed(turns[:number]) if turn.role != "tool"), None)
    return [call.id for call in (before.tool_calls if before else None) or []]


def callable_tools(request: ChatRequest) -> list[Tool]:
    """The tools that the answer may call. Raises ApiError."""
    tools, choice = request.offered, request.tool_choice
    check_unicode(compact([tool.model_dump() for tool in tools]), "tools")
    names = [tool.function.name for tool in tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ApiError(400, f"tools: two are named '{twice}'", param="tools")
    if choice == "required" and not tools:
        raise ApiError(400, "tool_choice 'required' needs tools", param="tool_choice")
    if not isinstance(choice, NamedTool):
        return tools
    if choice.function.name not in names:
        raise ApiError(400, f"tool_choice: no tool is named '{choice.function.name}'", param="tool_choice")
    return [tools[names.index(choice.function.name)]]


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
