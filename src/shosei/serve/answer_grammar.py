"""What an answer must be, as a grammar: calls of tools, JSON, JSON of a schema, a choice, a pattern, a grammar."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shosei.engine.grammar_process import Trial
from shosei.engine.protocol import Grammar
from shosei.serve.errors import check_unicode
from shosei.serve.grammar_checker import Rule
from shosei.text import ChatFormat, Tokenizer
from shosei.text.call_format import CallFormat
from shosei.text.chat import compact
from shosei.text.thoughts import CLOSE
from shosei.wire.api_error import ApiError
from shosei.wire.openai import ChatRequest, NamedTool, RequestBody, StructuredOutputs, Tool, ToolSelection


@dataclass(frozen=True)
class AnswerForm:
    """The grammar of an answer, which nobody has tried yet, and what must be tried before it is used."""

    grammar: Grammar
    rules: Sequence[Rule]


def callable_tools(request: ChatRequest) -> list[Tool]:
    """The tools that the answer may call. Raises ApiError."""
    tools, choice = request.offered, request.tool_choice
    named = {tool.function.name: tool for tool in tools}
    if twice := next((tool.function.name for tool in tools if named[tool.function.name] is not tool), None):
        raise ApiError(400, f"tools: two are named '{twice}'", param="tools")
    if request.must_call and not tools:
        raise ApiError(400, "tool_choice 'required' needs tools", param="tool_choice")
    if isinstance(choice, NamedTool):
        chosen = [choice]
    elif isinstance(choice, ToolSelection):
        chosen = choice.allowed_tools.tools
    else:
        return tools
    if strange := [tool.function.name for tool in chosen if tool.function.name not in named]:
        raise ApiError(400, f"tool_choice: no tool is named '{strange[0]}'", param="tool_choice")
    return [named[tool.function.name] for tool in chosen]


def chat_form(request: ChatRequest, chat: ChatFormat, within_thought: bool = False) -> AnswerForm | None:
    """What the answer must be; None where it is free.

    Where the model may choose between words and calls, the grammar begins with the first call if a token begins it.
    Where the prompt has begun a thought, an answer of a form begins behind it. Raises ApiError that names the field at
    fault.
    """
    callables = callable_tools(request)
    asked = [] if request.must_call else _asked(request)
    rules = {"answer": asked[0].body} if asked else {}
    free = not (request.must_call or rules)
    trigger = None
    if callables:
        form = chat.call_format
        if form is None:
            message = "tools: the tool format of this model's chat template is not known here"
            raise ApiError(400, message, param="tools")
        begin = chat.tokenizer.special_id(form.begin)
        trigger = begin if free and begin >= 0 else None
        arguments = _arguments(request, callables, form)
        rules |= _call_rules(request, callables, chat.tokenizer, form, arguments)
        asked += arguments
        if free and trigger is None:
            rules |= _words_before(form, rules["calls"])
    if not rules:
        return None
    start = " | ".join(name for name in ("answer", "words", "calls") if name in rules)
    if within_thought and trigger is None:
        return _form(_behind_thought(start, rules, chat.tokenizer.special_id(CLOSE)), asked)
    return _form(Grammar(_lark(start, rules), trigger), asked)


@dataclass(frozen=True)
class _Part:
    """The rule that one field of the request makes."""

    body: str
    param: str
    problem: str = "answers cannot be held to this"


def _form(grammar: Grammar, parts: Sequence[_Part]) -> AnswerForm:
    """What is tried is the whole; before it, where there are several parts, each, so that the one at fault is named."""
    alone = parts if len(parts) > 1 else []
    rules = [Rule(Trial(_lark(part.body, {})), part.param, part.problem) for part in alone]
    last = parts[-1]
    return AnswerForm(grammar, [*rules, Rule(Trial(grammar.lark), last.param, last.problem)])


def _behind_thought(start: str, rules: dict[str, str], close: int) -> Grammar:
    """The grammar begins with the end of the thought, which is the token ``close``, or a text where that is -1."""
    end = f"<[{close}]>" if close >= 0 else "thought"
    rules = rules | {"BREAK": r"/\n{0,2}/"} | ({} if close >= 0 else {"thought[lazy]": r"/(.|\n)*<\/think>/"})
    return Grammar(_lark(f"{end} BREAK ({start})", rules), close if close >= 0 else None)


def answer_form(request: RequestBody) -> AnswerForm | None:
    """What a plain completion must be; None where it is free. Raises ApiError."""
    asked = _asked(request)
    return _form(Grammar(_lark("answer", {"answer": asked[0].body})), asked) if asked else None


def _lark(start: str, rules: dict[str, str]) -> str:
    return "\n".join(f"{name}: {body}" for name, body in {"start": start, **rules}.items())


def _asked(request: RequestBody) -> list[_Part]:
    """Of the one field that says what the answer must be, if any. Raises ApiError."""
    forms = _forms(request)
    if len(forms) > 1:
        first, second = list(forms)[:2]
        raise ApiError(400, f"{second}: {first} says already what the answer must be; send one", param=second)
    return list(forms.values())


def _forms(request: RequestBody) -> dict[str, _Part]:
    """The rule that each field makes of the answer. A grammar is in Lark already."""
    asked = request.structured_outputs or StructuredOutputs()
    forms = _response_format(request) if isinstance(request, ChatRequest) else {}
    for prefix, schema, regex, choice, grammar in (
        ("structured_outputs.", asked.json_schema, asked.regex, asked.choice, asked.grammar),
        ("guided_", request.guided_json, request.guided_regex, request.guided_choice, request.guided_grammar),
    ):
        if schema is not None:
            forms[f"{prefix}json"] = _json(_schema(schema, f"{prefix}json"), False, f"{prefix}json")
        if regex is not None:
            forms[f"{prefix}regex"] = _plain("/" + _escaped(regex) + "/", f"{prefix}regex")
        if choice is not None:
            if not choice or not all(choice):
                raise ApiError(400, f"{prefix}choice must be texts, none of them empty", param=f"{prefix}choice")
            forms[f"{prefix}choice"] = _plain(" | ".join(map(compact, choice)), f"{prefix}choice")
        if grammar is not None:
            forms[f"{prefix}grammar"] = _plain(f"%lark {{\n{grammar}\n}}", f"{prefix}grammar")
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


def _plain(body: str, param: str) -> _Part:
    check_unicode(body, param)
    return _Part(body, param)


def _response_format(request: ChatRequest) -> dict[str, _Part]:
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


def _arguments(request: ChatRequest, tools: Sequence[Tool], form: CallFormat) -> list[_Part]:
    """What the arguments of each of ``tools`` must be."""
    numbers = {tool.function.name: number for number, tool in enumerate(request.tools)}
    parts = []
    for tool in tools:
        function = tool.function
        # What says nothing of its parameters has none.
        schema = {"type": "object", **(function.parameters or {"properties": {}})}
        if "properties" in schema:  # what a tool does not name, it does not take
            schema.setdefault("additionalProperties", False)
        param = f"tools[{numbers[function.name]}].function.parameters"
        parts.append(_json(schema, function.strict, param, form.separators))
    return parts


def _call_rules(
    request: ChatRequest, tools: Sequence[Tool], tokenizer: Tokenizer, form: CallFormat, arguments: Sequence[_Part]
) -> dict[str, str]:
    """``calls``: at least one of ``tools``, as the model writes it, its JSON as one text."""

    def marks(*parts: str) -> str:
        """Texts in turn, each as the token of this name where the tokenizer has one."""
        tokens = ((tokenizer.special_id(part), part) for part in parts if part)
        return " ".join(f"<[{token}]>" if token >= 0 else compact(part) for token, part in tokens)

    one_of = " | ".join(f"call_{number}" for number in range(len(tools)))
    rules = {
        "calls": f"{marks(form.begin)} call",
        "call": f"{marks(*form.head)} ({one_of}) {marks(*form.tail, form.end)}",
    }
    if request.parallel_tool_calls and not isinstance(request.tool_choice, NamedTool) and form.between is not None:
        rules["calls"] += f" ({marks(*form.between, form.begin)} call)*"
    for number, (tool, part) in enumerate(zip(tools, arguments, strict=True)):
        rules[f"call_{number}"] = f'{compact(form.head_of(tool.function.name))} arguments_{number} "}}"'
        rules[f"arguments_{number}"] = part.body
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


def _json(schema: dict[str, Any], strict: bool | None, param: str, separators: tuple[str, str] = (",", ":")) -> _Part:
    """JSON of ``schema`` without white space but what ``separators`` have. What llguidance cannot enforce is an error
    where ``strict``."""
    item, colon = separators
    spacing = {"whitespace_flexible": False, "item_separator": item, "key_separator": colon}
    text = compact(schema | {"x-guidance": {**spacing, "lenient": not strict}})
    check_unicode(text, param)
    return _Part(f"%json {text}", param, "answers cannot be held to this schema")
