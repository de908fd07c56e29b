"""What a person sees of work that takes long: on a terminal, in a pipe, and where it does not take long."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from progress_display import Clock, slow_display
from shosei.cli import main as cli
from shosei.cli.display import ProgressDisplay
from shosei.progress import BYTES, progress, shown_on
from text_samples import sentences, text_run, write_lines
from verb import Shosei

_SETTINGS = ("sequence=32", "batch_tokens=256", "max_steps=3", "threads=1")
_THREE_STEPS = [word for setting in _SETTINGS for word in ("--set", f"train.{setting}")]


@contextmanager
def piped() -> Iterator[tuple[ProgressDisplay, Clock, io.StringIO]]:
    stream, clock = io.StringIO(), Clock()
    display = ProgressDisplay(stream, clock)
    with shown_on(display):
        yield display, clock, stream


# A verb of its own process, all of whose work takes long.
_SLOW_VERB = """
import sys
from progress_display import slow_display
from shosei.cli import main as cli
cli.ProgressDisplay = slow_display
cli.main(sys.argv[1:])
"""


class Terminal:
    """A pseudo-terminal, and what was written to it."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.stream = os.fdopen(theirs, "w")

    def written(self) -> str:
        self.stream.flush()
        os.set_blocking(self._ours, False)
        parts = []
        try:
            while part := os.read(self._ours, 65536):
                parts.append(part)
        except BlockingIOError:
            return b"".join(parts).decode()
        return b"".join(parts).decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._ours)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    opened = Terminal()
    yield opened
    opened.close()


def test_what_ends_within_ten_seconds_is_not_shown_in_a_pipe() -> None:
    with piped() as (display, clock, stream):
        with progress("encoding", 10, "rows") as work:
            clock.now += 9.9
            work.advance(10)
            display.look()
    assert stream.getvalue() == ""


def test_a_pipe_gets_a_line_every_ten_seconds() -> None:
    with piped() as (display, clock, stream):
        with progress("encoding the text", 2_000_000, BYTES) as work:
            for _ in range(30):
                clock.now += 1
                work.advance(50_000)
                display.look()
            work.note = "well"
    assert stream.getvalue().splitlines() == [
        "encoding the text: 500 kB of 2.00 MB, 10 s, 30 s to go",
        "encoding the text: 1.00 MB of 2.00 MB, 20 s, 20 s to go",
        "encoding the text: 1.50 MB of 2.00 MB, 30 s, 10 s to go",
        "encoding the text: 1.50 MB of 2.00 MB, well, 30 s",
    ]


def test_time_to_go_does_not_count_what_was_done_before() -> None:
    with piped() as (display, clock, stream):
        with progress("asking", 100, "answers", done=80) as work:
            clock.now += 10
            work.advance(10)
            display.look()
            work.advance(10)
    assert stream.getvalue().splitlines()[0] == "asking: 90 of 100 answers, 10 s, 10 s to go"


def test_short_works_one_after_the_other_are_waited_for_in_one_go() -> None:
    with piped() as (display, clock, stream):
        for number in range(3):
            with progress(f"part {number}"):
                clock.now += 5
                display.look()
        clock.now += 60
        with progress("something else, later"):
            clock.now += 5
            display.look()
    assert stream.getvalue().splitlines() == ["part 1: 5 s"]


def test_work_within_work_is_what_is_shown() -> None:
    with piped() as (display, clock, stream):
        with progress("preparing"):
            clock.now += 5
            with progress("encoding", 4, "rows") as work:
                clock.now += 5
                work.advance(1)
                display.look()
            clock.now += 10
            display.look()
    assert stream.getvalue().splitlines() == [
        "encoding: 1 of 4 rows, 5 s, 15 s to go",
        "preparing: 20 s",
        "preparing: 20 s",
    ]


def test_work_that_fails_is_not_told_to_have_ended() -> None:
    def fail(clock: Clock) -> None:
        with progress("encoding"):
            clock.now += 60
            raise ValueError("broken")

    with piped() as (_, clock, stream), pytest.raises(ValueError, match="broken"):
        fail(clock)
    assert stream.getvalue() == ""


def test_a_terminal_has_one_line_that_changes(terminal: Terminal) -> None:
    clock = Clock()
    display = ProgressDisplay(terminal.stream, clock)
    with shown_on(display), progress("encoding", 4, "rows") as work:
        clock.now += 2
        display.look()
        assert terminal.written() == ""
        for _ in range(3):
            clock.now += 2
            work.advance(1)
            display.look()
        changing = terminal.written()
        assert all(f"{done} of 4 rows" in changing for done in (1, 2, 3))
        assert "\n" not in changing
    ended = terminal.written()
    assert "encoding: 3 of 4 rows, 8 s" in ended
    assert ended.endswith("\x1b[2K"), "the line that changed is gone"
    assert "\x1b[?25h" in ended, "and the cursor is back"


def test_a_terminal_that_cannot_go_back_gets_lines(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    clock = Clock()
    display = ProgressDisplay(terminal.stream, clock)
    with shown_on(display), progress("encoding"):
        clock.now += 12
        display.look()
    assert terminal.written().split("\r\n") == ["encoding: 12 s", "encoding: 12 s", ""]


def test_standard_output_is_the_results_alone(terminal: Terminal, tmp_path: Path) -> None:
    text = write_lines(tmp_path / "text.txt", sentences(300))
    done = subprocess.run(
        [sys.executable, "-c", _SLOW_VERB, "data", "--run", str(tmp_path / "run"), "--text", str(text), "--json"],
        stdout=subprocess.PIPE,
        stderr=terminal.stream,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert set(json.loads(done.stdout)) >= {"run", "documents", "characters"}
    assert "reading text: 300 documents, file 1 of 1, text.txt" in terminal.written()


@pytest.fixture
def slow(shosei: Shosei, monkeypatch: pytest.MonkeyPatch) -> None:
    """All work of a verb takes long."""
    monkeypatch.setattr(cli, "ProgressDisplay", slow_display)


def told_of(errors: str) -> set[str]:
    """What was told of: the part of each line before its numbers."""
    return {line.partition(":")[0] for line in errors.splitlines()}


@pytest.mark.usefixtures("slow")
def test_every_verb_from_text_to_a_card_says_how_far_it_is(shosei: Shosei, tmp_path: Path) -> None:
    text, run, gguf = write_lines(tmp_path / "text.txt", sentences(300)), tmp_path / "run", tmp_path / "out.gguf"

    def told_by(verb: str, *arguments: str | Path) -> set[str]:
        code, out, errors = shosei(verb, *arguments, "--json")
        assert code in (0, 4), errors  # 4: nothing to decide on between the two runs
        json.loads(out)
        return told_of(errors)

    assert told_by("data", "--run", run, "--text", text, "--set", "text.held_out=0.1") >= {"reading text"}
    assert told_by("tokenizer", "--run", run, "--vocab-size", "300") >= {"learning the tokenizer's merges"}
    assert told_by("train", "--run", run, *_THREE_STEPS) >= {
        "encoding the text",
        "packing the text into rows",
        "preparing the training",
        "evaluating on held-out text",
        "training",
        "writing a checkpoint",
        "writing the weights",
    }
    assert told_by("export", run, tmp_path / "out", "--type", "bf16") >= {"writing the weights"}
    assert told_by("export", run, gguf, "--type", "q8_0") >= {"writing the weights as q8_0"}
    assert told_by("import", gguf, "--out", tmp_path / "again") >= {
        "unpacking out.gguf",
        "reading config and tokenizer",
        "writing the weights",
        "trying the model",
    }
    assert told_by("card", run) >= {"reading the log", "computing the metrics"}
    assert told_by("compare", run, tmp_path / "again") >= {"reading the log", "computing the metrics"}


@pytest.mark.usefixtures("slow")
def test_flops_are_told_to_who_asks(shosei: Shosei, tmp_path: Path) -> None:
    run = text_run(tmp_path / "run", sentences(300))
    run.log.mkdir()
    quiet, verbose = (shosei("train", "--run", run.folder, *_THREE_STEPS, *flag) for flag in ([], ["--verbose"]))
    assert "3 of 3 steps, loss" in quiet[2]
    assert "GFLOP/s" not in quiet[1] + quiet[2]
    assert "GFLOP/s" in verbose[1]
    assert re.search(r"3 of 3 steps, loss .* GFLOP/s \(.*% of the GEMM peak\)", verbose[2])
