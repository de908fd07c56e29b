"""The event log: what is written is read back, whatever happened to the process that wrote it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import recorded
from shosei.errors import InputError
from shosei.log import (
    EVENTS,
    Note,
    ProcStart,
    Rating,
    Run,
    RunBegin,
    RunEnd,
    Step,
    Writer,
    attempts,
    open_run,
    read_log,
)
from shosei.metrics import compute

RECORD = """
import sys
from shosei.log import open_run
with open_run(sys.argv[1], must_exist=False).recording(sys.argv[2]):
    pass
"""


def step(number: int) -> Step:
    return Step(step=number, epoch=1, samples=1, tokens=2, duration_ns=3, data_wait_ns=1, loss=0.5, finite=True)


def test_every_kind_survives_the_round_trip(tmp_path: Path) -> None:
    originals = recorded.events()
    log = read_log(recorded.write_run(tmp_path) / "log")
    assert not log.warnings
    for name, kind in EVENTS.items():
        assert len(log.of(kind)) == sum(type(event) is kind for event in originals), name
    assert log.of(ProcStart, "training")[0].child == "train"
    assert log.of(Step)[0].loss == 4.0


def test_threads_share_a_writer_without_losing_or_mixing_lines(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "r", 1)

    def emit_many(start: int) -> None:
        for number in range(start, start + 500):
            writer.emit(step(number))

    threads = [threading.Thread(target=emit_many, args=(1000 * index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    log = read_log(tmp_path)
    assert not log.warnings
    assert [event.seq for event in log.of(Step)] == list(range(2000))
    assert len({event.step for event in log.of(Step)}) == 2000


def test_a_torn_last_line_is_read_with_a_warning(tmp_path: Path) -> None:
    folder = recorded.write_run(tmp_path)
    whole = read_log(folder / "log")
    segment = next((folder / "log").glob("*.jsonl"))
    segment.write_bytes(segment.read_bytes()[:-30])
    torn = read_log(folder / "log")
    assert sum(map(len, torn.events.values())) == sum(map(len, whole.events.values())) - 1
    assert len(torn.warnings) == 1
    assert "torn last line" in torn.warnings[0]
    assert {m.status for m in compute(torn)} == {m.status for m in compute(whole)}


def test_unknown_kinds_and_garbage_are_warned_about_and_left_out(tmp_path: Path) -> None:
    folder = recorded.write_run(tmp_path)
    segment = next((folder / "log").glob("*.jsonl"))
    extra = b'{"kind":"telepathy","v":1,"attempt":1}\n\xff\xfe\n{"kind":"step","v":1,"attempt":1,"step":"x"}\n[]\n'
    segment.write_bytes(extra + segment.read_bytes())
    log = read_log(folder / "log")
    assert len(log.warnings) == 4
    assert "telepathy" in log.warnings[0]
    assert len(log.of(Step)) == recorded.STEPS_PER_EPOCH * recorded.EPOCHS


def test_a_killed_writer_loses_at_most_the_last_second_and_nothing_critical(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from shosei.log import Note, Rating, Writer
writer = Writer(Path({str(tmp_path)!r}), "r", 1)
writer.emit(Note(level="info", text="early"))
time.sleep(1.2)
writer.emit(Rating(rater="a", rater_kind="person", scale="thumbs", value=1, request="q"))
print("ready", flush=True)
while True:
    writer.emit(Note(level="info", text="x" * 1000))
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    log = read_log(tmp_path)
    assert len(log.of(Rating)) == 1
    assert log.of(Note)[0].text == "early"
    assert len(log.warnings) <= 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_neither_stops_the_work_nor_passes_silently(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    writer = Writer(tmp_path, "r", 1)
    writer.emit(step(1))
    writer.flush()
    good, full = writer._file, os.open("/dev/full", os.O_WRONLY)
    writer._file = full
    writer.emit(step(2))
    writer.flush()
    assert writer.dropped == 1
    assert "events are being lost" in capfd.readouterr().err
    writer._file = good
    writer.emit(step(3))
    writer.close()
    os.close(full)
    assert [event.step for event in read_log(tmp_path).of(Step)] == [1, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_verb_whose_events_were_lost_ends_as_an_invalid_measurement(tmp_path: Path) -> None:
    with Run(tmp_path / "r").recording("exam") as record:
        os.dup2(os.open("/dev/full", os.O_WRONLY), record.writer._file)
        record.writer.emit(step(1))
    assert record.exit_code == 5


def test_a_verb_joins_the_attempt_and_its_second_start_begins_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOSEI_ATTEMPT", raising=False)
    run = Run(tmp_path / "r")
    for verb in ("train", "load", "train"):
        subprocess.run([sys.executable, "-c", RECORD, str(run.folder), verb], check=True)
    assert attempts(run.log) == [1, 2]
    assert sorted(begin.verb for begin in read_log(run.log, 1).of(RunBegin)) == ["load", "train"]
    assert [begin.verb for begin in read_log(run.log).of(RunBegin)] == ["train"]
    environment = os.environ | {"SHOSEI_ATTEMPT": "1"}
    subprocess.run([sys.executable, "-c", RECORD, str(run.folder), "train"], check=True, env=environment)
    assert len(read_log(run.log, 1).of(RunBegin)) == 3


def test_two_starts_at_once_get_different_attempts(tmp_path: Path) -> None:
    starts = [subprocess.Popen([sys.executable, "-c", RECORD, str(tmp_path / "r"), "train"]) for _ in range(4)]
    assert [start.wait() for start in starts] == [0] * 4
    assert attempts(tmp_path / "r" / "log") == [1, 2, 3, 4]


def test_a_verb_that_fails_says_so_at_its_end(tmp_path: Path) -> None:
    run = Run(tmp_path / "r")
    with pytest.raises(InputError):
        with run.recording("train"):
            raise InputError("no data")
    assert read_log(run.log).of(RunEnd)[0].exit_code == 2


@pytest.mark.parametrize("attempt", ["0", "²", "-1", "one"])
def test_an_attempt_that_is_no_number_from_1_is_refused(
    attempt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOSEI_ATTEMPT", attempt)
    with pytest.raises(InputError, match=f"SHOSEI_ATTEMPT={attempt}"), Run(tmp_path).recording("train"):
        pass
    assert not (tmp_path / "log").exists()


def test_what_is_no_run_says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run folder"):
        open_run(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        open_run(tmp_path / "file", must_exist=False)
    folder = recorded.write_run(tmp_path)
    with pytest.raises(InputError, match="attempt 9 is not in"):
        read_log(folder / "log", 9)
    with pytest.raises(InputError, match="an empty run folder name"):
        open_run(Path(), must_exist=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no events"):
        read_log(tmp_path / "empty")
