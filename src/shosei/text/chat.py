"""Chat formats: how conversations are laid out as ids. Ours stands here; a folder's own is a ``template``.

Ours is InternLM2's ChatML: ``<|im_start|>role``, newline, content, ``<|im_end|>``, newline. Tools stand in a message
``system name=<|plugin|>`` before all others, as a JSON list. A call of one follows the assistant's words:
``<|action_start|><|plugin|>``, newline, ``{"name":…,"parameters":{…}}``, ``<|action_end|>``. Its result is a message
``environment name=<|plugin|>``. All this JSON is compact and keeps its characters unescaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from shosei.errors import InputError
from shosei.text.call_format import OURS, CallFormat, parsed
from shosei.text.foreign import has_our_format
from shosei.text.template import FolderChat, Messages, Tools, is_learnt, load_templates
from shosei.text.tokenizer import Tokenizer
from shosei.wire.message import text_of

ROLES = ("system", "user", "assistant", "environment", "tool")


class ChatML:
    """Our chat format, as ``chat_template.jinja`` has it. Arguments of calls are made compact first, which a template
    cannot do.

    Messages are OpenAI's: ``role`` and ``content``, a text or text parts; an assistant's may hold ``tool_calls``, and
    ``tool`` is a result.
    A tool is ``{"type": "function", "function": {"name", "description", "parameters"}}``, or what stands under
    ``function`` alone.
    """

    call_format: CallFormat | None = OURS  # how the model writes calls of tools; None: unknown
    has_thoughts = False  # whether its answers begin with thoughts between marks
    worded_tools = False  # whether tools stand in the messages' words, as the template has no place for them

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

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
        """Ids of a conversation. No content can forge a special token: its name there is encoded as plain text.

        With ``continue_final_message`` they end with the last message's words, which the model is to continue.
        ``variables`` are those of a template, by name; this format reads none. Raises InputError for a role that the
        format does not have, and for content that is no text; TooManyTokens, before anything is encoded, for one that
        has more than ``room`` tokens by its bytes alone.
        """
        self.tokenizer.check_room((text_of(message.get("content")) for message in messages), room)
        ids = self._tools(tools) if tools else []
        *before, last = messages if continue_final_message else [*messages, None]
        ids += [token_id for message in before if message for token_id in self._message(message)]
        if last:
            return [
                *ids,
                self.tokenizer.bos_id,
                *self.tokenizer.encode(f"{last['role']}\n{text_of(last.get('content'))}"),
            ]
        return ids + self._answer_header() if add_generation_prompt else ids

    def reads(self, name: str) -> bool:
        """Whether the layout depends on a variable, or on a key of a message, of this name beside those above."""
        return False

    def training_example(self, messages: Messages, tools: Tools = None) -> tuple[list[int], list[bool]]:
        """Ids of a conversation up to the end of its last answer, and a mask of equal length.

        The mask is true where loss is taken: on the assistant's words and calls and on the token that ends them, of
        each answer whose ``weight`` is not 0. Without such an answer both are empty.
        """
        ids = self._tools(tools) if tools else []
        mask = [False] * len(ids)
        header = len(self._answer_header())
        learned = 0
        for message in messages:
            part = self._message(message)
            end = part.index(self.tokenizer.end_id) + 1
            answer = is_learnt(message)
            if answer:
                learned = len(ids) + end
            ids += part
            mask += [answer and header <= place < end for place in range(len(part))]
        return ids[:learned], mask[:learned]

    def _answer_header(self) -> list[int]:
        return [self.tokenizer.bos_id, *self.tokenizer.encode("assistant\n")]

    def _tools(self, tools: Sequence[Mapping[str, Any]]) -> list[int]:
        functions = [tool.get("function") or tool for tool in tools]
        described = [
            {
                "name": function["name"],
                "description": function.get("description") or "",
                "parameters": function.get("parameters") or {},
            }
            for function in functions
        ]
        return self._enclose(self._plugin("system name=", compact(described)))

    def _message(self, message: Mapping[str, Any]) -> list[int]:
        role, content = message["role"], text_of(message.get("content"))
        if role not in ROLES:
            raise InputError(f"role '{role}' is not one of {', '.join(ROLES)}", param="messages")
        if role == "tool":
            return self._enclose(self._plugin("environment name=", content))
        # Role and content in one piece: a newline and white space that follows it may share a token.
        ids = self.tokenizer.encode(f"{role}\n{content}")
        for call in message.get("tool_calls") or []:
            ids += self._call(call["function"])
        return self._enclose(ids)

    def _call(self, function: Mapping[str, Any]) -> list[int]:
        arguments = parsed(function["arguments"])
        shown = arguments if isinstance(arguments, str) else compact(arguments)
        text = OURS.head_of(function["name"]) + shown + "}"
        start, end = map(self.tokenizer.special_id, (OURS.begin, OURS.end))
        return [start, *self._plugin("", text), end]

    def _plugin(self, before: str, content: str) -> list[int]:
        encode = self.tokenizer.encode
        return [*encode(before), self.tokenizer.special_id("<|plugin|>"), *encode(f"\n{content}")]

    def _enclose(self, ids: list[int]) -> list[int]:
        return [self.tokenizer.bos_id, *ids, self.tokenizer.end_id, *self.tokenizer.encode("\n")]


ChatFormat = ChatML | FolderChat  # alike in their methods; each holds the tokenizer that it uses


def load_chat(folder: Path) -> ChatFormat:
    """The chat format of a model folder with its tokenizer. Raises InputError as ``Tokenizer.load`` does, and for a
    template that is not one."""
    tokenizer = Tokenizer.load(folder)
    return ChatML(tokenizer) if tokenizer.is_ours and has_our_format(folder) else load_templates(folder, tokenizer)


def compact(value: Any) -> str:
    """``value`` as JSON without white space, its characters unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
