"""Grading: raw answers beside their truths become right or wrong, the same way for training and for inference.

Pure functions. Any change of what they return takes a new ``GRADING_VERSION`` (or ``EXTRACTION_VERSION``), because it
makes scores incomparable.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from shosei.log.events import Exec, Score
from shosei.metrics.grading.free_text import exact_match

GRADING_VERSION = 1
EXTRACTION_VERSION = 1  # of ``build_program``, which decides what the exam executes

NO_LABEL = "(none)"

Outcomes = Mapping[tuple[str, str, int], str]

_SENTENCE_MARKS = "。．.｡!！?？"
_FENCED = re.compile(r"```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_FIRST_CODE_LINE = re.compile(r"^(?:(?:async )?def +\w+ *\(|import +\w|from +[\w.]+ +import\b)", re.MULTILINE)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMBER = re.compile(r"(?:(?<![\w)])-)?\d+(?:\.\d+)?")
_NAMED_CHOICE = re.compile(
    r"(?:答案|选择|選択|正解|答え|选|(?i:answer)|(?i:choose))[^A-Za-z]{0,8}?(?:(?i:is)[^A-Za-z]{0,4})?"
    r"([A-Z])(?![A-Za-z])"
)
_LONE_LETTER = re.compile(r"(?<![A-Za-z])([A-Z])(?![A-Za-z'])")
_PROSE_LINE = re.compile(r"^[^\x00-\x7f]", re.MULTILINE)


def normalise(text: str) -> str:
    """The form in which answers are compared: NFC, no surrounding white space, at most one final sentence mark less.

    NFC joins only what Unicode holds to be the same text (か + ゙ = が). NFKC would fold full and half width, and whole
    tasks ask for nothing but the width. A text that is only a sentence mark stays as it is.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if len(text) > 1 and text[-1] in _SENTENCE_MARKS:
        return text[:-1].rstrip()
    return text


def outcomes(executions: Iterable[Exec]) -> dict[tuple[str, str, int], str]:
    """What became of each executed program, by (suite, item, sample): the second argument of ``grade``."""
    return {(event.suite, event.item, event.sample): event.outcome for event in executions}


def grade(score: Score, outcomes: Outcomes) -> bool | None:
    """Whether the answer is right; a failed request is a wrong answer.

    None: a program that nobody could execute (no ``exec`` event, or its outcome is ``infra``). It is neither right nor
    wrong, and must be counted apart. Raises ValueError for a grader this version does not know.
    """
    if score.error:
        return False
    match score.grader:
        case "exact":
            return normalise(score.answer) in map(normalise, [score.truth, *score.references])
        case "text":
            return exact_match(score.answer, [score.truth, *score.references])
        case "number":
            number = extract_number(score.answer)
            return number is not None and number == extract_number(score.truth)
        case "choice":
            return extract_choice(score.answer) == score.truth
        case "label":
            return predicted_label(score.answer, [score.truth]) == score.truth
        case "python":
            outcome = outcomes.get((score.suite, score.item, score.sample), "infra")
            return None if outcome == "infra" else outcome == "pass"
        case unknown:
            raise ValueError(f"no grader '{unknown}'")


def predicted_label(answer: str, labels: Collection[str]) -> str:
    """The class that an answer names: the one of ``labels`` that it equals after normalisation, else ``(none)``.

    An answer that names no class is a prediction like any other (of the class ``(none)``), so that it lowers recall
    instead of vanishing.
    """
    return predicted_labels([answer], labels)[0]


def predicted_labels(answers: Iterable[str], labels: Collection[str]) -> list[str]:
    """``predicted_label`` of each answer."""
    named: dict[str, str] = {}
    for label in labels:
        named.setdefault(normalise(label), label)
    return [named.get(normalise(answer), NO_LABEL) for answer in answers]


def extract_number(answer: str) -> Decimal | None:
    """The last number in an answer, or the first after its last ``####``; None if there is none.

    Width is folded (NFKC) and commas between thousands are left out. Numerals such as 十八 are no numbers here.
    """
    text = unicodedata.normalize("NFKC", answer).replace("\u2212", "-")
    _, marked, end = text.rpartition("####")
    found = _NUMBER.findall(_THOUSANDS.sub("", end))
    return Decimal(found[0 if marked else -1]) if found else None


def extract_choice(answer: str) -> str:
    """The letter that an answer chooses, or "" if it chooses none.

    The last one that follows a word such as 答案, 答え or "answer"; otherwise the first capital letter that is not part
    of a word. Width is folded (NFKC).
    """
    text = unicodedata.normalize("NFKC", answer).strip()
    if re.fullmatch(r"\W*[A-Za-z]\W*", text):
        return re.sub(r"\W", "", text).upper()
    if named := _NAMED_CHOICE.findall(text):
        return str(named[-1])
    lone = _LONE_LETTER.search(text)
    return lone[1] if lone else ""


def build_program(answer: str, entry_point: str, prompt: str = "") -> str:
    """The program that an answer makes of its task's ``prompt``, or "" when there is none.

    Code that defines ``entry_point`` stands after what the prompt has before it (imports, helpers). Other code in a
    fence, and an answer that begins with an indented line, goes on where the prompt ends, up to the first line that is
    not indented. Without a prompt it is ``extract_code``.
    """
    code = extract_code(answer)
    defined = re.compile(rf"^(?:async )?def +{re.escape(entry_point)}\b|^{re.escape(entry_point)} *=", re.MULTILINE)
    if not prompt or defined.search(code):
        start = defined.search(prompt)
        return prompt[: start.start()] + code if prompt and start else code
    answer = answer.replace("\r\n", "\n")
    if fenced := _FENCED.search(answer):
        body = textwrap.indent(textwrap.dedent(fenced[1]), _last_indent(prompt)) if code else ""
    else:
        body = answer.lstrip("\n")
    if not body[:1].isspace():
        return code
    end = re.search(r"^\S", body, re.MULTILINE)
    return prompt + body[: end.start() if end else None].rstrip() + "\n"


def _last_indent(prompt: str) -> str:
    last = prompt.rstrip().rpartition("\n")[2]
    return last[: len(last) - len(last.lstrip())]


def extract_code(answer: str) -> str:
    """The Python program in an answer, or "" when there is none.

    The first fenced block, if there is one (up to the end of the answer, if the fence was never closed). Otherwise the
    text from its first ``def``, ``import`` or ``from … import`` line up to an unindented line in Chinese or Japanese.
    """
    answer = answer.replace("\r\n", "\n")
    if fenced := _FENCED.search(answer):
        return textwrap.dedent(fenced[1]).strip("\n")
    if not (first := _FIRST_CODE_LINE.search(answer)):
        return ""
    code = answer[first.start() :]
    prose = _PROSE_LINE.search(code)
    return code[: prose.start() if prose else None].rstrip()
