"""What each request of a load asks: a prompt by itself, or the next question of a conversation."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from shosei.load.config import LoadConfig
from shosei.load.prompts import Messages, order


@dataclass(frozen=True, slots=True)
class Conversation:
    """The ``body`` of a request, JSON, and the ``messages`` in it."""

    messages: Messages
    body: bytes


class Conversations:
    """The conversations of a load by number. What a number asks does not depend on how many processes share the load,
    except that a conversation goes on in the process that has its answer.
    """

    def __init__(self, config: LoadConfig, prompts: Sequence[Messages]) -> None:
        self._config, self._prompts = config, prompts
        self._order = order(len(prompts), config.seed)
        self._bodies: dict[int, bytes] = {}
        self._waiting: deque[Messages] = deque()  # answered conversations that may go on, longest wait first

    def take(self, number: int) -> Conversation:
        """What request ``number`` asks."""
        place = self._order[number % len(self._order)]
        prompt = self._prompts[place]
        if self._waiting and self._continues(number):
            messages = [*self._waiting.popleft(), *prompt[-1:]]
            return Conversation(messages, self._body(messages))
        if place not in self._bodies:
            self._bodies[place] = self._body(prompt)
        return Conversation(prompt, self._bodies[place])

    def answered(self, conversation: Conversation, text: str) -> None:
        """Keep the conversation, for a later request to go on with."""
        turns = sum(message["role"] == "user" for message in conversation.messages)
        if self._config.continue_share and turns < self._config.max_turns:
            self._waiting.append([*conversation.messages, {"role": "assistant", "content": text}])

    def _continues(self, number: int) -> bool:
        draw = zlib.crc32(b"%d %d" % (self._config.seed, number)) / 2**32
        return draw < self._config.continue_share

    def _body(self, messages: Messages) -> bytes:
        config = self._config
        body: dict[str, Any] = {
            "model": config.model,
            "messages": messages,
            "max_tokens": config.max_tokens,
            "temperature": config.temperature,
            "stream": config.stream,
        }
        if config.stream and config.usage:
            body["stream_options"] = {"include_usage": True}
        return msgspec.json.encode(config.extended(body))
