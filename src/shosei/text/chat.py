"""The chat format: InternLM2's ChatML, ``<|im_start|>role``, newline, content, ``<|im_end|>``, newline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shosei.errors import InputError
from shosei.text.template import ChatTemplate
from shosei.text.tokenizer import Tokenizer

ROLES = ("system", "user", "assistant", "environment")

Message = Mapping[str, str]


def render(tokenizer: Tokenizer, messages: Sequence[Message], add_generation_prompt: bool = True) -> list[int]:
    """Ids of a conversation, as ``chat_template.jinja`` lays it out.

    Special tokens are placed as ids and content is encoded as plain text, so that no content can forge one.
    Raises InputError for a role that the format does not have.
    """
    if tokenizer.chat:
        return _template(tokenizer).render(tokenizer, messages, None, add_generation_prompt)
    ids = [token_id for message in messages for token_id in _render_message(tokenizer, message)]
    if add_generation_prompt:
        ids += _answer_header(tokenizer)
    return ids


def training_example(tokenizer: Tokenizer, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
    """Ids of a conversation up to the end of its last answer, and a mask of equal length.

    The mask is true where loss is taken: on the assistant's words and on the ``<|im_end|>`` behind them.
    """
    if tokenizer.chat:
        return _template(tokenizer).training_example(tokenizer, messages, None)
    ids: list[int] = []
    mask: list[bool] = []
    header = len(_answer_header(tokenizer))
    learned = 0
    for message in messages:
        part = _render_message(tokenizer, message)
        end = part.index(tokenizer.end_id) + 1
        answer = message["role"] == "assistant"
        if answer:
            learned = len(ids) + end
        ids += part
        mask += [answer and header <= place < end for place in range(len(part))]
    return ids[:learned], mask[:learned]


def _template(tokenizer: Tokenizer) -> ChatTemplate:
    template = tokenizer.chat and tokenizer.chat.template
    if not template:
        raise InputError("this is a base model without a chat template: ask for completions", param="messages")
    return template


def _answer_header(tokenizer: Tokenizer) -> list[int]:
    return [tokenizer.bos_id, *tokenizer.encode("assistant\n")]


def _render_message(tokenizer: Tokenizer, message: Message) -> list[int]:
    role = message["role"]
    if role not in ROLES:
        raise InputError(f"role '{role}' is not one of {', '.join(ROLES)}", param="messages")
    # Role and content in one piece: a newline and white space that follows it may share a token.
    words = tokenizer.encode(f"{role}\n{message['content']}")
    return [tokenizer.bos_id, *words, tokenizer.end_id, *tokenizer.encode("\n")]
