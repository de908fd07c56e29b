"""Steps of trainers that know nothing of us, told by what they print."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from handwritten import S, at, end, log_of, metric, start
from recorded import rows
from shosei.card.words import rendered
from shosei.log import Epoch, Event, Heartbeat, Log, Note, ProcExit, Step, read_log
from shosei.metrics import Metric
from shosei.metrics.cells import compute
from shosei.supervise.steps import StepReader
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
    assert found["crash_rate"].figures["lost_steps"].value == 2  # steps 7 and 8


@pytest.mark.parametrize(
    ("starts", "lost"),
    [
        ([range(1, 178), range(121, 201)], 57),
        ([range(1, 152), range(121, 131), range(121, 201)], 41),
        ([range(1, 151), range(121, 201)], 30),
        ([range(1, 11), range(1, 21), range(1, 31), range(1, 41)], 60),
        ([range(10), range(5, 25)], 5),
        ([range(1, 11), range(11, 21)], 0),
    ],
)
@pytest.mark.parametrize("at_once", [1, 7])
def test_lost_steps_are_all_that_were_told_of_twice(starts: list[range], lost: int, at_once: int) -> None:
    events: list[Event] = []
    reader = StepReader("training", lambda event: events.append(at(len(events), event)))
    for numbers in starts:
        take = reader.begin()
        lines = [re.fullmatch(b"(?P<step>.*)", str(number).encode()) for number in numbers]
        for first in range(0, len(lines), at_once):
            take([line for line in lines[first : first + at_once] if line])
        reader.end()
    log = log_of(start(0, 1), *events, end(9, 1, ran_s=9))
    assert metric(log, "crash_rate", "training").figures["lost_steps"].value == lost


@pytest.mark.parametrize("steps_an_epoch", [50, 20])
def test_an_epoch_s_time_is_right_though_its_end_is_told_of_late(
    steps_an_epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of 10 ms, told of every 0.3 s, so that one flush holds the end of an epoch and the next one's beginning."""
    events: list[Event] = []
    now = 0.0
    monkeypatch.setattr("shosei.supervise.steps.time.monotonic_ns", lambda: round(now * S))
    reader = StepReader("training", lambda event: events.append(at(now, event)))
    take = reader.begin()
    for flush in range(1, 11):
        now = flush * 0.3
        numbers = range((flush - 1) * 30 + 1, flush * 30 + 1)
        lines = [b"%d %d" % (number, (number - 1) // steps_an_epoch + 1) for number in numbers]
        take([match for line in lines if (match := re.fullmatch(rb"(?P<step>\d+) (?P<epoch>\d+)", line))])
    now += 0.01
    reader.end()
    found = metric(log_of(*events), "training_speed", "training")
    assert found.value == pytest.approx(steps_an_epoch / 100, rel=0.05)


# Writes down when each step was over, and tells of some: a bar at most every 50 ms, a log of every tenth.
THROTTLED = r"""
import sys, time
told, path = 0.0, sys.argv[1]
with open(path, "w") as times:
    for step in range(1, 121):
        time.sleep(0.004 + 0.006 * (step % 3))
        now = time.monotonic()
        print(step, now, file=times)
        if (now - told > 0.05) if sys.argv[2] == "bar" else (step % 10 == 0):
            told = now
            print(f"\r{step}/120 loss 1.5 samples 8", end="" if sys.argv[2] == "bar" else "\n", flush=True)
            print(f"\r{step}/120 refreshed", end="", flush=True)
"""


@linux
@pytest.mark.parametrize("kind", ["bar", "log"])
def test_a_trainer_that_tells_of_some_steps_is_timed_by_all(tmp_path: Path, kind: str) -> None:
    command = [SHOSEI, "supervise", "--run", tmp_path / "run", "--step-pattern"]
    command += [r"(?P<step>\d+)/120 (?:loss (?P<loss>\S+) samples (?P<samples>\d+))?", "--"]
    command += [sys.executable, "-c", THROTTLED, tmp_path / "times", kind]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    log = read_log(tmp_path / "run" / "log")
    lines = (tmp_path / "times").read_text().splitlines()
    ended = {int(step): float(moment) for step, moment in (line.split() for line in lines)}
    steps = log.of(Step)
    first, last = steps[0].step - steps[0].count, steps[-1].step
    assert all(a.step == b.step - b.count for a, b in itertools.pairwise(steps))
    truth_ms = (ended[last] - ended[first]) * 1000 / (last - first)
    found = cells(log)
    assert found["response_time"].value == pytest.approx(truth_ms, rel=0.05)
    assert found["response_time"].n == len(steps) < (last - first) / 3
    assert found["response_time"].figures["p50"].value is None
    assert found["inference_speed"].value == pytest.approx(8000 / truth_ms, rel=0.05)
    assert (found["error_rate"].value, found["error_rate"].n) == (0, len(steps))


# Keeps its lines to itself and writes them all at once, in one piece or line by line, after every 25 steps of 8 ms.
IN_BLOCKS = r"""
import sys, time
lines, began = [], None
for step in range(1, 151):
    time.sleep(0.008)
    lines.append(f"step {step} loss {'nan' if step == 60 else 1} samples 8\n")
    if step % 25 == 0:
        for piece in ["".join(lines)] if sys.argv[2] == "block" else lines:
            sys.stdout.write(piece)
            sys.stdout.flush()
        lines, now = [], time.monotonic()
        began = began or (now, step)
print((now - began[0]) / (step - began[1]), file=open(sys.argv[1], "w"))
"""


@linux
@pytest.mark.parametrize("kind", ["block", "lines"])
def test_lines_that_come_at_once_are_no_times_of_steps(tmp_path: Path, kind: str) -> None:
    command = [SHOSEI, "supervise", "--run", tmp_path / "run", "--step-pattern"]
    command += [r"step (?P<step>\d+) loss (?P<loss>\S+) samples (?P<samples>\d+)", "--"]
    command += [sys.executable, "-c", IN_BLOCKS, tmp_path / "truth", kind]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    log = read_log(tmp_path / "run" / "log")
    assert sum(step.count for step in log.of(Step)) == 125
    found = cells(log)
    truth_ms = 1000 * float((tmp_path / "truth").read_text())
    assert found["response_time"].value == pytest.approx(truth_ms, rel=0.05)
    assert found["response_time"].figures["p50"].value is None
    assert any(
        "percentiles of single steps are not measured" in str(note) for note in rendered(found["response_time"]).notes
    )
    assert found["inference_speed"].value == pytest.approx(8000 / truth_ms, rel=0.05)
    assert found["error_rate"].value == pytest.approx(1 / 125)


# Two epochs of 15 steps, a checkpoint after every sixth, and a kill in the second epoch before its first checkpoint.
BACK = r"""
import os, signal, sys, time
path = sys.argv[1]
step = int(open(path).read()) if os.path.exists(path) else 0
first = step == 0
time.sleep(0.2)
while step < 30:
    time.sleep(0.03)
    step += 1
    print(f"epoch {(step + 14) // 15} step {step} loss 1 1000 tokens 16", flush=True)
    if step % 6 == 0 and step < 17:
        with open(path, "w") as file: file.write(str(step))
    if step == 17 and first:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@linux
def test_epochs_after_a_kill_do_not_overlap(tmp_path: Path) -> None:
    """Killed after step 17 it goes on from step 12, in the first of two epochs of 15."""
    command = [SHOSEI, "supervise", "--run", tmp_path / "run", "--step-pattern", PATTERN, "--max-restarts", "1"]
    command += ["--backoff", "0.01", "--", sys.executable, "-c", BACK, tmp_path / "step"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    log = read_log(tmp_path / "run" / "log")
    assert [step.step for step in log.of(Step)] == [*range(2, 18), *range(14, 31)]
    last = {epoch.index: epoch for epoch in log.of(Epoch)}  # its last word on each
    assert last[1].end_ns <= last[2].begin_ns
    speed = rendered(cells(log)["training_speed"])
    epochs = rows(speed, "epochs")
    total = rows(speed, "wall time")["total"][0]
    assert sum(row[0] for row in epochs.values()) == pytest.approx(total, rel=0.001)
    second = [step for step in log.of(Step) if step.epoch == 2 and step.mono_ns > last[1].end_ns]
    assert epochs["2"][0] == pytest.approx(sum(step.duration_ns for step in second[-15:]) / 1e9, rel=0.02)


@linux
def test_a_number_that_falls_starts_the_clock_again(tmp_path: Path) -> None:
    log = trained(tmp_path / "run", "for n in 5 9 2 4; do echo step $n; sleep 0.02; done", pattern=r"p (?P<step>\d+)")
    assert [(step.step, step.count) for step in log.of(Step)] == [(9, 4), (4, 2)]
    assert [note.text for note in log.of(Note)] == [
        "step 2 was printed after step 9: the numbers are taken to count through the run, so that it went back"
    ]


@linux
def test_what_is_not_printed_is_not_made_up(tmp_path: Path) -> None:
    log = trained(
        tmp_path / "run", "for n in 10 20 20 30; do echo step $n; sleep 0.05; done", pattern=r"p (?P<step>\d+)"
    )
    assert [step.step for step in log.of(Step)] == [20, 30]
    assert [step.count for step in log.of(Step)] == [10, 10]
    assert not log.of(Note)
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
