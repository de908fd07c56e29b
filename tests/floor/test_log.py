"""The event log: what is written is read back, whatever happened to the process that wrote it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

import recorded
from shosei.errors import InputError
from shosei.log import (
    EVENTS,
    Note,
    ProcStart,
    Rating,
    Request,
    Run,
    RunBegin,
    RunEnd,
    Step,
    ToolCall,
    Writer,
    attempts,
    open_run,
    read_log,
)
from shosei.metrics.cells import compute

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
from typing import Any
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
    with pytest.raises(InputError, match="is not a run folder"):
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


def request(number: int, **fields: Any) -> Request:
    return Request(id=f"r{number}", purpose="load", seen_by="client", scheduled_ns=number, **fields)


def test_requests_of_a_log_as_large_as_several_blocks_are_read_in_order_of_time(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "r", 1, "inference")
    for number in range(30_000):
        answered = {"done_ns": number + 5, "error": "5xx", "tool_calls": [ToolCall("c", "f")]} if number % 3 else {}
        writer.emit(request(number, **answered))
        if number % 1000 == 0:
            writer.emit(step(number))
    writer.close()
    log = read_log(tmp_path)
    requests = log.columns(Request)
    assert [len(requests), len(log.of(Step)), log.warnings] == [30_000, 30, []]
    assert requests["scheduled_ns"].tolist() == list(range(30_000))
    assert requests.has("done_ns").tolist() == [number % 3 > 0 for number in range(30_000)]
    failed = requests.at(requests.where("error", "5xx"))
    assert (len(failed), failed.texts("error"), requests.texts("error")) == (20_000, ["5xx"], ["", "5xx"])
    assert [event.id for event in failed.at(failed["scheduled_ns"] >= 29_990)] == [
        f"r{number}" for number in range(29_990, 30_000) if number % 3
    ]
    assert log.of(Request)[1].tool_calls == [ToolCall("c", "f")]
    written = [line for line in next(tmp_path.glob("*.jsonl")).read_bytes().splitlines() if b'"request"' in line]
    assert b"".join(log.lines(Request)) == b"".join(written)


def test_requests_of_several_processes_and_boots_are_in_order_of_time(tmp_path: Path) -> None:
    """The later boot's monotonic clock starts from 0; within a boot processes take turns."""
    lines: dict[str, list[bytes]] = {"a": [], "b": []}
    for place, (boot, mono, process) in enumerate(
        [("old", 50, "a"), ("old", 60, "b"), ("old", 70, "a"), ("new", 5, "b"), ("new", 6, "a")]
    ):
        event = request(place, v=1, attempt=1, boot=boot, mono_ns=mono, wall_ns=1000 + place, host="h", seq=place)
        lines[process].append(msgspec.json.encode(event))
    for process, own in lines.items():
        (tmp_path / f"{process}.jsonl").write_bytes(b"\n".join([*reversed(own), b""]))
    log = read_log(tmp_path)
    assert [event.id for event in log.of(Request)] == ["r0", "r1", "r2", "r3", "r4"]
    assert log.columns(Request)["scheduled_ns"].tolist() == [0, 1, 2, 3, 4]
    assert [event.id for event in log.milestones()] == ["r0", "r2", "r3", "r4"]
    assert b"".join(log.lines(Request)) == b"".join(msgspec.json.encode(event) for event in log.of(Request))


def test_a_log_of_more_processes_than_files_may_be_open_is_read(tmp_path: Path) -> None:
    for number in range(300):
        event = request(number, v=1, attempt=1, boot="b", mono_ns=number, wall_ns=number, host="h", pid=number, seq=1)
        (tmp_path / f"{number:03}.jsonl").write_bytes(msgspec.json.encode(event) + b"\n")
    program = """if True:
        import resource, sys
        from pathlib import Path
        from shosei.log import Request, read_log
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        print(*(event.id for event in read_log(Path(sys.argv[1])).of(Request)))
    """
    told = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True).stdout
    assert told.split() == [f"r{number}" for number in range(300)]


def test_a_request_of_another_version_s_spelling_is_told_as_this_one_spells_it(tmp_path: Path) -> None:
    spelt = b'{"v": 1, "kind": "request", "attempt": 1, "id": "r", "purpose": "load", "seen_by": "client"'
    spelt += b', "scheduled_ns": 7'
    (tmp_path / "a.jsonl").write_bytes(spelt + b', "of_the_future": 1}\n' + spelt + b"}\n")
    log = read_log(tmp_path)
    assert not log.warnings
    assert b"".join(log.lines(Request)) == b"".join(msgspec.json.encode(event) for event in log.of(Request))
    assert b"future" not in b"".join(log.lines(Request))


def test_a_number_that_no_clock_reaches_is_warned_about_and_left_out(tmp_path: Path) -> None:
    good, bad = (msgspec.json.encode(request(number, v=1, attempt=1)) for number in (7, 2**63))
    (tmp_path / "a.jsonl").write_bytes(good + b"\n" + bad + b"\n")
    log = read_log(tmp_path)
    assert log.columns(Request)["scheduled_ns"].tolist() == [7]
    assert [event.scheduled_ns for event in log.of(Request)] == [7]
    (warning,) = log.warnings
    assert warning.startswith("a.jsonl:2: not a valid 'request' event (Expected `int` <= 4611686018427387904")
