"""What a request asks of the model: the prompt's ids, and what its answer must be, as a grammar: calls of its tools,
JSON, or JSON of a schema. What this server does not do is refused, never quietly left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shosei.engine.grammar import schema_fault
from shosei.engine.protocol import Grammar
from shosei.serve.errors import ApiError
from shosei.text import ChatFormat, Tokenizer
from shosei.text.call_format import CallFormat
from shosei.text.chat import compact
from shosei.wire.message import Message
from shosei.wire.openai import ChatRequest, CompletionRequest, NamedTool, RequestBody, Tool

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


@dataclass(frozen=True)
class Prompt:
    """What the model is to continue, what its answer may be, and how that may call tools, if it may."""

    ids: list[int]
    grammar: Grammar | None = None
    calls: CallFormat | None = None


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
        turns.append(turn.plain())
        check_unicode(compact(turns[-1].get("tool_calls", [])), "messages")
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


def completion_text(request: CompletionRequest) -> str:
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
        raise ApiError(400, "a lone surrogate is not a character", param=param) from None


def chat_prompt(request: ChatRequest, chat: ChatFormat) -> Prompt:
    """The conversation and its tools as the model reads them, and the grammar. Raises ApiError, InputError."""
    form = grammar(request, chat)
    tools = [tool.model_dump(exclude_none=True) for tool in request.offered]
    return Prompt(chat.render(messages(request), tools), form, chat.call_format if tools else None)


def grammar(request: ChatRequest, chat: ChatFormat) -> Grammar | None:
    """The grammar of the answer; None where it is free.

    Where the model may choose between words and calls, the grammar begins with the first call if a token begins it.
    Raises ApiError that names the field at fault, and InputError where llguidance is not installed.
    """
    callables = callable_tools(request)
    forced = request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool)
    rules = {} if forced else _answer_rule(request)
    free = not (forced or rules)
    trigger = None
    if callables:
        form = chat.call_format
        if form is None:
            message = "tools: the tool format of this model's chat template is not known here"
            raise ApiError(400, message, param="tools")
        begin = chat.tokenizer.special_id(form.begin)
        trigger = begin if free and begin >= 0 else None
        rules |= _call_rules(request, callables, chat.tokenizer, form)
        if free and trigger is None:
            rules |= _words_before(form, rules["calls"])
    if not rules:
        return None
    start = " | ".join(name for name in ("answer", "words", "calls") if name in rules)
    lark = "\n".join(f"{name}: {body}" for name, body in {"start": start, **rules}.items())
    return Grammar(lark, trigger)


def _answer_rule(request: ChatRequest) -> dict[str, str]:
    form = request.response_format
    if form.type == "text":
        return {}
    if form.type == "json_object":
        return {"answer": _json({"type": "object"}, True, "response_format")}
    if form.json_schema is None:
        raise ApiError(400, "response_format.json_schema is missing", param="response_format.json_schema")
    wanted = form.json_schema
    return {"answer": _json(wanted.json_schema, wanted.strict, "response_format.json_schema.schema")}


def _call_rules(request: ChatRequest, tools: list[Tool], tokenizer: Tokenizer, form: CallFormat) -> dict[str, str]:
    """``calls``: at least one of ``tools``, as the model writes it, its JSON as one text."""

    def marks(*parts: str) -> str:
        """Texts in turn, each as the token of this name where the tokenizer has one."""
        tokens = ((tokenizer.special_id(part), part) for part in parts if part)
        return " ".join(f"<[{token}]>" if token >= 0 else compact(part) for token, part in tokens)

    numbers = [request.tools.index(tool) for tool in tools]
    one_of = " | ".join(f"call_{number}" for number in numbers)
    rules = {
        "calls": f"{marks(form.begin)} call",
        "call": f"{marks(*form.head)} ({one_of}) {marks(*form.tail, form.end)}",
    }
    if request.parallel_tool_calls and form.between is not None:
        rules["calls"] += f" ({marks(*form.between, form.begin)} call)*"
    for number, tool in zip(numbers, tools, strict=True):
        function = tool.function
        schema = {"type": "object", **(function.parameters or {})}
        if "properties" in schema:  # what a tool does not name, it does not take
            schema.setdefault("additionalProperties", False)
        param = f"tools[{number}].function.parameters"
        rules[f"call_{number}"] = f'{compact(form.head_of(function.name))} arguments_{number} "}}"'
        rules[f"arguments_{number}"] = _json(schema, function.strict, param, form.separators)
    return rules


def _words_before(form: CallFormat, calls: str) -> dict[str, str]:
    """Rules of words, and of words before calls, where a text begins them. Without one only an answer that begins
    with a brace is a call, and so no words do."""
    if not form.begin:
        return {"words": "WORDS", "WORDS": r"/([^{\s](.|\n)*)?/"}
    begin = compact(form.begin)
    return {
        "words": "WORDS",
        "calls": f"opening {calls.removeprefix(begin)}",
        "opening[lazy]": f"WORDS {begin}",
        "WORDS": r"/(.|\n)*/",
    }


def _json(schema: dict[str, Any], strict: bool | None, param: str, separators: tuple[str, str] = (",", ":")) -> str:
    """JSON of ``schema`` without white space but what ``separators`` have. What llguidance cannot enforce is an error
    where ``strict``."""
    item, colon = separators
    spacing = {"whitespace_flexible": False, "item_separator": item, "key_separator": colon}
    text = compact(schema | {"x-guidance": {**spacing, "lenient": not strict}})
    check_unicode(text, param)
    if fault := schema_fault(text):
        raise ApiError(400, f"{param}: answers cannot be held to this schema: {fault}", param=param)
    return f"%json {text}"
