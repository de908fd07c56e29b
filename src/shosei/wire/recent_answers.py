"""The last questions and answers of a server, for ratings that come while they are here, where their text is kept."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

_REMEMBERED = 1_000  # answers
LONGEST_TEXT = 10_000  # characters of a question or an answer that are kept
_HASH_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """The last question of a conversation. ``context`` is a hash of all that was said before it, the system's words
    included; empty where nothing was. ``context_messages`` counts what user and model had said."""

    text: str
    context: str = ""
    context_messages: int = 0

    @classmethod
    def of(cls, messages: Sequence[tuple[str, str]]) -> AskedQuestion:
        """The last one of the user's, in messages of role and text."""
        place = max((place for place, (role, _) in enumerate(messages) if role == "user"), default=-1)
        if place < 0:
            return cls("")
        before = messages[:place]
        context = hashlib.sha256(msgspec.json.encode(before)).hexdigest()[:_HASH_CHARACTERS] if before else ""
        return cls(messages[place][1], context, sum(role in ("user", "assistant") for role, _ in before))


class RatedText(NamedTuple):
    """What was asked and answered; empty where it is not remembered."""

    question: AskedQuestion = AskedQuestion("")
    answer: str = ""


class RecentAnswers:
    """The last 1,000 questions and answers by the answer's id."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, tuple[AskedQuestion, Sequence[str]]] = OrderedDict()

    def add(self, id: str, question: AskedQuestion, pieces: Sequence[str]) -> None:
        """Remember an answer that begins, of which ``pieces`` may still grow; the oldest is forgotten."""
        self._answers[id] = question, pieces
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)

    def text(self, id: str) -> RatedText:
        """Question and answer, each 10,000 characters at most."""
        if id not in self._answers:
            return RatedText()
        asked, pieces = self._answers[id]
        question = AskedQuestion(asked.text[:LONGEST_TEXT], asked.context, asked.context_messages)
        return RatedText(question, "".join(pieces)[:LONGEST_TEXT])
