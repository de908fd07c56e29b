"""Which of the choices an answer chooses: by its letter, or by its text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from shosei.metrics.grading.mentions import bare, mentions, plain
from shosei.metrics.grading.selection import select

_CIRCLED = "①②③④⑤⑥⑦⑧⑨"
# What choices are called, the first of them first; a truth says which of these its task uses.
_SERIES = ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "アイウエオカキクケコ", "123456789", "甲乙丙丁戊己庚辛", _CIRCLED)
_NAMED = r"(?:答案[是为]?|答えは?|正解は?|选|answer(?: is)?)[:：]?\s*"  # before a circled digit that counts choices
# A digit that counts choices which are called otherwise: "Option 2", 选项2, 2番.
_NUMBERED = re.compile(r"(?i:选项|選択肢|\b(?:option|choice)) ?([1-9])(?![\d.,]\d|\d)|(?<![\d.])([1-9])番(?!目|地|線)")
_UNKNOWN = 10  # choices that a task may have, where the log does not say how many


class Choice(NamedTuple):
    """``letter``: what the task calls the choice; "", with a reason in ``why``: ``none`` or ``ambiguous``."""

    letter: str
    why: str = ""


def choice(text: str, truth: str, choices: Sequence[str] = (), question: str = "") -> Choice:
    """The choice made in what an answer said, of those whose texts are ``choices``, or which ``question`` lists.

    ``truth`` says only what the task calls its choices: A B C, ア イ ウ, 1 2 3, 甲 乙 丙. The rules stand in
    docs/grading.md, "Choices".
    """
    letters = _letters(truth, len(choices))
    if not choices and (choices := _listed(question, letters)):
        letters = letters[: len(choices)]
    if (place := _alone(text, letters, choices)) is not None:
        return Choice(letters[place])
    text = _unnumbered(_uncircled(text, letters, choices), letters, choices)
    option, why = select(mentions(letters, tuple(choices)).put_into(plain(text)), len(choices))
    return Choice("", why) if option is None else Choice(letters[option])


def extract_choice(answer: str, truth: str = "A", choices: Sequence[str] = ()) -> str:
    """The letter that an answer chooses, or "" if it chooses none."""
    return choice(answer, truth, choices).letter


def _letters(truth: str, count: int) -> str:
    """What the task calls its choices: Latin letters, where its truth is of no series."""
    series = next((series for series in _SERIES if truth and truth in series), _SERIES[0])
    return series[: count or max(_UNKNOWN, series.find(truth) + 1)]


def _uncircled(text: str, letters: str, choices: Sequence[str]) -> str:
    """The text with circled digits, where they are or count the choices, as the task calls these, in brackets."""
    if any(set(each) & set(_CIRCLED) for each in choices):
        return text
    before, called = "" if letters in _CIRCLED else _NAMED, unicodedata.normalize("NFKC", letters)
    digit = f"[{_CIRCLED[: len(letters)]}]"
    return re.sub(f"({before})({digit})", lambda match: f"{match[1]}({called[_CIRCLED.index(match[2])]})", text)


def _unnumbered(text: str, letters: str, choices: Sequence[str]) -> str:
    """The text with numbered choices as the task calls these, in brackets, unless any of them holds a digit itself."""
    if letters[0] in "1①" or not choices or any(map(re.compile(r"\d").search, choices)):
        return text
    return _NUMBERED.sub(lambda match: _called(match, letters), text)


def _called(match: re.Match[str], letters: str) -> str:
    number = int(match[1] or match[2])
    return f"({letters[number - 1]})" if number <= len(letters) else match[0]


def _listed(question: str, letters: str) -> list[str]:
    """The texts of a question's own list of choices, a line each, from the first letter on; empty if it has none."""
    lines = re.findall(r"^\s*[(（【]?([^\W_]|[①-⑨])[)）】.．、:：]\s*(\S.*)$", question, re.MULTILINE)
    choices: list[str] = []
    for letter, text in lines:
        if len(choices) < len(letters) and letter == letters[len(choices)]:
            choices.append(text.strip())
    return choices if len(choices) > 1 else []


def _alone(text: str, letters: str, choices: Sequence[str]) -> int | None:
    """The place of the choice of which an answer has nothing but the letter, or the text.

    A circled digit counts the choices, unless they are made of such themselves.
    """
    alone = bare(text)
    circled = re.search(f"[{_CIRCLED}]", text)
    if len(alone) == 1 and (place := unicodedata.normalize("NFKC", letters).find(alone)) >= 0:
        return place
    same = [place for place, each in enumerate(choices) if alone and bare(each) == alone]
    if len(same) == 1:
        return same[0]
    if len(alone) == 1 and circled and not any(set(each) & set(_CIRCLED) for each in choices):
        place = _CIRCLED.index(circled[0])
        return place if place < len(letters) else None
    return None
