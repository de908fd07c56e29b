"""What a request demands of its answer's form, as a grammar: calls of its tools, JSON, or JSON of a schema."""

from __future__ import annotations

from typing import Any

from shosei.engine.grammar import schema_fault
from shosei.engine.protocol import Grammar
from shosei.serve import checks
from shosei.serve.errors import ApiError
from shosei.serve.generation import Prompt
from shosei.text import Tokenizer, chat
from shosei.wire.openai import ChatRequest, NamedTool, Tool


def chat_prompt(request: ChatRequest, tokenizer: Tokenizer) -> Prompt:
    """The conversation and its tools as the model reads them, and the grammar. Raises ApiError, InputError."""
    form = grammar(request, tokenizer)
    tools = [tool.model_dump() for tool in request.offered]
    return Prompt(chat.render(tokenizer, checks.messages(request), tools), form, tools=bool(tools))


def grammar(request: ChatRequest, tokenizer: Tokenizer) -> Grammar | None:
    """The grammar of the answer; None where it is free.

    Where the model may choose between words and calls, the grammar begins with the first call. Raises ApiError that
    names the field at fault, and InputError where llguidance is not installed.
    """
    callable_tools = checks.callable_tools(request)
    forced = request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool)
    rules = {} if forced else _answer_rule(request)
    free = not (forced or rules)
    if callable_tools:
        rules |= _call_rules(request, callable_tools, tokenizer)
    if not rules:
        return None
    start = " | ".join(name for name in ("answer", "calls") if name in rules)
    lark = "\n".join(f"{name}: {body}" for name, body in {"start": start, **rules}.items())
    return Grammar(lark, tokenizer.special_id("<|action_start|>") if free else None)


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


def _call_rules(request: ChatRequest, tools: list[Tool], tokenizer: Tokenizer) -> dict[str, str]:
    """Rules of the chat format's calls: special tokens by id, everything else as its one compact text."""
    if tokenizer.chat:
        raise ApiError(400, "tools: the tool format of imported models is not known here", param="tools")
    begin, plugin, end = (
        f"<[{tokenizer.special_id(token)}]>" for token in ("<|action_start|>", "<|plugin|>", "<|action_end|>")
    )
    numbers = [request.tools.index(tool) for tool in tools]
    rules = {
        "calls": "call+" if request.parallel_tool_calls else "call",
        "call": f'{begin} {plugin} "\\n" ({" | ".join(f"call_{number}" for number in numbers)}) {end}',
    }
    for number, tool in zip(numbers, tools, strict=True):
        function = tool.function
        schema = {"type": "object", **(function.parameters or {})}
        if "properties" in schema:  # what a tool does not name, it does not take
            schema.setdefault("additionalProperties", False)
        head = chat.compact(f'{{"name":{chat.compact(function.name)},"parameters":')
        rules[f"call_{number}"] = f'{head} arguments_{number} "}}"'
        rules[f"arguments_{number}"] = _json(schema, function.strict, f"tools[{number}].function.parameters")
    return rules


def _json(schema: dict[str, Any], strict: bool | None, param: str) -> str:
    """JSON of ``schema`` without white space. What llguidance cannot enforce is an error where ``strict``."""
    text = chat.compact(schema | {"x-guidance": {"whitespace_flexible": False, "lenient": not strict}})
    checks.check_unicode(text, param)
    if fault := schema_fault(text):
        raise ApiError(400, f"{param}: answers cannot be held to this schema: {fault}", param=param)
    return f"%json {text}"
