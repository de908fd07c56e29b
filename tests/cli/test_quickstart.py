"""The whole loop on a tiny scale: a real ``shosei quickstart``, what it leaves behind, and what a kill leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from shosei.cli.quickstart import _sandbox
from shosei.engine.engine import answer_greedily
from shosei.log import RunBegin, RunEnd, Score, Step, attempts, read_log
from shosei.model import folder as model_folder
from shosei.text import load_chat
from shosei.wire.suite import read_suites
from walls import STANDING

SHOSEI = [sys.executable, "-m", "shosei"]
ROWS = {"numerals": 60, "kana": 60, "width": 60, "sums": 60, "facts": 30, "intent": 60, "functions": 20}
AGENT_ROWS = {"products": 20, "dates": 20, "mixed": 20, "routes": 10}
TINY = [
    *(f"data.{suite}={rows}" for suite, rows in (ROWS | AGENT_ROWS).items()),
    "data.suite_tasks=12",
    "data.function_tasks=4",
    "data.validation_tasks=4",
    "data.agent_tasks=3",
    "train.epochs=2",
    "train.threads=1",
    "load.seconds=2",
    "load.warmup_s=1",
    "load.rate=8",
]


def command(out: Path) -> list[str]:
    return [*SHOSEI, "quickstart", "--out", str(out), *settings()]


def settings(section: str = "") -> list[str]:
    return [word for setting in TINY if setting.startswith(section) for word in ("--set", setting)]


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SHOSEI")}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    out = tmp_path_factory.mktemp("quickstart") / "run"
    return subprocess.run(command(out), capture_output=True, text=True, env=clean_environment(), check=False)


@pytest.fixture(scope="module")
def run(done: subprocess.CompletedProcess[str]) -> Path:
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(done.args[done.args.index("--out") + 1])


@pytest.mark.long
def test_it_prints_every_command_and_what_to_do_next(done: subprocess.CompletedProcess[str], run: Path) -> None:
    for verb in ("data", "tokenizer", "supervise", "serve", "load", "exam", "card"):
        assert f"\n$ shosei {verb} " in done.stderr
    for verb in ("chat", "serve", "card"):
        assert f"\n  shosei {verb} {run}" in done.stdout
    assert " -- shosei train " in done.stderr
    level = json.loads((run / "card.json").read_text())["sandbox"]
    assert f"exam: programs run in {level}" in done.stderr
    assert f"ran in a sandbox: {level} attacks held" in done.stdout


def test_without_a_wall_the_exam_goes_on_under_limits_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shosei.sandbox.proof.available", lambda wall: "not here")
    assert _sandbox([]) == ("--sandbox", "rlimits")
    assert "No wall holds here" in (said := capsys.readouterr().err)
    assert "sandlock: not here" in said
    assert _sandbox(["--set", "exam.sandbox=none"]) == ()


@pytest.mark.long
def test_every_cell_has_its_status(run: Path) -> None:
    card = json.loads((run / "card.json").read_text())
    cells = {(metric["id"], metric["phase"]): metric for metric in card["metrics"]}
    assert len(cells) == 30
    for (name, _), metric in cells.items():
        expected = {"gpu_utilization": ["na"], "network": ["na"], "satisfaction": ["not_measured"]}
        assert metric["status"] in expected.get(name, ["ok", "insufficient"]), (name, metric)
        assert bool(metric["reason"]) == (metric["status"] != "ok")
    assert card["sandbox"].startswith((STANDING or ["rlimits"])[0])  # and how many of the attacks it held
    assert card["model"]["name"] == "nano"
    assert {command["verb"] for command in card["commands"]} >= {"data", "tokenizer", "train", "serve", "load", "exam"}
    assert all(command["exit_code"] == 0 for command in card["commands"])
    assert not card["warnings"]


@pytest.mark.long
def test_the_card_is_the_same_again_here_and_in_a_copy(run: Path, tmp_path: Path) -> None:
    before = (run / "card.json").read_bytes()
    shutil.copytree(run, tmp_path / "elsewhere")
    for folder in (run, tmp_path / "elsewhere"):
        for name in ("card.json", "card.html", "card.md"):
            (folder / name).unlink()
        subprocess.run([*SHOSEI, "card", str(folder)], check=True, capture_output=True, env=clean_environment())
        assert (folder / "card.json").read_bytes() == before
        assert 100_000 < (folder / "card.html").stat().st_size < 1_000_000, "small enough to mail"
        assert (folder / "card.md").exists()


@pytest.mark.long
def test_transformers_reads_the_model_as_we_do(run: Path) -> None:
    theirs = AutoModelForCausalLM.from_pretrained(run / "model", dtype=torch.float32).eval()
    their_tokenizer = AutoTokenizer.from_pretrained(run / "model")
    ours, spec = model_folder.load(run / "model")
    chat = load_chat(run / "model")
    tasks = read_suites(run / "suites")[::6]  # of every suite some
    prompts = [chat.render(task.messages) for task in tasks]
    answers = answer_greedily(ours, spec, prompts, [task.max_tokens for task in tasks], [chat.tokenizer.end_id])
    for task, prompt, answer in zip(tasks, prompts, answers, strict=True):
        encoded = their_tokenizer.apply_chat_template(task.messages, add_generation_prompt=True, return_dict=True)
        assert list(encoded["input_ids"]) == prompt
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            difference = theirs(ids).logits - ours.logits(ours(ids))
            generated = theirs.generate(ids, max_new_tokens=task.max_tokens, do_sample=False)[0, len(prompt) :].tolist()
        assert difference.abs().max() < 1e-4
        assert [token for token in generated if token != chat.tokenizer.end_id] == answer


@pytest.mark.long
def test_answers_over_http_are_those_of_the_model_one_at_a_time(run: Path) -> None:
    model, spec = model_folder.load(run / "model")
    chat = load_chat(run / "model")
    scores = {(score.suite, score.item): score for score in read_log(run / "log").of(Score, "inference")}
    for task in read_suites(run / "suites"):
        prompt = chat.render(task.messages)
        [alone] = answer_greedily(model, spec, [prompt], [task.max_tokens], [chat.tokenizer.end_id], slots=1)
        assert scores[task.suite, task.id].answer == chat.tokenizer.decode(alone)


@pytest.mark.long
def test_the_same_seed_gives_the_same_data_tokenizer_and_loss_curve(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    steps = [
        ["data", "--run", str(again), "--seed", "0", *settings("data")],
        ["tokenizer", "--run", str(again)],
        ["train", "--run", str(again), *settings("train"), "--set", "train.seed=0"],
    ]
    for arguments in steps:
        subprocess.run([*SHOSEI, *arguments], check=True, capture_output=True, env=clean_environment())
    same = ["data/train.jsonl", "data/validation.jsonl", "tokenizer/tokenizer.json"]
    for name in [*same, *(f"suites/{suite.name}" for suite in (run / "suites").iterdir())]:
        assert (again / name).read_bytes() == (run / name).read_bytes(), name
    curves = [[step.loss for step in read_log(folder / "log").of(Step)] for folder in (run, again)]
    assert len(curves[0]) > 5
    assert curves[0] == curves[1]


def ours(out: Path) -> list[psutil.Process]:
    """Living processes that have the run's path among their arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and any(str(out) in word for word in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux's")
def test_kill_9_leaves_no_process_and_no_half_file_and_the_next_start_is_a_new_attempt(tmp_path: Path) -> None:
    out = tmp_path / "run"
    moments = ["data", "train", "load"]  # killed when this verb has begun
    for number, verb in enumerate(moments, 1):
        with subprocess.Popen(
            command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment()
        ) as process:
            while process.poll() is None and verb not in _begun(out, number):
                time.sleep(0.05)
            time.sleep(0.1)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, f"it ended before '{verb}' began"
        deadline = time.monotonic() + 10
        while ours(out) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not ours(out)
        for file in out.rglob("*.json"):
            if not file.name.startswith("."):
                json.loads(file.read_text())
        assert attempts(out / "log")[-1] == number
    finished = subprocess.run(command(out), capture_output=True, text=True, env=clean_environment(), check=False)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert json.loads((out / "card.json").read_text())["attempt"] == len(moments) + 1
    assert not [file for file in out.rglob(".*.tmp") if file.exists()]


def _begun(out: Path, attempt: int) -> set[str]:
    if not (out / "log").is_dir() or attempt not in attempts(out / "log"):
        return set()
    return {begin.verb for begin in read_log(out / "log", attempt).of(RunBegin)}


def test_a_wrong_setting_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    wrong = [*SHOSEI, "quickstart", "--out", str(tmp_path / "run"), "--set", "data.suite_tasks=-1"]
    failed = subprocess.run(wrong, capture_output=True, text=True, env=clean_environment(), check=False)
    assert failed.returncode == 2
    assert "data.suite_tasks" in failed.stderr
    assert "Traceback" not in failed.stderr
    unread = subprocess.run([*wrong[:-1], "serv.port=1"], capture_output=True, text=True, check=False)
    assert unread.returncode == 2
    assert "no step reads section 'serv'" in unread.stderr
    assert not (tmp_path / "run").exists()


def test_a_signal_that_ends_a_step_counts_as_in_the_shell(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with subprocess.Popen(command(out), stderr=subprocess.PIPE, text=True, env=clean_environment()) as process:
        _wait_for(process, out, "train")
        [step] = psutil.Process(process.pid).children()
        step.kill()
        _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGKILL
    assert "ended with exit code 137" in errors
    ends = {end.verb: end.exit_code for end in read_log(out / "log").of(RunEnd)}
    assert ends == {"data": 0, "tokenizer": 0, "quickstart": 128 + signal.SIGKILL}


def test_sigterm_ends_every_process_with_its_record(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with subprocess.Popen(
        [*command(out), "--set", "data.seed=5"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
    ) as process:
        _wait_for(process, out, "train")
        process.terminate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not ours(out)
    log = read_log(out / "log")
    ends = {end.verb: end.exit_code for end in log.of(RunEnd)}
    assert ends == {"data": 0, "tokenizer": 0, "train": 143, "supervise:train": 143, "quickstart": 143}
    assert {begin.verb: begin.seeds for begin in log.of(RunBegin)}["data"] == {"data": 5}


def _wait_for(process: subprocess.Popen[Any], out: Path, verb: str) -> None:
    while verb not in _begun(out, 1):
        assert process.poll() is None, f"it ended before '{verb}' began"
        time.sleep(0.02)
