"""Progress of commands that know nothing of us: the output unchanged, a hang ended, the time to repair."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shosei.errors import InputError
from shosei.log import Heartbeat as Beat
from shosei.log import ProcExit, Restart
from shosei.metrics.cells import compute
from shosei.supervise import HeartbeatConfig
from shosei.supervise.heartbeat import OutputPulse
from supervised import SHOSEI, linux, python, supervise

# Makes progress and hangs in its first start; in its second it goes on to the end.
HANGS_ONCE = """
import pathlib, sys, time
mark = pathlib.Path(sys.argv[1])
second = mark.exists()
for step in range(6):
    {beat}
    time.sleep(0.3)
    if step == 3 and not second:
        mark.touch()
        time.sleep(600)
"""


@linux
@pytest.mark.parametrize("way", ["file", "pattern"])
def test_a_hang_is_ended_and_work_goes_on(tmp_path: Path, way: str) -> None:
    if way == "file":
        beat = "pathlib.Path(sys.argv[2]).write_text(str(step))"
        heartbeat = HeartbeatConfig(timeout_s=2.0, file=tmp_path / "beat")
    else:
        beat = "print('step', step, end=' ')"  # a line that does not end
        heartbeat = HeartbeatConfig(timeout_s=2.0, pattern=r"step \d+")
    child = python("train", HANGS_ONCE.format(beat=beat), tmp_path / "mark", tmp_path / "beat", heartbeat=heartbeat)
    code, log = supervise(tmp_path / "run", child)
    assert code == 0
    assert [(end.planned, end.cause) for end in log.of(ProcExit)] == [(False, "hang"), (True, "done")]
    assert [(event.failure, event.watchdog) for event in log.of(Restart)] == [(0, 0), (0, 1)]
    beats = log.of(Beat)
    assert 2 <= max(beat.count for beat in beats) <= 6
    assert beats[1].mono_ns - beats[0].mono_ns >= 1e9  # at most one a second
    crash_rate = next(cell for cell in compute(log) if (cell.id, cell.phase) == ("crash_rate", "training"))
    assert crash_rate.figures["mttr_s"].n == 1
    assert crash_rate.value == 0.5


@linux
def test_a_command_that_never_shows_progress_hangs_too(tmp_path: Path) -> None:
    heartbeat = HeartbeatConfig(timeout_s=0.5, pattern="step")
    child = python("train", "import time; print('loading'); time.sleep(600)", heartbeat=heartbeat)
    code, log = supervise(tmp_path / "run", child, max_restarts=0)
    assert code == 137
    assert [end.cause for end in log.of(ProcExit)] == ["hang"]
    assert log.of(Beat) == []


# Bytes that are not text, a line without an end, and words on both streams.
SPEAK = r"""
import os, sys, time
for part in (b"\x00\xff\r\n", "你好".encode()[:4], "你好".encode()[4:], b"50%\r100%", b"x" * 300_000, b"end"):
    os.write(1, part)
os.write(2, b"\xfeerror")
"""


def test_output_is_unchanged_while_it_is_watched(tmp_path: Path) -> None:
    words = [sys.executable, "-c", SPEAK]
    plain = subprocess.run(words, capture_output=True)
    options = ["--run", tmp_path / "run", "--heartbeat-pattern", r"\d+%"]
    shown = subprocess.run([SHOSEI, "supervise", *options, "--", *words], capture_output=True, timeout=60)
    assert shown.stdout == plain.stdout
    assert shown.stderr.startswith(plain.stderr)


def test_two_streams_in_one_file_stay_in_order(tmp_path: Path) -> None:
    program = "import os\nfor n in range(2000): os.write(1 + n % 2, b'%d\\n' % n)"
    options = ["--run", tmp_path / "run", "--heartbeat-pattern", "9"]
    words = [SHOSEI, "supervise", *options, "--", sys.executable, "-c", program]
    shown = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert shown.stdout.split()[:2000] == [str(number).encode() for number in range(2000)]


def test_the_command_sees_that_nobody_reads_its_output(tmp_path: Path) -> None:
    options = f"--run {tmp_path / 'run'} --max-restarts 0 --heartbeat-pattern y"
    line = f"{SHOSEI} supervise {options} -- yes | head -n 1"
    shown = subprocess.run(["sh", "-c", line], capture_output=True, timeout=60)
    assert shown.stdout == b"y\n"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([b"step 1", b"step", b" 22\n", b"\n", b"x", b"\xff", b"a step 3 b"]), max_size=12))
def test_matches_are_counted_however_the_output_is_cut(parts: list[bytes]) -> None:
    """A pattern that is over at the line's end: each cut gives the count of the whole."""
    whole = b"".join(parts) + b"\n"
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdin
    assert process.stdout
    with open("/dev/null", "wb") as nowhere:
        pulse = OutputPulse(r"step \d+\n", [(process.stdout, nowhere.fileno())])
        for part in (*parts, b"\n"):
            process.stdin.write(part)
        process.stdin.close()
        process.wait()
        pulse.drain()
    assert pulse.beats() == len(re.findall(rb"step \d+\n", whole))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout_s": 5}, "needs one of --heartbeat-file, --heartbeat-pattern, --step-pattern"),
        ({"file": Path("a"), "pattern": "b"}, "choose the one"),
        ({"pattern": "a", "steps": "b"}, "both --heartbeat-pattern and --step-pattern"),
        ({"pattern": "("}, "no regular expression"),
        ({"steps": "("}, "--step-pattern .*no regular expression"),
        ({"steps": r"step (\d+)"}, r"lacks \(\?P<step>"),
        ({"steps": r"(?P<step>\d+) (?P<los>\S+)"}, "no group is called los"),
    ],
)
def test_a_heartbeat_that_cannot_be_watched_is_bad_input(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        HeartbeatConfig(**options)
