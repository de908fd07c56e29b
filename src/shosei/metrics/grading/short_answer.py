"""The short answer within a sentence that gives it: 「答えは東京です。」, 中国的首都是北京。, “The capital is Paris.”

What is taken away says nothing of its own: a lead-in, a copula at the end, and what the question has said already.
Where anything else is left beside the reference, more was said than the reference, and the answer is not right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from shosei.metrics.grading.free_text import exact_match, tokens

_LONGEST = 300  # characters; no sentence of a short answer is longer
_MARKUP = re.compile(r"[*_`]+")
_LEAD_IN = re.compile(
    r"^(?:正しい答え|正しい答案|正确答案|正確答案|答え|正解|回答|解答|答案|答)\s*(?:は|是|为|為|[:：])"
    r"|^(?:the\s+)?(?:(?:correct|right|final)\s+)?answer\s*(?:is\b|:)"
    r"|^(?:it|that|this)(?:\s+is|['\u2019]s)\b",
    re.IGNORECASE,
)
_ENDING = re.compile(r"(?:です|だ|である|でした|だった|となります|になります)?[\s。．.!！」』\"'”]*$")
_COPULA = re.compile(r"は|が|是|为|為|\b(?:is|was|are|were)\b", re.IGNORECASE)
_DENIAL = re.compile(
    r"ない|なかった|ません|以外|[不没沒非未]|\b(?:not|no|never|except|without)\b|n['\u2019]t\b", re.IGNORECASE
)
# What a sentence adds to the words of its question: pronouns, particles, prepositions.
_FILLING = {*tokens("这這那它他她其中里裡在的にでのこれそ it its this that he she they the a an of in at on for s")}


def gives_reference(answer: str, references: Sequence[str], lang: str = "", question: str = "") -> bool:
    """Whether an answer has the tokens of a reference, as it is or once its sentence is taken away."""
    if exact_match(answer, references, lang):
        return True
    texts = [reference for reference in references if reference.strip()]
    return any(exact_match(phrase, texts, lang) for phrase in _phrases(answer, question))


def _phrases(answer: str, question: str) -> Iterator[str]:
    """What may be the short answer: after the lead-in, before the ending, beside words of the question."""
    if len(answer) > _LONGEST or "?" in answer or "？" in answer:
        return
    text = _MARKUP.sub("", unicodedata.normalize("NFKC", answer)).strip()
    phrase = _LEAD_IN.sub("", text)
    for said in {phrase, _ENDING.sub("", phrase)}:
        yield said
        yield from _beside_the_question(said, question)


def _beside_the_question(sentence: str, question: str) -> Iterator[str]:
    """One side of a copula, where the question has the other. A question with a denial is not looked at."""
    if _DENIAL.search(question):
        return
    asked = {*tokens(question), *_FILLING}
    for copula in _COPULA.finditer(sentence):
        subject, predicate = sentence[: copula.start()], sentence[copula.end() :]
        if {*tokens(subject)} <= asked:
            yield predicate
        if {*tokens(predicate)} <= asked and tokens(predicate):
            yield subject


def holds_reference(answer: str, references: Sequence[str], lang: str = "") -> bool:
    """Whether the tokens of a reference stand in the answer, side by side, whatever is beside them."""
    held = tokens(answer, lang)
    wanted = [tokens(reference, lang) for reference in references if reference.strip()]
    return any(each and each in _runs(held, len(each)) for each in wanted)


def _runs(held: Sequence[str], length: int) -> Iterator[list[str]]:
    return ([*held[begin : begin + length]] for begin in range(len(held) - length + 1))
