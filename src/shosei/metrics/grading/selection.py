"""Which of several options a text selects, by written rules that end in "ambiguous" rather than in a guess."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from shosei.metrics.grading import statements
from shosei.metrics.grading.answer import AMBIGUOUS, NONE
from shosei.metrics.grading.mentions import DENIED, DOUBTED, is_text, option_of

_ENDS = 10_000  # characters read of the beginning and of the end of a very long text
_MOST_CORRECTIONS = 8  # of a text that goes round in circles, the last


class Selection(NamedTuple):
    """The number of the option; or None, and why there is none: ``none`` or ``ambiguous``."""

    option: int | None
    why: str = ""


class _Statement(NamedTuple):
    start: int
    options: tuple[int, ...]


def select(text: str, count: int, *, classes: bool = False) -> Selection:
    """The option of ``count`` that a text selects, whose mentions have been put in (``mentions.Mentions``).

    ``classes``: the options are classes of texts, of which denying all but one names none. Rules: docs/grading.md.
    """
    if len(text) > 2 * _ENDS:
        text = f"{text[:_ENDS]}\n{text[-_ENDS:]}"
    if beyond := statements.NEXT_QUESTION.search(text):
        first = select(text[: beyond.start()], count, classes=classes)
        if first.why != NONE:
            return first
    enumerates = _enumerates(text)
    text = _with_denials(text)
    pattern = statements.CLASS_IS if classes else statements.ANSWER_IS
    if corrected := _corrected(text, pattern):
        return corrected
    beside = [*statements.LETTER_WITH_TEXT.findall(text), *statements.TEXT_WITH_LETTER.findall(text)]
    if any(option_of(one) != option_of(other) for one, other in beside):
        return Selection(None, AMBIGUOUS)
    said = _stated(pattern.finditer(text)) or _stated(statements.RIGHT.finditer(text))
    if stated := sorted([*said, *_alone(text, enumerates)]):
        return _agreed(text, stated)
    return _mentioned(text, 0 if classes else count)


def _alone(text: str, enumerates: bool) -> list[_Statement]:
    """Where an option stands alone: at the beginning, or in a line; of a list of the options only its last line."""
    if enumerates:
        return _stated(statements.LAST_LINE.finditer(text))
    lines = _stated(statements.LINE.finditer(text))
    if len({options for _, options in lines}) > 1:
        return []
    return [*_stated(statements.LEAD.finditer(text)), *lines]


def _with_denials(text: str) -> str:
    """The text in one spelling, with the mentions marked that it denies or leaves in doubt."""
    text = statements.REFERENCE.sub("", statements.SPACE.sub("", text))
    text = statements.NO.sub("错误", statements.YES.sub("正确", text))
    if _enumerates(text):
        text = statements.ENUMERATED.sub(r"\1\2 ", text)
    text = statements.CROSS.sub("错误", statements.TICK.sub("正确", text))
    for denial in statements.DENIALS:
        text = denial.sub(lambda match: _marked(match[0], DENIED), text)
    for doubt in statements.DOUBTS:
        text = doubt.sub(lambda match: _marked(match[0], DOUBTED), text)
    return text


def _marked(text: str, mark: int) -> str:
    return statements.MENTION.sub(lambda mention: chr(ord(mention[0]) + mark), text)


def _enumerates(text: str) -> bool:
    """Whether the text goes through the options, one after the other."""
    marked = {option_of(begin or within) for begin, within in statements.ENUMERATED.findall(text)}
    return len(marked) > 1


def _corrected(text: str, pattern: re.Pattern[str]) -> Selection | None:
    """What the text selects after it has last corrected itself, if it did."""
    corrections = [*statements.CORRECTION.finditer(text)]
    for correction in reversed(corrections[-_MOST_CORRECTIONS:]):
        rest = text[correction.end() :]
        if stated := _stated(pattern.finditer(rest)) or _stated(statements.RIGHT.finditer(rest)):
            return _agreed(rest, stated)
        if near := statements.NEAR_CORRECTION.match(rest):
            return Selection(option_of(near["options"]))
    return None


def _stated(matches: Iterable[re.Match[str]]) -> list[_Statement]:
    """Every statement that an option, or several, is the answer, in order."""
    return [_Statement(match.start(), _options(match[0])) for match in matches]


def _agreed(text: str, stated: list[_Statement]) -> Selection:
    """The option on which all statements agree, or the last one's where the text comes to it as a conclusion."""
    last = stated[-1]
    others = [each for each in stated if each.options != last.options]
    concluded = not others or statements.CONCLUSION.search(text, others[-1].start + 1, last.start + 12)
    if len(last.options) > 1 or not concluded:
        return Selection(None, AMBIGUOUS)
    return Selection(last.options[0])


def _mentioned(text: str, count: int) -> Selection:
    """The only option that is mentioned and not denied, or the only one of ``count`` that is left when others are."""
    denied = {option_of(mention) for mention in statements.DENIED.findall(text)}
    kept = statements.MENTION.findall(text)
    letters = [mention for mention in kept if not is_text(mention)]
    options = {option_of(mention) for mention in letters or kept} - denied
    if not options and len(denied) == count - 1:
        options = set(range(count)) - denied
    if len(options) == 1:
        return Selection(min(options))
    in_doubt = statements.IN_DOUBT.search(text)
    return Selection(None, AMBIGUOUS if options or in_doubt else NONE)


def _options(mentions: str) -> tuple[int, ...]:
    return tuple(sorted({*map(option_of, statements.MENTION.findall(mentions))}))
