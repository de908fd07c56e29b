"""Which number an answer gives: rules in order, written down in docs/grading.md. None of them guesses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Literal, NamedTuple

from shosei.metrics.grading.numbers import cues
from shosei.metrics.grading.numbers.markup import BOX, BOX_END, plain
from shosei.metrics.grading.numbers.number import Number, Weight, numbers

_LONGEST_ALONE = 80  # characters of a number with its unit
_ENDS = 10_000  # characters read of the beginning and of the end of a very long answer
_MOST_STATEMENTS = 100  # a text that goes round in circles has thousands
_BOX = re.compile(f"{BOX}([^{BOX}{BOX_END}]*){BOX_END}")


class FinalNumber(NamedTuple):
    """The number of an answer, or that it has ``none`` or is ``ambiguous``; and the folded text that was read."""

    outcome: Literal["found", "none", "ambiguous"]
    number: Number | None
    text: str

    @property
    def value(self) -> Fraction | None:
        """The exact value; None unless it was found."""
        return self.number.value if self.number else None


@lru_cache(maxsize=4096)
def final_number(answer: str, japanese: bool = False) -> FinalNumber:
    """The number that an answer gives, by the first rule of docs/grading.md that speaks.

    ``japanese``: the answer is known to be Japanese, where 三百五 is 305.
    """
    if len(answer) > 2 * _ENDS:
        answer = f"{answer[:_ENDS]}\n{answer[-_ENDS:]}"
    text = plain(answer).strip()
    if asked := cues.QUESTION.search(text):
        text = text[: asked.start()]
    return _corrected(text, japanese) or _ruled(text, japanese)


def extract_number(answer: str, japanese: bool = False) -> Fraction | None:
    """The value of the number that an answer gives; None if it gives none, or more than one could be meant."""
    return final_number(answer, japanese).value


def lone_number(sentence: str, japanese: bool) -> Number | None:
    """The number that a folded text is, with its unit and nothing else; None if it is anything more."""
    if len(sentence) > _LONGEST_ALONE or len(each := numbers(sentence, japanese)) != 1:
        return None
    before, after = sentence[: each[0].start], sentence[each[0].end :]
    if not cues.FILLER.fullmatch(before) or not cues.AFTER_LONE.fullmatch(after) or cues.NO_UNIT.search(after):
        return None
    return each[0]


def _ruled(text: str, japanese: bool) -> FinalNumber:
    for rule in _RULES:
        if found := rule(text, japanese):
            return found
    return FinalNumber("none", None, "")


def _corrected(text: str, japanese: bool) -> FinalNumber | None:
    """What follows the last correction takes the place of what was before, if it holds a number."""
    if not (corrections := cues.CORRECTION.all(text)):
        return None
    rest = text[corrections[-1].end() :]
    if not _tells(rest, japanese):
        return None
    return _adjacent(_sentence(rest.lstrip(" 、,:!。.")), japanese) or _ruled(rest, japanese)


def _after_hashes(text: str, japanese: bool) -> FinalNumber | None:
    """``#### 18``, but not the heading ``#### Step 1``."""
    marks = list(cues.HASHES.finditer(text))[-_MOST_STATEMENTS:]
    lines = (text[mark.end() :].partition("\n")[0] for mark in marks)
    marked = [number for line in lines if (number := _adjacent(line, japanese))]
    return _agreed([each for each in marked if not each.number or each.number.weight > Weight.ASIDE])


def _stated(text: str, japanese: bool) -> FinalNumber | None:
    """“The answer is 18”, 答案是18, 答えは18です; of several, those that say “final”."""
    statements = cues.STATED.all(text)[-_MOST_STATEMENTS:]
    final = [each for each in statements if cues.FINAL.search(text, max(0, each.start() - 6), each.end())]
    for chosen in (final, statements):
        passages = (_sentence(text[each.end() :]) for each in chosen)
        if stated := [number for passage in passages if (number := _of_passage(passage, japanese))]:
            return _agreed(stated)
    return None


def _boxed(text: str, japanese: bool) -> FinalNumber | None:
    r"""The last ``\boxed{18}``; ambiguous if it stands beside another as an alternative."""
    boxes = list(_BOX.finditer(text))[-2:]
    if len(boxes) > 1 and not cues.ALTERNATIVE.fullmatch(text, boxes[0].end(), boxes[1].start()):
        del boxes[0]
    return _agreed([number for box in boxes if (number := _of_passage(box[1], japanese))])


def _unmarked(text: str, japanese: bool) -> FinalNumber | None:
    """What the sentences themselves say, those before a verification first."""
    proofs = cues.VERIFICATION.all(text)
    for part in ([text[: proofs[0].start()]] if proofs else []) + [text]:
        sentences = [sentence for sentence in cues.SENTENCE_END.split(part) if sentence.strip()]
        if found := _alone(sentences, japanese) or _last(sentences, japanese):
            return found
    return None


_RULES: Sequence[Callable[[str, bool], FinalNumber | None]] = (_after_hashes, _stated, _boxed, _unmarked)


def _alone(sentences: Sequence[str], japanese: bool) -> FinalNumber | None:
    """A sentence or line that is a number and nothing else: the last one, or the first if all such agree."""
    if not sentences:
        return None
    if last := lone_number(sentences[-1], japanese):
        return _found(last, sentences[-1])
    if (first := lone_number(sentences[0], japanese)) is None:
        return None
    others = (lone_number(sentence, japanese) for sentence in sentences)
    agree = all(number.value == first.value for number in others if number)
    return _found(first, sentences[0]) if agree else None


def _last(sentences: Sequence[str], japanese: bool) -> FinalNumber | None:
    """The last sentence that has a number, from its “therefore” on."""
    for sentence in reversed(sentences):
        conclusions = cues.CONCLUSION.all(sentence)
        after = sentence[conclusions[-1].end() :] if conclusions else ""
        if number := lone_number(after, japanese):
            return _found(number, after)
        if _tells(sentence, japanese):
            return _chosen(after if _tells(after, japanese) else sentence, japanese)
    return None


def _tells(text: str, japanese: bool) -> bool:
    return any(number.weight > Weight.ASIDE for number in numbers(text, japanese))


def _of_passage(passage: str, japanese: bool) -> FinalNumber | None:
    return _adjacent(passage, japanese) or _chosen(passage, japanese)


def _adjacent(passage: str, japanese: bool) -> FinalNumber | None:
    """The number at the very beginning, unless it is part of an equation."""
    each = numbers(passage, japanese)
    begin = cues.FILLER.match(passage)
    if not each or begin is None or each[0].start > begin.end():
        return None
    first, after = each[0], passage[each[0].end :]
    begins_equation = cues.EQUALS.search(after) if first.value is None else cues.EQUALS.match(after.lstrip())
    return None if begins_equation else _found(first, passage)


def _chosen(sentence: str, japanese: bool) -> FinalNumber | None:
    """The number of a sentence: what its last = gives, the only one it has, or the one after a word for a result."""
    outside = cues.BRACKETED.sub(" ", sentence)
    if _tells(outside, japanese):
        sentence = outside
    several = len(set(cues.VARIABLE.findall(sentence))) > 1 or cues.EITHER.search(sentence)
    if several or ("≈" in sentence and _unrounded(sentence, japanese)):
        return FinalNumber("ambiguous", None, sentence.strip())
    sides = cues.EQUALS.split(sentence)
    if len(sides) > 1 and (found := _equated(sides, japanese)):
        return found
    only = _only(sentence, japanese)
    if only and only.outcome == "ambiguous" and (results := cues.RESULT.all(sentence)):
        return _only(sentence[results[-1].end() :], japanese) or only
    return only


def _unrounded(sentence: str, japanese: bool) -> bool:
    """Whether a whole number is said to be about one that is not (6 ≈ 5.99), so that either may be meant."""
    left, _, right = sentence.rpartition("≈")
    exact, rounded = lone_number(left.rpartition("=")[2].strip(), japanese), _adjacent(right, japanese)
    if exact is None or exact.value is None or rounded is None or rounded.value is None:
        return False
    return exact.value.denominator == 1 < rounded.value.denominator


def _equated(sides: Sequence[str], japanese: bool) -> FinalNumber | None:
    """The last side of an equation, or the one before it where the last is not one number (18 = 3 × 6)."""
    found = _of_side(sides[-1], japanese)
    return _only(sides[-2], japanese) if found and found.outcome == "ambiguous" else found


def _of_side(side: str, japanese: bool) -> FinalNumber | None:
    return _adjacent(side, japanese) or _only(side, japanese)


def _only(sentence: str, japanese: bool) -> FinalNumber | None:
    """The value that all the weightiest numbers of a sentence have."""
    each = numbers(sentence, japanese)
    weight = max((number.weight for number in each), default=Weight.ASIDE)
    return _agreed([_found(number, sentence) for number in each if number.weight == weight])


def _agreed(each: Sequence[FinalNumber]) -> FinalNumber | None:
    if len({found.value for found in each}) > 1:
        return FinalNumber("ambiguous", None, each[-1].text)
    return each[-1] if each else None


def _found(number: Number, passage: str) -> FinalNumber:
    known = number.value is not None
    return FinalNumber("found" if known else "ambiguous", number if known else None, passage.strip())


def _sentence(text: str) -> str:
    """The first sentence that is not empty."""
    text = text.lstrip(" \t\n:$*")
    end = cues.SENTENCE_END.search(text)
    return text[: end.start()] if end else text
