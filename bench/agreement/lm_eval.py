"""Answers that are right or wrong: pass@1 of an exam beside lm-eval's exact match after a regular expression."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agreement import questions
from agreement.exams import answering, examined, suite_file
from agreement.questions import Question
from agreement.runs import output, peer_environment, write_lines
from agreement.table import Comparison, Row

PEER = "lm-eval"
FIRST, LAST = 0, -1  # of several matches
PLAIN_SUMS = ["{said}", "The answer is {said}.", "Together they are {said}", "I add them up and get {said}."]
PLAIN_LETTERS = ["{said}", "({said})", "The answer is {said}.", "{said}."]


@dataclass(frozen=True)
class Suite:
    """Questions, our grader of them, and what lm-eval compares with the truth."""

    asked: list[Question]
    grader: str
    pattern: str
    match: int
    loosely: bool = True  # case and punctuation ignored


def _sums(*phrasings: str) -> Suite:
    return Suite(questions.sums(phrasings), "number", r"(-?[0-9][0-9,]*(?:\.[0-9]+)?)", LAST)


def _letters(*phrasings: str) -> Suite:
    return Suite(questions.choices(phrasings), "choice", r"\b([A-D])\b", FIRST)


SUITES = {
    "numbers": _sums(*PLAIN_SUMS),
    "numbers, some denied": _sums(*PLAIN_SUMS, "The answer is {said}, not {other}."),
    "choices": _letters(*PLAIN_LETTERS),
    "choices, some denied": _letters(*PLAIN_LETTERS, "It is not {other}. The answer is {said}."),
    "names to the letter": Suite(questions.names(), "exact", "(.*)", FIRST, loosely=False),
    "names in any case": Suite(questions.names(), "text", "(.*)", FIRST),
}


def compare(peers: Path) -> Comparison:
    python = peers / "lm-eval" / "bin" / "python"
    if not python.exists():
        install = f"python -m venv {peers}/lm-eval, then its pip install torch lm-eval[api]"
        return Comparison(PEER, not_measured=f"no {python}: {install}")
    return Comparison(PEER, [_row(name, suite, python) for name, suite in SUITES.items()])


def _row(name: str, suite: Suite, python: Path) -> Row:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with answering(suite.asked, folder) as url:
            ours = examined(url, suite_file(folder, "made up", suite.grader, suite.asked)).value("pass_at_1")
            theirs = _lm_eval(python, url, suite, folder)
    truth = None if name == "names to the letter" else sum(each.right for each in suite.asked) / len(suite.asked)
    return Row("", name, ours, theirs, truth)


def _lm_eval(python: Path, url: str, suite: Suite, folder: Path) -> float:
    endpoint = f"model=mock,base_url={url}/v1/chat/completions,num_concurrent=4,tokenized_requests=False"
    arguments = (
        f"--model local-chat-completions --model_args {endpoint} --include_path {_task_folder(suite, folder)}"
        f" --tasks made_up --apply_chat_template --output_path {folder}/out"
    )
    offline = {"HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": f"{folder}/cache", "OPENAI_API_KEY": "x"}
    output([str(python), "-m", "lm_eval", "run", *arguments.split()], env=peer_environment(**offline))
    (results,) = (folder / "out").rglob("results_*.json")
    return float(json.loads(results.read_text())["results"]["made_up"]["exact_match,found"])


def _task_folder(suite: Suite, folder: Path) -> Path:
    documents = [{"question": each.text, "truth": each.truth} for each in suite.asked]
    found = [
        {"function": "regex", "regex_pattern": suite.pattern, "group_select": suite.match},
        {"function": "take_first"},
    ]
    task: dict[str, Any] = {
        "task": "made_up",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(write_lines(folder / "documents.jsonl", documents))}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{truth}}",
        "generation_kwargs": {"until": ["\n\n"], "max_gen_toks": 64, "temperature": 0},
        "filter_list": [{"name": "found", "filter": found}],
        "metric_list": [_metric(suite.loosely)],
    }
    (folder / "tasks").mkdir()
    (folder / "tasks" / "task.yaml").write_text(json.dumps(task))  # JSON is YAML
    return folder / "tasks"


def _metric(loosely: bool) -> dict[str, Any]:
    ignored = {"ignore_case": loosely, "ignore_punctuation": loosely}
    return {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True, **ignored}
