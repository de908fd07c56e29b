"""By what the answers of a table are graded: choices and labels as a whole, numbers and text row by row."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from shosei.errors import InputError
from shosei.exam.benchmarks.choices import LETTERS, Choices, choices_of
from shosei.exam.benchmarks.columns import ANSWER, LABEL, QUESTION
from shosei.exam.benchmarks.entries import Entry
from shosei.metrics.grading.numbers import true_number

# A number with at most a short unit: 12, 12か月, 3万円, 5 km; not 5G, 3D, 12 Angry Men.
_NUMBER_ALONE = re.compile(r"[-+−$¥€£]{0,2}[\d.,/ ]*\d\s?(?:[%°]?[a-z]{0,8}|[^\W\d_a-zA-Z]{1,4})\.?")
_WORKED, _BOXED = "####", re.compile(r"\\boxed\s*\{(.*)\}", re.DOTALL)
# A letter that begins a choice within a question: どれですか。 A. 鉄 B. 金
_MARK = re.compile(r"(?:^|(?<=[\s\u3000,，、;；.。?？!！]))[(（]?([A-ZＡ-Ｚ])[.．:：)）、]\s*")


def answer_text(entry: Entry) -> str:
    """The answer, or, of one that ends in a box with a number, that number. Raises InputError: there is no answer."""
    answer = entry.text("answer", ANSWER).strip()
    boxed = _BOXED.search(answer)
    return boxed[1].strip() if boxed and is_number(boxed[1]) else answer


def graders_of(entries: Sequence[Entry], several: Sequence[bool], grader: str) -> list[str]:
    """The grader of each row; ``grader`` for all, if it is named. ``several``: whether the row has more right answers.

    Raises InputError: some rows have choices, and others have none.
    """
    if not grader:
        grader = _of_all(entries)
    return [grader or _of_row(entry, each) for entry, each in zip(entries, several, strict=True)]


def is_number(text: str) -> bool:
    """Whether a truth is one number and nothing else, perhaps with its unit."""
    try:
        true_number(text)
    except ValueError:
        return False
    return True


def choices_in(question: str) -> Choices:
    """The choices that a question lists itself, from A on; none if it lists fewer than two."""
    marks = [*_MARK.finditer(question)]
    letters = "".join(unicodedata.normalize("NFKC", mark[1]) for mark in marks)
    if len(marks) < 2 or not LETTERS.startswith(letters):
        return Choices()
    ends = [*(mark.start() for mark in marks[1:]), len(question)]
    texts = [question[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    return Choices(texts, [*letters])


def _of_all(entries: Sequence[Entry]) -> str:
    """The grader of a table of choices or labels, or of worked solutions; empty if each row has its own."""
    chosen = [bool(choices_of(entry).values) for entry in entries]
    if any(chosen):
        if not all(chosen):
            where = entries[chosen.index(False)].where
            raise InputError(f"{where}: the row has no choices, as others of the file have: put it into another file")
        return "choice"
    if entries[0].get("answer", [name for name in ANSWER if name not in LABEL]) is None:
        return "label"
    if all(_names_a_listed_choice(entry) for entry in entries):
        return "choice"
    return "number" if any(_WORKED in answer_text(entry) for entry in entries) else ""


def _names_a_listed_choice(entry: Entry) -> bool:
    letter = unicodedata.normalize("NFKC", answer_text(entry)).strip("().")
    return len(letter) == 1 and letter in choices_in(entry.text("question", QUESTION)).labels


def _of_row(entry: Entry, has_several: bool) -> str:
    answer = answer_text(entry)
    if _BOXED.search(answer):
        raise InputError(
            f"{entry.where}: what the answer has in \\boxed is not one number: "
            "give the answer alone, or say --grader text to compare all of it"
        )
    alone = _NUMBER_ALONE.fullmatch(unicodedata.normalize("NFKC", answer)) or answer[-1:].isdigit()
    return "number" if alone and not has_several and is_number(answer) else "text"
