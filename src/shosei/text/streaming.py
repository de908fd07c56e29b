"""An answer as its tokens come: whole characters, stop texts, and calls of tools apart from words."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shosei.text.call_format import CallFormat
from shosei.text.tokenizer import Tokenizer

_LAST_BRACE = re.compile(r"\}\s*$")
_OPENING = '{"name"'


class StreamDecoder:
    """Decodes one answer token by token. A character cut between tokens waits until its last byte is there.

    The pieces joined equal ``Tokenizer.decode`` of all ids; bytes that are not UTF-8 become U+FFFD in both.
    """

    def __init__(self, token_bytes: Callable[[int], bytes]) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The characters that became whole with this token; often none."""
        return self._decoder.decode(self._token_bytes(token_id))

    def finish(self) -> str:
        """What is left when no more tokens come: U+FFFD for a character that never became whole, or nothing."""
        return self._decoder.decode(b"", final=True)


class StopFilter:
    """Passes text on up to the first stop string and never a part of one, however the text is cut into pieces.

    The stop that is complete first wins; of two that end together, the longer.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False
        self.rest = ""  # what came behind the stop

    def push(self, text: str) -> str:
        """Take more text; return what can no longer belong to a stop."""
        held = self._held + text
        hits = [(at + len(stop), at) for stop in self._stops if (at := held.find(stop)) >= 0]
        if hits:
            self.found = True
            end, begin = min(hits)
            self._held, self.rest = "", held[end:]
            return held[:begin]
        keep = max((_overlap(held, stop) for stop in self._stops), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def finish(self) -> str:
        """No more text comes: return what was held back."""
        rest, self._held = self._held, ""
        return rest


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

    A call whose text is cut off lacks the end of its arguments; one that never names a tool is left out. Without a
    ``call_format`` all text is words.
    """

    def __init__(self, tokenizer: Tokenizer, call_format: CallFormat | None) -> None:
        self._tokenizer, self._format = tokenizer, call_format
        self._decoder = StreamDecoder(tokenizer.token_bytes)
        self._call: _CallReader | None = None
        self._mark_id = -1  # of the token that ends words, or a call; -1 where a text does
        self._passing: StopFilter | _OpeningFilter = StopFilter([])
        if self._format:
            self._await(self._format.begin)
            if not self._format.begin:
                self._passing = _OpeningFilter()

    def push(self, token_id: int) -> list[Piece]:
        """What became readable with this token; often nothing."""
        if token_id != self._mark_id:
            return self._read(self._decoder.push(token_id))
        rest = self.finish()
        self._decoder = StreamDecoder(self._tokenizer.token_bytes)
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
        self._mark_id = self._tokenizer.special_id(mark)
        self._passing = StopFilter([mark] if mark and self._mark_id < 0 else [])


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
        # The last brace may be the call's own, which is not part of the arguments.
        brace = _LAST_BRACE.search(self._held)
        ready = self._held[: brace.start()] if brace else self._held
        self._held = self._held[len(ready) :]
        return [*pieces, CallPiece(arguments=ready)] if ready else pieces


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that is a proper beginning of ``stop``."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
