"""Dialogues, and the forms in which people keep them: which form a row has is told by its keys.

OpenAI's ``messages``; ShareGPT's ``conversations`` of ``from`` and ``value``; Alpaca's ``instruction``, ``input`` and
``output``; ``prompt`` and ``completion``, or ``question`` and ``answer``. Every form ends in ``wire.message``'s schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import ValidationError, field_validator

from shosei.text.chat import compact
from shosei.wire.message import Message, fault_of
from shosei.wire.openai import Tool

# ShareGPT's names of who speaks, LLaMA-Factory's of calls and results among them.
_SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
    "function_call": "assistant",
    "observation": "tool",
    "tool": "tool",
}
_LABELS = ("suite", "lang", "cluster")
_OLD_CALLS = {"function_call": "tool_calls", "functions": "tools"}  # OpenAI's first form of tools


class RowFault(Exception):
    """Why a row is no dialogue, in words for whoever wrote it."""


class Dialogue(msgspec.Struct, omit_defaults=True):
    """One line of ``data/train.jsonl``: messages as ``Message.plain`` makes them, tools as OpenAI's API has them.

    An answer whose ``weight`` is 0 is not learnt.
    """

    messages: list[dict[str, Any]]
    suite: str = ""
    lang: str = ""
    cluster: str = ""
    tools: list[dict[str, Any]] = []


class _Turn(Message):
    """A message of a dialogue."""

    weight: float = 1

    @field_validator("weight")
    @classmethod
    def _all_or_nothing(cls, weight: float) -> float:
        if weight not in (0, 1):
            raise ValueError("a weight is 0 or 1")
        return weight


@dataclass(frozen=True, slots=True)
class _Form:
    """``required`` keys tell the form; ``read`` makes OpenAI's messages, not yet checked, of a row that has them."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], list[Any]]


def dialogue_of(row: Any) -> tuple[Dialogue, set[str]]:
    """The dialogue that a row holds, and the keys of the row and its messages that nothing was made of.

    Raises RowFault: no form, or more than one; a role, content, call, tool or weight that is none; nothing is said.
    """
    if not isinstance(row, dict):
        raise RowFault(f"a row is a JSON object, not {_kind(row)}")
    given = {str(key): value for key, value in row.items() if value is not None}  # tables say so of what is not there
    _refuse_old_calls(given)
    form = _form_of(given)
    labels = {key: given[key] for key in _LABELS if isinstance(given.get(key), str)}
    ignored = given.keys() - {*form.required, *form.optional, *labels, "tools", "weight"}
    try:
        turns = [_turn(place, each) for place, each in enumerate(form.read(given), 1)]
        tools = [_tool(place, each) for place, each in enumerate(_listed_tools(given.get("tools")), 1)]
        extras = [pair for turn in turns for pair in (turn.model_extra or {}).items()]
        ignored |= {f"messages[].{key}" for key, value in extras if value or value is False}
        weight = _Turn(role="assistant", weight=given.get("weight", 1)).weight
        dialogue = Dialogue([_plain(turn, weight) for turn in turns], tools=tools, **labels)
        msgspec.json.encode(dialogue)
    except ValidationError as error:
        raise RowFault(fault_of(error)) from None
    except UnicodeEncodeError:
        raise RowFault("it holds a lone surrogate, which is not a character") from None
    except (RecursionError, ValueError, TypeError, OverflowError):
        raise RowFault("it holds a value that cannot be written as JSON") from None
    if not dialogue.messages:
        raise RowFault("it has no messages")
    return dialogue, ignored


def _refuse_old_calls(values: Mapping[str, Any]) -> None:
    for old, new in _OLD_CALLS.items():
        if values.get(old):
            raise RowFault(f"'{old}' is an old form: write '{new}'")


def _form_of(row: Mapping[str, Any]) -> _Form:
    forms = [form for form in _FORMS if all(key in row for key in form.required)]
    if len(forms) > 1:
        names = " and ".join("/".join(form.required) for form in forms)
        raise RowFault(f"it has {names}, and could be read either way: leave one out")
    if not forms:
        known = ", ".join("/".join(form.required) for form in _FORMS)
        raise RowFault(f"it has the keys {', '.join(row) or '(none)'}; known are {known}")
    return forms[0]


def _turn(place: int, value: Any) -> _Turn:
    """One message, checked. Raises RowFault that names its place."""
    if not isinstance(value, dict):
        raise RowFault(f"message {place} is not an object, but {_kind(value)}")
    given = {key: each for key, each in value.items() if each is not None}
    _refuse_old_calls(given)
    try:
        if calls := given.get("tool_calls"):
            given["tool_calls"] = [_call(call) for call in calls] if isinstance(calls, list) else calls
        turn = _Turn.model_validate(given)
    except ValidationError as error:
        raise RowFault(f"message {place}: {fault_of(error)}") from None
    except RowFault as fault:
        raise RowFault(f"message {place}: {fault}") from None
    if turn.tool_calls and turn.role != "assistant":
        raise RowFault(f"message {place}: only an assistant calls tools, not {turn.role}")
    if turn.content is None and not turn.tool_calls:
        raise RowFault(f"message {place} has no content; it has the keys {', '.join(given)}")
    if any(not call.function.name for call in turn.tool_calls or []):
        raise RowFault(f"message {place}: a call has no name")
    if turn.role == "assistant" and turn.weight and not (turn.text.strip() or turn.tool_calls):
        raise RowFault(f"message {place}, an answer, is empty")
    return turn


def _call(call: Any) -> Any:
    """A tool call with its id and, as JSON, its arguments; other than OpenAI's, files have them as objects too."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return {"id": "", **call} if isinstance(call, dict) else call
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = _json(arguments, "arguments of a call are") if arguments.strip() else {}
    if not isinstance(arguments or {}, dict):
        raise RowFault(f"arguments of a call are a JSON object, not {_kind(arguments)}")
    given = {key: value for key, value in call.items() if value is not None}
    json.dumps(arguments, allow_nan=False)  # tables hold numbers that JSON does not
    return {"id": "", **given, "function": {**function, "arguments": compact(arguments or {})}}


def _listed_tools(value: Any) -> list[Any]:
    """A row's tools: a list, or JSON of one."""
    tools = _json(value, "tools are") if isinstance(value, str) and value.strip() else value or []
    if not isinstance(tools, list):
        raise RowFault(f"tools are a list, not {_kind(tools)}")
    return tools


def _tool(place: int, value: Any) -> dict[str, Any]:
    """One of OpenAI's tools, checked, or what stands under its ``function`` alone. Raises RowFault that names it."""
    alone = isinstance(value, dict) and "function" not in value
    whole = {"type": "function", "function": value} if alone else value
    try:
        return Tool.model_validate(whole).model_dump(exclude_none=True)
    except ValidationError as error:
        raise RowFault(f"tool {place}: {fault_of(error)}") from None


def _plain(turn: _Turn, row_weight: float) -> dict[str, Any]:
    unlearnt = turn.role == "assistant" and not turn.weight * row_weight
    return turn.plain() | ({"weight": 0} if unlearnt else {})


def _turns(row: Mapping[str, Any]) -> list[Any]:
    """A list of messages, each OpenAI's or ShareGPT's."""
    (key,) = (key for key in ("messages", "conversations") if key in row)
    if not isinstance(row[key], list):
        raise RowFault(f"{key} are a list, not {_kind(row[key])}")
    before = [{"role": "system", "content": row["system"]}] if row.get("system") else []
    return [*before, *(_spoken(place, turn) for place, turn in enumerate(row[key], 1))]


def _spoken(place: int, turn: Any) -> Any:
    """A message of ShareGPT's in OpenAI's form; any other as it is."""
    if not isinstance(turn, dict) or turn.get("from") is None:
        return turn
    if turn.get("role") is not None:
        raise RowFault(f"message {place} has 'role' and 'from': leave one out")
    speaker, value = turn["from"], turn.get("value")
    if not isinstance(speaker, str) or speaker not in _SPEAKERS:
        raise RowFault(f"message {place}: from {speaker!r} is not one of {', '.join(_SPEAKERS)}")
    if value is None and turn.get("content") is None:
        raise RowFault(f"message {place} has no content; it has the keys {', '.join(turn)}")
    rest = {key: each for key, each in turn.items() if key not in ("from", "value")}
    if speaker != "function_call":
        return {"role": _SPEAKERS[speaker], "content": value, **rest}
    call = _json(value, f"message {place}: a function_call is") if isinstance(value, str) else value
    return {"role": "assistant", "tool_calls": [{"function": one} for one in _listed(call)], **rest}


def _alpaca(row: Mapping[str, Any]) -> list[Any]:
    before = [{"role": "system", "content": row["system"]}] if row.get("system") else []
    asked = [row["instruction"], row["input"]] if row.get("input") else [row["instruction"]]
    history = row.get("history") or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise RowFault("history is a list of pairs of a question and its answer")
    pairs = [*history, [_joined(asked), row["output"]]]
    return [*before, *(turn for pair in pairs for turn in _question_and_answer(*pair))]


def _joined(texts: Sequence[Any]) -> str:
    if not all(isinstance(text, str) for text in texts):
        raise RowFault("instruction and input are texts")
    return "\n".join(texts)


def _prompt_and_completion(row: Mapping[str, Any]) -> list[Any]:
    """Texts, or TRL's lists of messages, of which the completion alone is learnt."""
    prompt, completion = row["prompt"], row["completion"]
    if not (isinstance(prompt, list) or isinstance(completion, list)):
        return _question_and_answer(prompt, completion)
    asked = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    answered = completion if isinstance(completion, list) else [{"role": "assistant", "content": completion}]
    return [*({**turn, "weight": 0} if isinstance(turn, dict) else turn for turn in asked), *answered]


def _question_and_answer(question: Any, answer: Any) -> list[Any]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


_FORMS = (
    _Form(("messages",), ("system",), _turns),
    _Form(("conversations",), ("system",), _turns),
    _Form(("instruction", "output"), ("input", "system", "history"), _alpaca),
    _Form(("prompt", "completion"), (), _prompt_and_completion),
    _Form(("question", "answer"), (), lambda row: _question_and_answer(row["question"], row["answer"])),
)


def _json(text: Any, what: str) -> Any:
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
        return value
    except (ValueError, RecursionError):
        raise RowFault(f"{what} not JSON: {text[:40]!r}") from None


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else [value]


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)
