"""The two forms of an answer, chat and plain text: whole, or chunk by chunk. Every method returns a JSON object."""

from __future__ import annotations

import time
from typing import Protocol

import msgspec

from shosei.wire.openai import (
    AnswerMessage,
    ChatChoice,
    ChatChunk,
    ChatChunkChoice,
    ChatCompletion,
    Completion,
    Delta,
    TextChoice,
    Usage,
)

_encode = msgspec.json.Encoder().encode


class Shape(Protocol):
    """How one endpoint words an answer."""

    def whole(self, text: str, finish_reason: str, usage: Usage) -> bytes: ...

    def opening(self) -> bytes | None:
        """The chunk before any text, where the form has one."""

    def piece(self, text: str) -> bytes: ...

    def closing(self, finish_reason: str) -> bytes: ...

    def usage(self, usage: Usage) -> bytes: ...


class ChatShape:
    """``chat.completion`` and ``chat.completion.chunk``."""

    def __init__(self, id: str, model: str) -> None:
        self._id, self._model, self._created = id, model, int(time.time())

    def whole(self, text: str, finish_reason: str, usage: Usage) -> bytes:
        choices = [ChatChoice(AnswerMessage(text), finish_reason)]
        return _encode(
            ChatCompletion(id=self._id, created=self._created, model=self._model, choices=choices, usage=usage)
        )

    def opening(self) -> bytes:
        return self._chunk([ChatChunkChoice(Delta(role="assistant", content=""))])

    def piece(self, text: str) -> bytes:
        return self._chunk([ChatChunkChoice(Delta(content=text))])

    def closing(self, finish_reason: str) -> bytes:
        return self._chunk([ChatChunkChoice(Delta(), finish_reason)])

    def usage(self, usage: Usage) -> bytes:
        return self._chunk([], usage)

    def _chunk(self, choices: list[ChatChunkChoice], usage: Usage | None = None) -> bytes:
        return _encode(
            ChatChunk(
                id=self._id, created=self._created, model=self._model, choices=choices,
                object="chat.completion.chunk", usage=usage,
            )
        )  # fmt: skip


class TextShape:
    """``text_completion``, the same object whole and in chunks."""

    def __init__(self, id: str, model: str) -> None:
        self._id, self._model, self._created = id, model, int(time.time())

    def whole(self, text: str, finish_reason: str, usage: Usage) -> bytes:
        return self._completion([TextChoice(text, finish_reason)], usage)

    def opening(self) -> None:
        return None

    def piece(self, text: str) -> bytes:
        return self._completion([TextChoice(text)])

    def closing(self, finish_reason: str) -> bytes:
        return self._completion([TextChoice("", finish_reason)])

    def usage(self, usage: Usage) -> bytes:
        return self._completion([], usage)

    def _completion(self, choices: list[TextChoice], usage: Usage | None = None) -> bytes:
        return _encode(
            Completion(
                id=self._id, created=self._created, model=self._model, choices=choices,
                object="text_completion", usage=usage,
            )
        )  # fmt: skip
