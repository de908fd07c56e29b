"""Answers out of a passage: an exam's F1 and exact match beside the official scripts of SQuAD 1.1 and CMRC 2018."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from agreement import questions
from agreement.exams import answering, examined, squad_files
from agreement.runs import Card, output, shosei
from agreement.table import Comparison, Row

SQUAD, CMRC = "SQuAD 1.1", "CMRC 2018"
# The official script as it is, but for nltk's division into sentences, whose data is a download: no answer has two.
WITHOUT_SENTENCES = """
import runpy, sys, nltk
nltk.word_tokenize = nltk.tokenize.NLTKWordTokenizer().tokenize
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def compare_squad(script: Path | None) -> Comparison:
    if script is None:
        return Comparison(SQUAD, not_measured="give its evaluate-v1.1.py by --squad")
    asked = questions.english_spans()
    with tempfile.TemporaryDirectory() as folder, answering(asked, Path(folder)) as url:
        dataset, predictions = squad_files(Path(folder), asked)
        card = examined(url, dataset)
        command = [sys.executable, str(script), str(dataset), str(predictions)]
        theirs = json.loads(output(command, cwd=folder))
    return Comparison(SQUAD, _rows(card, theirs["f1"], theirs["exact_match"]))


def compare_cmrc(peers: Path, script: Path | None) -> Comparison:
    python = peers / "cmrc" / "bin" / "python"
    if script is None or not python.exists():
        install = f"python -m venv {peers}/cmrc, then its pip install nltk"
        return Comparison(CMRC, not_measured=f"give its cmrc2018_evaluate.py by --cmrc; {install}")
    asked = questions.chinese_spans()
    with tempfile.TemporaryDirectory() as folder, answering(asked, Path(folder)) as url:
        dataset, predictions = squad_files(Path(folder), asked)
        ours, by_rule = examined(url, dataset), _by_rule(url, dataset)
        command = [str(python), "-c", WITHOUT_SENTENCES, str(script), str(dataset), str(predictions)]
        theirs = json.loads(output(command))
    f1, exact_match = float(theirs["F1"]), float(theirs["EM"])
    lacking = "" if by_rule else "this Shosei has no --f1"
    found = (by_rule.value("f1"), by_rule.figure("f1", "exact_match")) if by_rule else (None, None)
    return Comparison(
        CMRC,
        [
            *_rows(ours, f1, exact_match),
            Row("", "F1, --f1 cmrc2018", found[0], f1 / 100, lacking=lacking),
            Row("", "exact match, --f1 cmrc2018", found[1], exact_match / 100, lacking=lacking),
        ],
    )


def _rows(card: Card, f1: float, exact_match: float) -> list[Row]:
    """The scripts count in percent."""
    return [
        Row("", "F1", card.value("f1"), f1 / 100),
        Row("", "exact match", card.figure("f1", "exact_match"), exact_match / 100),
    ]


def _by_rule(url: str, dataset: Path) -> Card | None:
    """The exam with CMRC's own rule; None where this Shosei has no such option."""
    if "--f1" not in shosei("exam", "--help"):
        return None
    return examined(url, dataset, "--f1", "cmrc2018")
