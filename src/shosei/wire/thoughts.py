"""What a model thinks before it answers, apart from the answer: by the message's field, its parts' type, or tags."""

from __future__ import annotations

import re
from typing import Any

# A server that does not keep thoughts apart leaves them in the content, between tags of the model.
NAMES = ("think", "thinking", "thought", "reasoning", "seed:think")
_OPENING = (*(f"<{name}>" for name in NAMES), "[think]", "◁think▷")
_CLOSING = re.compile(rf"(?<!['\"`])(?:</(?:{'|'.join(NAMES)})>|\[/think\]|◁/think▷)", re.IGNORECASE)
_LONGEST = 16  # characters of a closing tag and what stands before it, at most
_TYPES = ("thinking", "reasoning")  # of a message's parts
_TEXTS = ("text", "summary", "thinking", "content")  # fields of a part that have a thought's text


def said_in(content: Any, *, thoughts: bool = False) -> str:
    """The text of a message's content, a string or a list of parts; empty for anything else.

    Of parts, either what the model says or what it thought.
    """
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and (part.get("type") in _TYPES) == thoughts]
        return "".join(said_in(part.get("text") or part.get("thinking")) for part in parts)
    return content if isinstance(content, str) and not thoughts else ""


def thought_of(value: Any) -> str:
    """The text of a field that has nothing but thoughts: a string, an object or a list; empty where it is encrypted."""
    if isinstance(value, list):
        return "".join(map(thought_of, value))
    if isinstance(value, dict):
        return next((text for name in _TEXTS if (text := thought_of(value.get(name)))), "")
    return value if isinstance(value, str) else ""


class TaggedThoughts:
    """Tells a thought between tags at the beginning of a content, which comes in pieces, from the answer after it."""

    def __init__(self) -> None:
        self.retracts = False  # what came before was thought, as only the last piece has shown
        self._head: str | None = ""  # of a content that may yet begin with a tag
        self._thinking = self._over = self._answering = False
        self._tail = ""  # in which a closing tag may have begun

    def answers(self, piece: str) -> bool:
        """Whether this piece has any of the answer, as far as can be told yet.

        A closing tag alone ends a thought that the chat template had opened.
        """
        if self._over:
            self._answering = self._answering or bool(piece.strip())
            return self._answering
        if self._head is not None:
            piece = self._after_opening(self._head + piece)
        text = self._tail + piece
        self._tail = text[-_LONGEST:]
        closing = _CLOSING.search(text)
        if closing is None:
            return not self._thinking
        self.retracts, self._over = self.retracts or not self._thinking, True
        return self.answers(text[closing.end() :])

    def _after_opening(self, head: str) -> str:
        """What has come of the content, without the tag that it begins with."""
        begin = head.lstrip().lower()
        opening = next((tag for tag in _OPENING if begin.startswith(tag)), "")
        if not opening and any(tag.startswith(begin) for tag in _OPENING):
            self._head = head
            return ""
        self._head, self._thinking = None, bool(opening)
        self.retracts = self._thinking
        return head.lstrip()[len(opening) :]
