"""A foreign folder's own chat template, rendered as transformers renders it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shosei.errors import InputError
from shosei.text.call_format import HERMES, KNOWN, CallFormat, as_object
from shosei.text.foreign import SPECIAL_TOKENS, TEMPLATE, TOOL_TEMPLATE, read_templates, token_names
from shosei.text.thoughts import MARKS
from shosei.text.tokenizer import Tokenizer
from shosei.text.worded_tools import without_tools
from shosei.wire.message import text_of

# OpenAI's messages and tools, as ``chat`` says.
Messages = Sequence[Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]] | None

# No character, and so in no user's text. It parts the names of special tokens until they are encoded as text.
_GUARD = "\ufdd0"
# No character either: it stands behind the words of a message that is continued.
_END_MARK = "\ufdd1"


class FolderChat:
    """The chat format of a folder that is not ours: Jinja with ``bos_token`` and the like in ``names``.

    ``source`` empty: a base model's folder, which has no chat. ``tool_source``: of conversations with tools, where that
    is another. ``worded_tools``: the template knows no tools, so they stand in the messages' words.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        names: Mapping[str, str],
        source: str = "",
        tool_source: str = "",
        worded_tools: bool = False,
    ) -> None:
        """Raises InputError if a source is not a template."""
        self.worded_tools = worded_tools
        self.tokenizer, self._names = tokenizer, dict(names)
        self._source = source + tool_source
        self._template = _compiled(source) if source else None
        self._tool_template = _compiled(tool_source) if tool_source else self._template
        longest_first = sorted(tokenizer.special_names, key=len, reverse=True)
        self._special = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else None

    @cached_property
    def call_format(self) -> CallFormat | None:
        """The known format that the template gives a call of an earlier turn; None: it has none, or another."""
        if self.worded_tools:
            return HERMES
        name, arguments = "f", {"x": [1, 2]}
        schema = {"type": "object", "properties": {"x": {"type": "array", "description": ""}}}
        tools = [{"type": "function", "function": {"name": name, "description": "", "parameters": schema}}]
        call = {"type": "function", "function": {"name": name, "arguments": arguments}}
        question = {"role": "user", "content": "?"}
        answer = {"role": "assistant", "content": "", "tool_calls": [call]}
        try:
            template = self._template_of([question, answer], tools)
            prompt = self._text(template, [question], tools, True)
            whole = self._text(template, [question, answer], tools, False)
        except InputError:
            return None
        if not whole.startswith(prompt):
            return None
        turn = whole[len(prompt) :]
        for form in KNOWN:
            place = turn.find(form.write(name, arguments))
            if place == 0 or (place > 0 and form.begin):
                return form
        return None

    @cached_property
    def has_thoughts(self) -> bool:
        """Whether the model's answers begin with thoughts: its template or its tokenizer knows their marks."""
        return any(mark in self._source or self.tokenizer.special_id(mark) >= 0 for mark in MARKS)

    def reads(self, name: str) -> bool:
        """As ``ChatML.reads``."""
        return re.search(rf"\b{re.escape(name)}\b", self._source) is not None

    def render(
        self,
        messages: Messages,
        tools: Tools = None,
        add_generation_prompt: bool = True,
        *,
        continue_final_message: bool = False,
        variables: Mapping[str, Any] = MappingProxyType({}),
        room: int | None = None,
    ) -> list[int]:
        """As ``ChatML.render``. Raises InputError if the template refuses the messages, or there is none."""
        template = self._template_of(messages, tools)
        if continue_final_message:
            text = self._up_to_end(template, messages, tools, variables)
        else:
            text = self._text(template, messages, tools, add_generation_prompt, variables)
        self.tokenizer.check_room([text.replace(_GUARD, "")], room)
        return self._encode(text)

    def _up_to_end(self, template: Template, messages: Messages, tools: Tools, variables: Mapping[str, Any]) -> str:
        """The layout up to the end of the last message's words, found by a mark behind them, as transformers does it.

        The words themselves may also stand in what the template writes behind them.
        """
        *before, last = messages
        words = text_of(last.get("content"))
        mark = _END_MARK + " "
        text = self._text(template, [*before, {**last, "content": words + mark}], tools, False, variables)
        end = text.rfind(_END_MARK)
        if end < 0 or not words.strip() or self._guard(words).strip() not in text:
            raise InputError(
                "continue_final_message: the template does not show this message as it is", param="messages"
            )
        # Some templates strip the space at the end.
        return text[:end] if text.startswith(mark, end) else text[:end].rstrip()

    def text(self, messages: Messages, tools: Tools = None, add_generation_prompt: bool = True) -> str:
        """What ``render`` gives the ids of. Raises InputError as it does."""
        return self._text(self._template_of(messages, tools), messages, tools, add_generation_prompt)

    def training_example(self, messages: Messages, tools: Tools = None) -> tuple[list[int], list[bool]]:
        """As ``ChatML.training_example``.

        Loss is taken on the last answer alone if the template rewrites earlier turns, as those do that drop their
        thoughts. Raises InputError if the template lays out an answer otherwise than its prompt announced, or leaves
        tools out.
        """
        if tools and not (self.worded_tools or self.reads("tools")):
            raise InputError("the model's chat template shows no tools", param="tools")
        template = self._template_of(messages, tools)
        ids: list[int] = []
        mask: list[bool] = []
        for place, message in enumerate(messages):
            if not is_learnt(message):
                continue
            prompt = self._ids(template, messages[:place], tools, True)
            whole = self._answered(template, messages, place, tools, len(prompt))
            if whole[: len(prompt)] != prompt:
                raise InputError("the model's chat template lays out answers otherwise than it announces them")
            if prompt[: len(ids)] != ids:  # earlier turns are rewritten: only the last answer stands as it was given
                ids, mask = [], []
            mask += [False] * (len(prompt) - len(ids)) + [True] * (len(whole) - len(prompt))
            ids = whole
        return ids, mask

    def _answered(self, template: Template, messages: Messages, place: int, tools: Tools, start: int) -> list[int]:
        """Ids up to the end of the answer at ``place``, which begins at ``start``.

        Where a template writes no end token (GLM's), the mark of the next turn is the end, if it is one for the
        tokenizer; where that is not either, the answer has no end.
        """
        whole = self._ids(template, messages[: place + 1], tools, False)
        if end := self._end(whole, start):
            return whole[:end]
        following = messages[place + 1 : place + 2] or [{"role": "user", "content": "?"}]
        try:
            longer = self._ids(template, [*messages[: place + 1], *following], tools, False)
        except InputError:  # it takes no further turn
            return whole
        mark = longer[len(whole) : len(whole) + 1]
        return whole + mark if longer[: len(whole)] == whole and self._end(mark, 0) else whole

    def _end(self, ids: Sequence[int], start: int) -> int:
        """The place behind the first end token from ``start`` on; 0: there is none."""
        return next((place + 1 for place in range(start, len(ids)) if ids[place] in self.tokenizer.end_ids), 0)

    def _template_of(self, messages: Messages, tools: Tools) -> Template:
        """What lays out this conversation. Raises InputError if there is nothing."""
        calling = tools or any(message.get("tool_calls") or message["role"] == "tool" for message in messages)
        template = self._tool_template if calling else self._template
        if self._template is None or template is None:
            raise InputError("this is a base model without a chat template: ask for completions", param="messages")
        return template

    def _ids(self, template: Template, messages: Messages, tools: Tools, prompt: bool) -> list[int]:
        return self._encode(self._text(template, messages, tools, prompt))

    def _encode(self, text: str) -> list[int]:
        """The template's special tokens become ids; a name of one in a message stays text."""
        tokenizer = self.tokenizer
        ids = tokenizer.encode(text, allow_special=True)
        if self._special is None:
            return ids
        pieces = self._special.split(text)  # text and special tokens take turns
        special = {tokenizer.special_id(name) for name in tokenizer.special_names}
        placed = sum(token in special for token in ids)
        # A tokenizer that normalises may also make a special token out of other characters.
        if _GUARD not in text and placed == len(pieces) // 2:
            return ids
        return [
            token
            for place, piece in enumerate(pieces)
            for token in tokenizer.encode(piece.replace(_GUARD, ""), allow_special=place % 2 == 1)
        ]

    def _text(
        self,
        template: Template,
        messages: Messages,
        tools: Tools,
        prompt: bool,
        variables: Mapping[str, Any] = MappingProxyType({}),
    ) -> str:
        """The layout, with names of special tokens in what a client says parted. Raises InputError as ``render``, and
        where the template would leave calls of tools out."""
        if self.worded_tools:
            messages, tools = without_tools(messages, tools), None
        turns = [_as_templates_read(message) for message in messages]
        try:
            text: str = template.render(
                messages=self._guard(turns),
                tools=self._guard(tools) if tools else None,
                add_generation_prompt=prompt,
                **({"documents": None} | self._names | self._guard(dict(variables))),
            )
            text.encode()  # a template can write half a surrogate pair, which is no text
        except InputError:
            raise
        except Exception as error:  # a foreign program's: it may fail in any way
            raise InputError(f"the model's chat template refuses this: {error}", param="messages") from None
        if any(message.get("tool_calls") for message in messages) and not self.reads("tool_calls"):
            raise InputError("the model's chat template shows no calls of tools", param="messages")
        return text

    def _guard(self, value: Any) -> Any:
        """``value`` with every name of a special token in it parted, which no template can put together again."""
        if isinstance(value, str):
            return self._special.sub(lambda name: _GUARD.join([*name[0], ""]), value) if self._special else value
        if isinstance(value, dict):
            return {self._guard(key): self._guard(part) for key, part in value.items()}
        return [self._guard(part) for part in value] if isinstance(value, list | tuple) else value


def load_templates(folder: Path, tokenizer: Tokenizer) -> FolderChat:
    """The chat format of a model folder that is not ours. Raises InputError for a template that is not valid Jinja."""
    names = token_names(folder)
    templates = read_templates(folder)
    source, tool_source = templates[TEMPLATE], templates[TOOL_TEMPLATE]
    chat = FolderChat(tokenizer, names, source, tool_source)
    if not source or tool_source or chat.call_format:
        return chat
    # InternLM2's released templates know no tools, but its tokens do.
    if set(SPECIAL_TOKENS) <= set(tokenizer.special_names):
        internlm = resources.files(__package__).joinpath("internlm.jinja").read_text("utf-8")
        return FolderChat(tokenizer, names, source, internlm)
    has_tools = chat.reads("tools") or chat.reads("tool_calls")  # in a format that is not known here
    return chat if has_tools else FolderChat(tokenizer, names, source, worded_tools=True)


class _GenerationTag(Extension):
    """``{% generation %}``, which marks the words that are learnt for transformers, and changes nothing in them.

    Its body is a block call's, with variables of its own, as in transformers' ``chat_template_utils``.
    """

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_words"), [], [], body).set_lineno(line)

    def _words(self, caller: Callable[[], str]) -> str:
        return caller()


def _compiled(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _GenerationTag]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    try:
        return environment.from_string(source)
    except Exception as error:  # Jinja makes Python of it, which refuses in ways of its own, such as too deep nesting
        raise InputError(f"the model's chat template is not Jinja: {error}") from None


def is_learnt(message: Mapping[str, Any]) -> bool:
    """Whether loss is taken on it: an answer that is not told to weigh nothing."""
    return bool(message["role"] == "assistant" and message.get("weight", 1))


def _as_templates_read(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of OpenAI's API in the form that templates are written for: content is a text, some ask whether there
    is a key ``tool_calls``, and most write arguments as JSON themselves."""
    plain = {key: value for key, value in message.items() if key not in ("tool_calls", "weight")}
    plain["content"] = text_of(message.get("content"))
    if not message.get("tool_calls"):
        return plain
    return plain | {"tool_calls": [_with_object(call) for call in message["tool_calls"]]}


def _with_object(call: Mapping[str, Any]) -> dict[str, Any]:
    return {**call, "function": {**call["function"], "arguments": as_object(call["function"]["arguments"])}}


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
