"""Thoughts of a model that reasons before it answers: ``<think>``, the thought, ``</think>``, the answer."""

from __future__ import annotations

from dataclasses import dataclass

from shosei.text.streaming import StopFilter

OPEN, CLOSE = MARKS = ("<think>", "</think>")


@dataclass(frozen=True, slots=True)
class ThoughtPiece:
    """A part of a thought, which is no part of the answer."""

    text: str


class ThoughtFilter:
    """Parts the thought at the beginning of an answer from the answer, however the text is cut into pieces.

    White space at the edges of the thought, and before the answer behind it, belongs to neither.
    """

    def __init__(self, open: bool) -> None:
        """``open``: the prompt has begun the thought already."""
        self.open = open  # whether what comes next is the thought's
        self._close = StopFilter([CLOSE])
        self._start: str | None = None if open else ""  # of an answer that may yet begin with a thought
        self._space = ""  # held back at the end of a thought
        self._at_edge = open  # only white space so far, of the thought or of the answer behind it

    def push(self, text: str) -> tuple[str, str]:
        """The thought and the answer that became readable; often one of them is empty."""
        if self._start is not None:
            self._start += text
            begun = self._start.lstrip()
            if OPEN.startswith(begun) and begun != OPEN:
                return "", ""
            text, self._start = self._start, None
            if begun.startswith(OPEN):
                text, self.open, self._at_edge = begun.removeprefix(OPEN), True, True
        if not self.open:
            return "", self._from_edge(text)
        thought = self._without_edges(self._close.push(text))
        if not self._close.found:
            return thought, ""
        self.open, self._at_edge = False, True
        return thought, self._from_edge(self._close.rest)

    def finish(self, cut_off: bool = False) -> tuple[str, str]:
        """What is left when no more text comes; half a mark at the end of what was ``cut_off`` is nothing."""
        if cut_off:
            return "", ""
        if self._start is not None:
            words, self._start = self._start, None
            return "", words
        return (self._without_edges(self._close.finish()), "") if self.open else ("", "")

    def _from_edge(self, text: str) -> str:
        if self._at_edge:
            text = text.lstrip()
            self._at_edge = not text
        return text

    def _without_edges(self, text: str) -> str:
        text = self._space + self._from_edge(text)
        shown = text.rstrip()
        self._space = text[len(shown) :]
        return shown


def is_open(text: str) -> bool:
    """Whether ``text``, which a model is to continue, ends within a thought."""
    return text.rfind(OPEN) > text.rfind(CLOSE)
