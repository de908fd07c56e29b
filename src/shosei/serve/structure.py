"""What a request demands of its answer's form, as a grammar: calls of its tools, JSON, or JSON of a schema."""

from __future__ import annotations

from typing import Any

from shosei.engine.grammar import schema_fault
from shosei.engine.protocol import Grammar
from shosei.serve import checks
from shosei.serve.errors import ApiError
from shosei.serve.generation import Prompt
from shosei.text import Tokenizer, chat
from shosei.text.call_format import CallFormat
from shosei.wire.openai import ChatRequest, NamedTool, Tool


def chat_prompt(request: ChatRequest, tokenizer: Tokenizer) -> Prompt:
    """The conversation and its tools as the model reads them, and the grammar. Raises ApiError, InputError."""
    form = grammar(request, tokenizer)
    tools = [tool.model_dump(exclude_none=True) for tool in request.offered]
    return Prompt(chat.render(tokenizer, checks.messages(request), tools), form, tools=bool(tools))


def grammar(request: ChatRequest, tokenizer: Tokenizer) -> Grammar | None:
    """The grammar of the answer; None where it is free.

    Where the model may choose between words and calls, the grammar begins with the first call if a token begins it.
    Raises ApiError that names the field at fault, and InputError where llguidance is not installed.
    """
    callable_tools = checks.callable_tools(request)
    forced = request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool)
    rules = {} if forced else _answer_rule(request)
    free = not (forced or rules)
    trigger = None
    if callable_tools:
        form = _call_format(tokenizer)
        begin = tokenizer.special_id(form.begin)
        trigger = begin if free and begin >= 0 else None
        rules |= _call_rules(request, callable_tools, tokenizer, form)
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


def _call_format(tokenizer: Tokenizer) -> CallFormat:
    if tokenizer.call_format is None:
        raise ApiError(400, "tools: the tool format of this model's chat template is not known here", param="tools")
    return tokenizer.call_format


def _call_rules(request: ChatRequest, tools: list[Tool], tokenizer: Tokenizer, form: CallFormat) -> dict[str, str]:
    """``calls``: at least one of ``tools``, as the model writes it, its JSON as one text."""

    def marks(*parts: str) -> str:
        """Texts in turn, each as the token of this name where the tokenizer has one."""
        tokens = ((tokenizer.special_id(part), part) for part in parts if part)
        return " ".join(f"<[{token}]>" if token >= 0 else chat.compact(part) for token, part in tokens)

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
        rules[f"call_{number}"] = f'{chat.compact(form.head_of(function.name))} arguments_{number} "}}"'
        rules[f"arguments_{number}"] = _json(schema, function.strict, param, form.separators)
    return rules


def _words_before(form: CallFormat, calls: str) -> dict[str, str]:
    """Rules of words, and of words before calls, where a text begins them. Without one only an answer that begins
    with a brace is a call, and so no words do."""
    if not form.begin:
        return {"words": "WORDS", "WORDS": r"/([^{\s](.|\n)*)?/"}
    begin = chat.compact(form.begin)
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
    text = chat.compact(schema | {"x-guidance": {**spacing, "lenient": not strict}})
    checks.check_unicode(text, param)
    if fault := schema_fault(text):
        raise ApiError(400, f"{param}: answers cannot be held to this schema: {fault}", param=param)
    return f"%json {text}"
