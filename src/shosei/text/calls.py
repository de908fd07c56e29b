"""From the tokens of an answer to its words and its tool calls, as they come."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shosei.text.stops import StopFilter
from shosei.text.tokenizer import Tokenizer

_LAST_BRACE = re.compile(r"\}\s*$")
_OPENING = '{"name"'


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
    ``calls``, or where the tokenizer's model has no format for them, all text is words.
    """

    def __init__(self, tokenizer: Tokenizer, calls: bool = True) -> None:
        self._tokenizer = tokenizer
        self._format = tokenizer.call_format if calls else None
        self._decoder = tokenizer.stream()
        self._call: _CallReader | None = None
        self._turn = -1  # the token that ends words, or a call; -1, which no token is: a text does
        self._passing: StopFilter | _OpeningFilter = StopFilter([])
        if self._format:
            self._await(self._format.begin)
            if not self._format.begin:
                self._passing = _OpeningFilter()

    def push(self, token_id: int) -> list[Piece]:
        """What became readable with this token; often nothing."""
        if token_id != self._turn:
            return self._read(self._decoder.push(token_id))
        rest = self.finish()
        self._decoder = self._tokenizer.stream()
        self._change()
        return rest

    def finish(self) -> list[Piece]:
        """What is left when no more tokens come."""
        return self._read(self._decoder.finish()) + self._pass(self._passing.finish())

    def _read(self, text: str) -> list[Piece]:
        pieces = self._pass(self._passing.push(text))
        while self._passing.found:
            rest = self._passing.rest
            self._change()
            pieces += self._pass(self._passing.push(rest))
        return pieces

    def _pass(self, text: str) -> list[Piece]:
        if self._call:
            return [*self._call.push(text)]
        return [text] if text else []

    def _change(self) -> None:
        """From words to a call, or from a call to words."""
        assert self._format
        self._call = None if self._call else _CallReader(self._format.key)
        self._await(self._format.end if self._call else self._format.begin)

    def _await(self, mark: str) -> None:
        self._turn = self._tokenizer.special_id(mark)
        self._passing = StopFilter([mark] if mark and self._turn < 0 else [])


class _OpeningFilter:
    """As a ``StopFilter``, for calls without a mark: stops where the text begins as a call does."""

    def __init__(self) -> None:
        self._held: str | None = ""  # None: it begins otherwise
        self.found = False
        self.rest = ""

    def push(self, text: str) -> str:
        if self._held is None:
            return text
        self._held += text
        start = self._held.lstrip()
        if start.startswith(_OPENING):
            self.found, self.rest = True, self._held
        elif not _OPENING.startswith(start):
            return self.finish()
        return ""

    def finish(self) -> str:
        held, self._held = self._held, None
        return held or ""


class _CallReader:
    """The text of a call between its marks."""

    def __init__(self, key: str) -> None:
        self._head = re.compile(rf'\s*\{{\s*"name"\s*:\s*"([^"]*)"\s*,\s*"{key}"\s*:\s*')
        self._held = ""
        self._named = False

    def push(self, text: str) -> list[CallPiece]:
        self._held += text
        pieces = []
        if not self._named:
            head = self._head.match(self._held)
            if head is None:
                return []
            self._named, self._held = True, self._held[head.end() :]
            pieces.append(CallPiece(name=head[1]))
        # The last brace may be the call's own, which is no part of the arguments.
        brace = _LAST_BRACE.search(self._held)
        ready = self._held[: brace.start()] if brace else self._held
        self._held = self._held[len(ready) :]
        return [*pieces, CallPiece(arguments=ready)] if ready else pieces
