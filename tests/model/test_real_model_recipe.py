"""The recipe in ``examples/real-model``, as its user runs it, on a GGUF file of random weights."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from llama_cpp import NANO
from model_samples import random_model, save_tokenizer
from recipes import environment
from shosei.log import Request, Score, Step, read_log
from shosei.model import folder, gguf_file

RECIPE = Path(__file__).parents[2] / "examples/real-model/recipe.sh"
PROGRAM = {
    "task_id": "add/0",
    "prompt": 'def add(a, b):\n    """The sum."""\n',
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
    "entry_point": "add",
}


def gguf(path: Path) -> Path:
    spec = replace(NANO, context_length=2048)  # the recipe asks for as much
    save_tokenizer(path / "tokenizer")
    folder.export(random_model(spec), spec, path / "tokenizer", path / "model")
    gguf_file.write(path / "model", path / "theirs.gguf", "f32")
    return path / "theirs.gguf"


def pairs(file: Path, question: str) -> Path:
    rows = [{"question": f"{number}{question}", "answer": f"{number}。"} for number in range(20)]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.long  # test_import_recipe.py goes most of the way
def test_a_model_is_measured_before_and_after_and_judged(tmp_path: Path) -> None:
    settings = environment(tmp_path, LIMIT="1", SECONDS_OF_LOAD="1", TRAIN="--set train.threads=1")
    (tmp_path / "programs.jsonl").write_text(json.dumps(PROGRAM) + "\n")
    taught = [pairs(tmp_path / "zh.jsonl", "是几？"), pairs(tmp_path / "ja.jsonl", "はいくつですか？")]
    run = tmp_path / "run"
    done = subprocess.run(
        [RECIPE, gguf(tmp_path), run, *taught, "--", tmp_path / "programs.jsonl"],
        env=settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 3, 4), done.stderr  # a verdict, whichever
    before, after = read_log(run / "log", 1), read_log(tmp_path / "run-tuned/log", 1)
    for log in (before, after):
        assert {score.suite for score in log.of(Score)} == {"zh", "ja", "programs"}
        assert all(request.status == 200 for request in log.of(Request))
    assert after.of(Step)
    assert not before.of(Step)
    lines = [
        file.read_text().splitlines() for file in (run / "suites/zh.jsonl", tmp_path / "run-tuned/dialogues.jsonl")
    ]
    assert [*map(len, lines)] == [2, 36]
    assert not {*lines[0]} & {*lines[1]}
    assert (run / "card.html").is_file()
    assert "pass_at_1" in done.stdout or "pass@1" in done.stdout
