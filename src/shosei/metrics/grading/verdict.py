"""What a judge says, read strictly: one of two forms, or there is no verdict. docs/grading.md has the rules."""

from __future__ import annotations

import hashlib
import json
import re
from typing import NamedTuple

import msgspec

from shosei.log.answer_events import Score, Verdict
from shosei.metrics.grading.answer import split_thought
from shosei.metrics.grading.grade import answer_of_score

POINTS = range(1, 6)  # of a rubric that asks for points
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*)\n```", re.DOTALL)
_VERDICT = re.compile(r"VERDICT[:：][ \t]*(pass|fail)", re.IGNORECASE)
_POINTS = re.compile(r"SCORE[:：][ \t]*([1-5])", re.IGNORECASE)
_PASSES = {"pass": True, "fail": False}


class Reading(NamedTuple):
    """Whether the answer passes, None if that was not said in a form that counts; and why, in the judge's words."""

    passes: bool | None
    reason: str = ""
    points: int | None = None


class _Json(msgspec.Struct):
    verdict: str | None = None
    score: int | None = None
    reason: str = ""


_decode = msgspec.json.Decoder(_Json).decode


def judged_text(score: Score) -> str:
    """What a judge is shown of an answer: what it says, not what it thinks."""
    return answer_of_score(score).text.strip()


def digest_of(score: Score) -> str:
    """SHA-256 of what a judge is shown: the ``answer`` of a verdict on it."""
    return hashlib.sha256(judged_text(score).encode()).hexdigest()


def read_verdict(verdict: Verdict) -> Reading:
    """Read what a judge said: a JSON object and nothing else, or a text whose last line is the verdict."""
    if verdict.by == "person":
        return Reading(_PASSES.get(verdict.said))
    text, _, is_cut = split_thought(verdict.said)
    text = text.strip()
    if is_cut or not text:
        return Reading(None)
    fenced = _FENCED.fullmatch(text)
    return _of_json(fenced[1] if fenced else text, verdict.least) or _of_last_line(text, verdict.least)


def _of_json(text: str, least: int | None) -> Reading | None:
    """None for what is no JSON object."""
    try:
        said = _decode(text)
        keys = [key for key, _ in json.loads(text, object_pairs_hook=list)]
    except (ValueError, RecursionError):
        return None
    if len(set(keys)) < len(keys):  # it says two things
        return Reading(None, said.reason)
    if least is None:
        return Reading(_PASSES.get((said.verdict or "").lower()), said.reason)
    if said.score is None or said.score not in POINTS:
        return Reading(None, said.reason)
    return Reading(said.score >= least, said.reason, said.score)


def _of_last_line(text: str, least: int | None) -> Reading:
    before, _, last = text.rpartition("\n")
    match = (_VERDICT if least is None else _POINTS).fullmatch(last.strip())
    if not match:
        return Reading(None, text)
    if least is None:
        return Reading(_PASSES[match[1].lower()], before.strip())
    return Reading(int(match[1]) >= least, before.strip(), int(match[1]))
