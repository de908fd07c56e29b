"""How an answer is put to a judge: rubric, question, references and answer, each between marks that no answer knows."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from shosei.config import read_toml
from shosei.exam.judging.rubric import Rubric
from shosei.log import Score
from shosei.metrics.grading.verdict import judged_text

FRAMING_VERSION = 1
_DEFAULT = "en"


def framed(rubric: Rubric, score: Score, nonce: str) -> list[dict[str, str]]:
    """The messages by which a judge is asked about an answer, in the language of its task."""
    frame = _frames().get(score.lang) or _frames()[_DEFAULT]
    parts = [("question", score.question), *(("reference", truth) for truth in [score.truth, *score.references])]
    texts = [_marked(part, text, nonce) for part, text in parts if text]
    asked = frame["verdict" if rubric.least is None else "points"].strip()
    user = [
        f"{frame['rubric']}\n{rubric.criteria_in(score.lang)}",
        *texts,
        _marked("answer", judged_text(score), nonce),
    ]
    return [
        {"role": "system", "content": frame["system"].strip().replace("{nonce}", nonce)},
        {"role": "user", "content": "\n\n".join([*user, asked])},
    ]


def _marked(part: str, text: str, nonce: str) -> str:
    return f"<{part} {nonce}>\n{text}\n</{part} {nonce}>"


@cache
def _frames() -> dict[str, dict[str, str]]:
    return read_toml(Path(__file__).with_name("frames.toml"))
