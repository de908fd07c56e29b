"""Steps of trainers that know nothing of us, told by what they print."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shosei.log import Epoch, Heartbeat, Log, Note, ProcExit, Step, read_log
from shosei.metrics import Metric
from shosei.metrics.cells import compute
from supervised import SHOSEI, linux

PATTERN = r"epoch (?P<epoch>\d+) step (?P<step>\d+) loss (?P<loss>\S+) (?P<tokens>[\d,]+) tokens (?P<samples>\d+)"

# Two epochs of six steps. The line of a step comes in three pieces, and step 9's loss is nan.
TRAINER = r"""
step=0
for epoch in 1 2; do
    for _ in 1 2 3 4 5 6; do
        sleep 0.05
        step=$((step + 1)); loss=2.5
        [ $step = 9 ] && loss=nan
        printf "epoch $epoch st"; printf "ep $step loss"; printf " $loss 1,000 tokens 1"; printf "6\n"
    done
done
"""

# Writes its step into a file after each, goes on from there, and dies after step 8 of its first start.
RESTARTED = r"""
step=$(cat "$1" 2>/dev/null || echo 0)
while [ $step -lt 12 ]; do
    sleep 0.05
    step=$((step + 1))
    echo "epoch $(((step + 5) / 6)) step $step loss 1 1000 tokens 16"
    [ $((step % 3)) = 0 ] && echo $step > "$1"
    [ $step = 8 ] && [ ! -e "$1.died" ] && touch "$1.died" && kill -9 $$
done
exit 0
"""


def trained(folder: Path, script: str, *arguments: object, pattern: str = PATTERN) -> Log:
    options = ["--run", folder, "--step-pattern", pattern, "--backoff", "0.01"]
    command = [SHOSEI, "supervise", *options, "--", "sh", "-c", script, "sh", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return read_log(folder / "log")


def cells(log: Log) -> dict[str, Metric]:
    return {metric.id: metric for metric in compute(log) if metric.phase == "training"}


@linux
def test_a_shell_scripts_steps_are_measured(tmp_path: Path) -> None:
    log = trained(tmp_path / "run", TRAINER)
    steps = log.of(Step)
    assert [(step.step, step.epoch) for step in steps] == [(n, 1 + (n > 6)) for n in range(2, 13)]
    assert {(step.tokens, step.samples) for step in steps} == {(1000, 16)}
    assert [step.step for step in steps if not step.finite] == [9]
    assert [(epoch.index, epoch.fraction) for epoch in log.of(Epoch)] == [(1, 5 / 6), (2, 1.0)]
    assert log.of(Heartbeat)
    assert not log.of(Note)
    found = cells(log)
    assert found["training_speed"].n == 1  # the epoch that was seen whole
    assert found["training_speed"].figures["goodput"].value is None  # nobody knows how long the steps waited
    assert found["inference_speed"].value == pytest.approx(16e9 * len(steps) / sum(s.duration_ns for s in steps))
    assert found["response_time"].value == pytest.approx(sum(s.duration_ns for s in steps) / 1e6 / len(steps))
    assert found["error_rate"].value == pytest.approx(1 / 11)


@linux
def test_a_restart_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    """It went back to step 7, which only starts the clock again; the second epoch holds the way back."""
    log = trained(tmp_path / "run", RESTARTED, tmp_path / "step")
    assert [step.step for step in log.of(Step)] == [*range(2, 9), *range(8, 13)]
    assert [end.planned for end in log.of(ProcExit)] == [False, True]
    last = {epoch.index: epoch for epoch in log.of(Epoch)}
    assert {index: epoch.fraction for index, epoch in last.items()} == {1: 5 / 6, 2: 1.0}
    found = cells(log)
    assert found["training_speed"].n == 1
    second = sum(step.duration_ns for step in log.of(Step) if step.epoch == 2)
    assert (found["training_speed"].value or 0) > second / 1e9  # the start between its steps too
    assert found["crash_rate"].value == 0.5


@linux
def test_what_is_not_printed_is_not_made_up(tmp_path: Path) -> None:
    log = trained(
        tmp_path / "run", "for n in 10 20 20 30; do echo step $n; sleep 0.05; done", pattern=r"p (?P<step>\d+)"
    )
    assert [step.step for step in log.of(Step)] == [20, 30]
    assert [note.text for note in log.of(Note)] == [
        "step 20 was printed after step 10: each match counts as one step, and the numbers are taken to count through "
        "the run"
    ]
    found = cells(log)
    assert {name for name in ("training_speed", "inference_speed", "error_rate") if found[name].value is None} == {
        "training_speed",
        "inference_speed",
        "error_rate",
    }
    assert found["response_time"].value


@linux
def test_a_progress_bar_without_lines_and_a_word_instead_of_a_number(tmp_path: Path) -> None:
    script = r"printf 'step 1\r'; sleep .1; printf 'step 2\r'; echo step two; sleep .1; printf 'step 3'"
    log = trained(tmp_path / "run", script, pattern=r"step (?P<step>\w+)")
    assert [step.step for step in log.of(Step)] == [2, 3]
    assert ["not a number: 'step two'" in note.text for note in log.of(Note)] == [True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--step-pattern", "(?P<stop>.)"], "no group is called stop"),
        (["--step-pattern", "(?P<step>.)", "--phase", "inference"], "serving has no steps"),
    ],
)
def test_steps_that_cannot_be_read_are_bad_input(tmp_path: Path, options: list[str], message: str) -> None:
    command = [SHOSEI, "supervise", "--run", tmp_path / "run", *options, "--json", "--", sys.executable, "-c", "0"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()
