"""Ratings with their texts as data to train on: preference pairs and conversations, in the forms that trainers read."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shosei.log import Rating
from shosei.wire.recent_answers import LONGEST_TEXT

Row = dict[str, Any]
_GOOD = {"stars": 4, "thumbs": 1}


@dataclass(frozen=True, slots=True)
class RatedAnswer:
    """An answer with its text, and what raters gave it, on each scale."""

    question: str
    context: str  # hash of what was said before the question
    text: str
    given: dict[str, list[int]]

    @property
    def is_good(self) -> bool:
        """Whether more than half of its ratings are a thumb up or at least four stars."""
        marks = [value >= _GOOD[scale] for scale, values in self.given.items() for value in values]
        return sum(marks) * 2 > len(marks)

    def mean(self, scale: str) -> float | None:
        """Its mean rating on a scale; None where it has none."""
        values = self.given.get(scale)
        return sum(values) / len(values) if values else None


@dataclass(slots=True)
class RatedAnswers:
    """Those of ``ratings`` whose texts can be trained on, and how many ratings cannot, by the reason."""

    answers: list[RatedAnswer] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, ratings: Sequence[Rating], *, later_turns: bool = False) -> RatedAnswers:
        """``later_turns``: also answers to questions before which something was said that is not kept."""
        rated, by_text = cls(), dict[tuple[str, str, str], dict[str, list[int]]]()
        for rating in ratings:
            if rating.value is None:
                continue
            if reason := _unusable(rating, later_turns=later_turns):
                rated.left_out[reason] += 1
                continue
            given = by_text.setdefault((rating.question, rating.context, rating.answer), defaultdict(list))
            given[rating.scale].append(rating.value)
        rated.answers = [RatedAnswer(*texts, dict(given)) for texts, given in by_text.items()]
        return rated

    def conversations(self) -> list[Row]:
        """The good answers with their questions, as OpenAI words messages."""
        good = [answer for answer in self.answers if answer.is_good]
        return [{"messages": [_user(answer.question), _assistant(answer.text)]} for answer in good]

    def preferences(self) -> list[Row]:
        """Pairs of answers to one question, as TRL reads them."""
        return [
            {
                "prompt": [_user(better.question)],
                "chosen": [_assistant(better.text)],
                "rejected": [_assistant(worse.text)],
            }
            for better, worse in self._pairs()
        ]

    def sharegpt_preferences(self) -> list[Row]:
        """The same, as LLaMA-Factory reads them."""
        return [
            {
                "conversations": [{"from": "human", "value": better.question}],
                "chosen": {"from": "gpt", "value": better.text},
                "rejected": {"from": "gpt", "value": worse.text},
            }
            for better, worse in self._pairs()
        ]

    def _pairs(self) -> Iterator[tuple[RatedAnswer, RatedAnswer]]:
        """Each two answers to the same question after the same words, the better one first. Thumbs and stars are not
        held against each other; where both were given, they must agree."""
        asked: defaultdict[tuple[str, str], list[RatedAnswer]] = defaultdict(list)
        for answer in self.answers:
            asked[answer.question, answer.context].append(answer)
        for answers in asked.values():
            for one, other in itertools.combinations(answers, 2):
                verdicts = {_compared(one.mean(scale), other.mean(scale)) for scale in _GOOD} - {0}
                if verdicts == {1}:
                    yield one, other
                elif verdicts == {-1}:
                    yield other, one


def _unusable(rating: Rating, *, later_turns: bool) -> str:
    if not (rating.question and rating.answer):
        return "without text"
    if max(len(rating.question), len(rating.answer)) >= LONGEST_TEXT:
        return "cut off"
    return "later turn" if rating.context_messages and not later_turns else ""


def _compared(one: float | None, other: float | None) -> int:
    """1 where the first is better, -1 where the second is, 0 where neither is, or nobody can tell."""
    return 0 if one is None or other is None else (one > other) - (one < other)


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
