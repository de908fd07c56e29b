"""An answer as its tokens come: thoughts, words, and calls of tools, each apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shosei.text.call_format import CallFormat
from shosei.text.streaming import StopFilter, StreamDecoder
from shosei.text.thoughts import MARKS, ThoughtFilter, ThoughtPiece
from shosei.text.tokenizer import Tokenizer

_OPENING = '{"name"'


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A part of a tool call. A call begins with a part that names its tool and has no arguments.

    The arguments of the parts behind it, joined, are a JSON object.
    """

    name: str = ""
    arguments: str = ""


Piece = str | ThoughtPiece | CallPiece


class AnswerReader:
    """Reads one answer token by token: words go out once they are whole characters, calls as their text comes.

    A call whose text is cut off lacks the end of its arguments; one that never names a tool is left out. White space
    between two calls, or behind the last, is no words. Without a ``call_format`` all text is words, and without
    ``thoughts`` none is a thought.
    """

    def __init__(
        self, tokenizer: Tokenizer, call_format: CallFormat | None, thoughts: ThoughtFilter | None = None
    ) -> None:
        self._tokenizer, self._format, self._thoughts = tokenizer, call_format, thoughts
        self._thought_ids = {tokenizer.special_id(mark): mark for mark in MARKS} if thoughts else {}
        self._decoder = StreamDecoder(tokenizer.token_bytes)
        self._call: _CallReader | None = None
        self._space: str | None = None  # behind a call, as long as nothing else is
        self._mark_id = -1  # of the token that ends words, or a call; -1 where a text does
        self._passing: StopFilter | _OpeningFilter = StopFilter([])
        if self._format:
            self._await(self._format.begin)
            if not self._format.begin:
                self._passing = _OpeningFilter()

    @property
    def thinking(self) -> bool:
        """Whether the next token belongs to a thought."""
        return self._thoughts is not None and self._thoughts.open

    def push(self, token_id: int) -> list[Piece]:
        """What became readable with this token; often nothing."""
        if not self.thinking and token_id == self._mark_id and not self._is_quoted(token_id):
            rest = self.finish()
            self._decoder = StreamDecoder(self._tokenizer.token_bytes)
            self._change()
            return rest
        return self._read(self._thought_ids.get(token_id) or self._decoder.push(token_id))

    def finish(self, cut_off: bool = False) -> list[Piece]:
        """What is left when no more tokens come. Of an answer that was ``cut_off``, half a character and half a mark
        are nothing: more tokens would have made them whole."""
        pieces = self._read("" if cut_off else self._decoder.finish())
        if self._thoughts:
            thought, words = self._thoughts.finish(cut_off)
            pieces += [*([ThoughtPiece(thought)] if thought else []), *self._read_answer(words)]
        words = "" if self._call or cut_off else self._without_space(self._passing.finish())
        return [*pieces, words] if words else pieces

    def _is_quoted(self, token_id: int) -> bool:
        """Whether a mark that is also a text stands within a call's arguments."""
        return self._call is not None and self._call.within_arguments and bool(self._tokenizer.token_bytes(token_id))

    def _read(self, text: str) -> list[Piece]:
        if self._thoughts is None:
            return self._read_answer(text)
        thought, words = self._thoughts.push(text)
        return [*([ThoughtPiece(thought)] if thought else []), *self._read_answer(words)]

    def _read_answer(self, text: str) -> list[Piece]:
        pieces = self._pass(text)
        while self._passing.found:
            rest = self._passing.rest
            self._change()
            pieces += self._pass(rest)
        return pieces

    def _pass(self, text: str) -> list[Piece]:
        """Only what stands outside a call's arguments can be a mark."""
        if self._call:
            called, behind = self._call.push(text)
            self._passing.push(behind)
            return [*called]
        words = self._without_space(self._passing.push(text))
        return [words] if words else []

    def _without_space(self, words: str) -> str:
        """``words``, behind a call from the first that is not white space on, with the space before it."""
        if self._space is None:
            return words
        self._space += words
        if not self._space.strip():
            return ""
        words, self._space = self._space, None
        return words

    def _change(self) -> None:
        """From words to a call, or from a call to words."""
        assert self._format
        self._space = "" if self._call else None
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
        self._head = re.compile(rf'\s*\{{\s*"name"\s*:\s*"([^"]*)"\s*,\s*"{key}"\s*:\s*(?=\S)')
        self._held: str | None = ""  # None: the head has been read
        self._arguments = _ObjectScanner()

    @property
    def within_arguments(self) -> bool:
        return self._held is None and not self._arguments.ended

    def push(self, text: str) -> tuple[list[CallPiece], str]:
        """The parts of the call that ``text`` adds, and what of it is not part of the arguments."""
        pieces = []
        if self._held is not None:
            self._held += text
            head = self._head.match(self._held)
            if head is None:
                return [], text
            text, self._held = self._held[head.end() :], None
            pieces.append(CallPiece(name=head[1]))
        end = self._arguments.push(text)
        return [*pieces, CallPiece(arguments=text[:end])] if end else pieces, text[end:]


class _ObjectScanner:
    """Finds where a JSON object ends, however its text is cut into pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_text = self._escaped = False
        self.ended = False

    def push(self, text: str) -> int:
        """How many characters of ``text`` belong to the object."""
        for place, character in enumerate(text):
            if self.ended:
                return place
            self._take(character)
        return len(text)

    def _take(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = self._in_text
        elif character == '"':
            self._in_text = not self._in_text
        elif not self._in_text and character in "{}":
            self._depth += 1 if character == "{" else -1
            self.ended = self._depth <= 0
