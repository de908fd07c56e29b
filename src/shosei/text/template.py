"""A foreign folder's own chat template, rendered as transformers renders it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shosei.errors import InputError

if TYPE_CHECKING:
    from shosei.text.tokenizer import Tokenizer

# No character, and so in no text of a user's. It parts the names of special tokens until they are encoded as text.
_GUARD = "\ufdd0"


class ChatTemplate:
    """Jinja that lays out a conversation, with ``bos_token`` and the like in ``names``."""

    def __init__(self, source: str, names: Mapping[str, str], special: Sequence[str]) -> None:
        """``special``: the names of all special tokens. Raises InputError if ``source`` is no template."""
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise InputError(f"the model's chat template is not Jinja: {error}") from None
        self._names = dict(names)
        longest_first = sorted(special, key=len, reverse=True)
        self._special = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if special else None

    def render(
        self,
        tokenizer: Tokenizer,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Ids of a conversation. The template's special tokens become ids; a name of one in a message stays text.

        Raises InputError if the template refuses the messages.
        """
        guarded = self._guard([dict(message) for message in messages])
        try:
            text = self._template.render(
                messages=guarded, tools=tools, add_generation_prompt=add_generation_prompt, **self._names
            )
        except TemplateError as error:
            raise InputError(f"the model's chat template refuses this: {error}", param="messages") from None
        if _GUARD not in text or self._special is None:
            return tokenizer.encode(text, allow_special=True)
        pieces = self._special.split(text)  # text and special tokens take turns
        return [
            token
            for place, piece in enumerate(pieces)
            for token in tokenizer.encode(piece.replace(_GUARD, ""), allow_special=place % 2 == 1)
        ]

    def training_example(
        self, tokenizer: Tokenizer, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
    ) -> tuple[list[int], list[bool]]:
        """As ``chat.training_example``: ids up to the end of the last answer, and where loss is taken.

        Raises InputError if the template lays out an answer otherwise than its prompt announced.
        """
        ids: list[int] = []
        mask: list[bool] = []
        for place, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = self.render(tokenizer, messages[:place], tools)
            whole = self.render(tokenizer, messages[: place + 1], tools, add_generation_prompt=False)
            if whole[: len(prompt)] != prompt or prompt[: len(ids)] != ids:
                raise InputError(
                    "the model's chat template rewrites earlier turns, so dialogues cannot be learnt by it"
                )
            ends = (index + 1 for index in range(len(prompt), len(whole)) if whole[index] in tokenizer.end_ids)
            end = next(ends, len(whole))
            mask += [False] * (len(prompt) - len(ids)) + [True] * (end - len(prompt))
            ids = whole[:end]
        return ids, mask

    def _guard(self, value: Any) -> Any:
        """``value`` with every name of a special token in it parted, which no template can put together again."""
        if isinstance(value, str):
            return self._special.sub(lambda name: name[0][0] + _GUARD + name[0][1:], value) if self._special else value
        if isinstance(value, dict):
            return {key: self._guard(part) for key, part in value.items()}
        return [self._guard(part) for part in value] if isinstance(value, list | tuple) else value


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
