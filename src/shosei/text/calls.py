"""From the tokens of an answer to its words and its tool calls, as they come."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shosei.text.tokenizer import Tokenizer

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"]*)"\s*,\s*"parameters"\s*:\s*')
_LAST_BRACE = re.compile(r"\}\s*$")


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A part of a tool call. A call begins with a part that names its tool and has no arguments.

    The arguments of the parts behind it, joined, are a JSON object.
    """

    name: str = ""
    arguments: str = ""


Piece = str | CallPiece


class AnswerReader:
    """Reads one answer token by token: words go out once they are whole characters, calls as their text comes.

    A call whose text is cut off lacks the end of its arguments; one that never names a tool is left out. Without
    ``calls`` all text is words.
    """

    def __init__(self, tokenizer: Tokenizer, calls: bool = True) -> None:
        self._tokenizer = tokenizer
        self._begin = tokenizer.special_id("<|action_start|>")
        self._bounds = (self._begin, tokenizer.special_id("<|action_end|>")) if calls else ()
        self._decoder = tokenizer.stream()
        self._call: _CallReader | None = None

    def push(self, token_id: int) -> list[Piece]:
        """What became readable with this token; often nothing."""
        if token_id not in self._bounds:
            return self._read(self._decoder.push(token_id))
        rest = self.finish()
        self._decoder = self._tokenizer.stream()
        self._call = _CallReader() if token_id == self._begin else None
        return rest

    def finish(self) -> list[Piece]:
        """What is left when no more tokens come."""
        return self._read(self._decoder.finish())

    def _read(self, text: str) -> list[Piece]:
        if self._call:
            return [*self._call.push(text)]
        return [text] if text else []


class _CallReader:
    """The text between ``<|plugin|>`` and ``<|action_end|>``."""

    def __init__(self) -> None:
        self._held = ""
        self._named = False

    def push(self, text: str) -> list[CallPiece]:
        self._held += text
        pieces = []
        if not self._named:
            head = _HEAD.match(self._held)
            if head is None:
                return []
            self._named, self._held = True, self._held[head.end() :]
            pieces.append(CallPiece(name=head[1]))
        # The last brace may be the call's own, which is no part of the arguments.
        brace = _LAST_BRACE.search(self._held)
        ready = self._held[: brace.start()] if brace else self._held
        self._held = self._held[len(ready) :]
        return [*pieces, CallPiece(arguments=ready)] if ready else pieces
