"""What an answer must be, as a grammar: calls of tools, JSON, JSON of a schema, a choice, a pattern, a grammar."""

from __future__ import annotations

import json
import re
from typing import Any

from shosei.engine.grammar import grammar_fault, lark_of, schema_fault
from shosei.engine.protocol import Grammar
from shosei.serve.errors import check_unicode
from shosei.text import ChatFormat, Tokenizer
from shosei.text.call_format import CallFormat
from shosei.text.chat import compact
from shosei.text.thoughts import CLOSE
from shosei.wire.api_error import ApiError
from shosei.wire.openai import ChatRequest, NamedTool, RequestBody, StructuredOutputs, Tool, ToolSelection


def callable_tools(request: ChatRequest) -> list[Tool]:
    """The tools that the answer may call. Raises ApiError."""
    tools, choice = request.offered, request.tool_choice
    names = [tool.function.name for tool in tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ApiError(400, f"tools: two are named '{twice}'", param="tools")
    if request.must_call and not tools:
        raise ApiError(400, "tool_choice 'required' needs tools", param="tool_choice")
    if isinstance(choice, NamedTool):
        chosen = [choice]
    elif isinstance(choice, ToolSelection):
        chosen = choice.allowed_tools.tools
    else:
        return tools
    if strange := [tool.function.name for tool in chosen if tool.function.name not in names]:
        raise ApiError(400, f"tool_choice: no tool is named '{strange[0]}'", param="tool_choice")
    return [tools[names.index(tool.function.name)] for tool in chosen]


def chat_grammar(request: ChatRequest, chat: ChatFormat, within_thought: bool = False) -> Grammar | None:
    """The grammar of the answer; None where it is free.

    Where the model may choose between words and calls, the grammar begins with the first call if a token begins it.
    Where the prompt has begun a thought, an answer of a form begins behind it. Raises ApiError that names the field at
    fault, and InputError where llguidance is not installed.
    """
    callables = callable_tools(request)
    rules = {} if request.must_call else _answer_rules(request)
    free = not (request.must_call or rules)
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
    if within_thought and trigger is None:
        return _behind_thought(start, rules, chat.tokenizer.special_id(CLOSE))
    return Grammar(_lark(start, rules), trigger)


def _behind_thought(start: str, rules: dict[str, str], close: int) -> Grammar:
    """The grammar begins with the end of the thought, which is the token ``close``, or a text where that is -1."""
    end = f"<[{close}]>" if close >= 0 else "thought"
    rules = rules | {"BREAK": r"/\n{0,2}/"} | ({} if close >= 0 else {"thought[lazy]": r"/(.|\n)*<\/think>/"})
    return Grammar(_lark(f"{end} BREAK ({start})", rules), close if close >= 0 else None)


def answer_grammar(request: RequestBody) -> Grammar | None:
    """The grammar of a plain completion; None where it is free. Raises ApiError, InputError."""
    rules = _answer_rules(request)
    return Grammar(_lark("answer", rules)) if rules else None


def _lark(start: str, rules: dict[str, str]) -> str:
    return "\n".join(f"{name}: {body}" for name, body in {"start": start, **rules}.items())


def _answer_rules(request: RequestBody) -> dict[str, str]:
    """``answer``, of the one field that says what the answer must be. Raises ApiError."""
    forms = _forms(request)
    if len(forms) > 1:
        first, second = list(forms)[:2]
        raise ApiError(400, f"{second}: {first} says already what the answer must be; send one", param=second)
    rules = list(forms.values())
    return {"answer": rules[0]} if rules else {}


def _forms(request: RequestBody) -> dict[str, str]:
    """The rule that each field makes of the answer."""
    asked = request.structured_outputs or StructuredOutputs()
    forms = _response_format(request) if isinstance(request, ChatRequest) else {}
    for prefix, schema, regex, choice, grammar in (
        ("structured_outputs.", asked.json_schema, asked.regex, asked.choice, asked.grammar),
        ("guided_", request.guided_json, request.guided_regex, request.guided_choice, request.guided_grammar),
    ):
        if schema is not None:
            forms[f"{prefix}json"] = _json(_schema(schema, f"{prefix}json"), False, f"{prefix}json")
        if regex is not None:
            forms[f"{prefix}regex"] = _checked("/" + _escaped(regex) + "/", f"{prefix}regex")
        if choice is not None:
            if not choice or not all(choice):
                raise ApiError(400, f"{prefix}choice must be texts, none of them empty", param=f"{prefix}choice")
            check_unicode("".join(choice), f"{prefix}choice")
            forms[f"{prefix}choice"] = " | ".join(map(compact, choice))
        if grammar is not None:
            forms[f"{prefix}grammar"] = _checked(
                f"%lark {{\n{lark_of(grammar, f'{prefix}grammar')}\n}}", f"{prefix}grammar"
            )
    if asked.json_object:
        forms["structured_outputs.json_object"] = _json({"type": "object"}, True, "structured_outputs.json_object")
    return forms


def _schema(schema: dict[str, Any] | str, param: str) -> dict[str, Any]:
    if isinstance(schema, dict):
        return schema
    try:
        value = json.loads(schema)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ApiError(400, f"{param} must be a JSON schema, which is an object", param=param)
    return value


def _escaped(regex: str) -> str:
    """``regex`` as it stands between slashes on one line."""
    escaped = re.sub(r"\\.|/", lambda found: "\\/" if found[0] == "/" else found[0], regex, flags=re.DOTALL)
    return escaped.replace("\\\n", "\\n").replace("\n", "\\n")


def _checked(rule: str, param: str) -> str:
    """``rule``, if a grammar can be made of it. Raises ApiError."""
    check_unicode(rule, param)
    if fault := grammar_fault(f"start: answer\nanswer: {rule}"):
        raise ApiError(400, f"{param}: answers cannot be held to this: {fault}", param=param)
    return rule


def _response_format(request: ChatRequest) -> dict[str, str]:
    form = request.response_format
    if form.type == "text":
        return {}
    if form.type == "json_object":
        schema = form.json_object_schema or {"type": "object"}
        return {"response_format": _json(schema, form.json_object_schema is None, "response_format")}
    if form.json_schema is None:
        raise ApiError(400, "response_format.json_schema is missing", param="response_format.json_schema")
    wanted = form.json_schema
    return {"response_format": _json(wanted.json_schema, wanted.strict, "response_format.json_schema.schema")}


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
    if request.parallel_tool_calls and not isinstance(request.tool_choice, NamedTool) and form.between is not None:
        rules["calls"] += f" ({marks(*form.between, form.begin)} call)*"
    for number, tool in zip(numbers, tools, strict=True):
        function = tool.function
        # What says nothing of its parameters has none.
        schema = {"type": "object", **(function.parameters or {"properties": {}})}
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
