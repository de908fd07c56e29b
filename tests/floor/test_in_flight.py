"""Requests in flight: what is on record of them when the process that answers them is killed, and only then."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shosei.log import Note, Request, Writer, read_log
from shosei.metrics.cells import compute

IN_FLIGHT = 24

ANSWER_AND_WAIT = f"""
import sys, time
from pathlib import Path
from shosei.log import Request, RunBegin, Writer
writer = Writer(Path(sys.argv[1]), "r", 1, "inference")
writer.emit(RunBegin(verb="http", argv=[]))
requests = [Request(id=f"r{{n}}", purpose="chat", seen_by="server", scheduled_ns=n) for n in range({IN_FLIGHT + 2})]
for request in requests:
    writer.begin(request)
for request in requests[:2]:
    request.done_ns = 100
    writer.emit(request)  # and is told at once, since nobody flushes
print("ready", flush=True)
time.sleep(600)
"""


def request(number: int, **fields: Any) -> Request:
    return Request(id=f"r{number}", purpose="chat", seen_by="server", scheduled_ns=number, **fields)


def test_they_are_lost_once_the_process_is_killed_and_not_before(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ANSWER_AND_WAIT, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        alive = read_log(tmp_path)
        process.send_signal(signal.SIGKILL)
    assert [event.id for event in alive.of(Request)] == ["r0", "r1"]
    assert not alive.warnings
    log = read_log(tmp_path)
    assert not log.warnings
    errors = {event.id: event.error for event in log.of(Request)}
    assert len(log.of(Request)) == len(errors)
    assert errors == {f"r{number}": "" if number < 2 else "lost" for number in range(IN_FLIGHT + 2)}
    (rate,) = (metric for metric in compute(log) if (metric.id, metric.phase) == ("error_rate", "inference"))
    assert rate.value == pytest.approx(IN_FLIGHT / (IN_FLIGHT + 2), rel=1e-9)
    assert read_log(tmp_path).digest == log.digest != alive.digest


def test_what_ended_leaves_nothing_and_what_did_not_is_lost(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "r", 1, "inference")
    for number in range(300):
        writer.begin(request(number))
        if number >= 4:
            writer.emit(request(number - 4))
    (ledger,) = (path for path in tmp_path.iterdir() if path.suffix != ".jsonl")
    assert ledger.stat().st_size < 10_000, "it grows with what is in flight together, not with the requests"
    writer.close()
    lost = [event.id for event in read_log(tmp_path).of(Request) if event.error]
    assert lost == ["r296", "r297", "r298", "r299"]

    after = Writer(tmp_path, "r", 2, "inference")  # of the same process, as a verb that is called twice
    after.begin(request(1))
    after.emit(request(1))
    after.close()
    assert [event.error for event in read_log(tmp_path).of(Request)] == [""]
    assert sum(event.error == "lost" for event in read_log(tmp_path, 1).of(Request)) == 4
    assert [path for path in tmp_path.iterdir() if path.suffix != ".jsonl"] == [ledger]


def test_names_of_any_length_are_no_obstacle(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "r", 1, "inference")
    writer.emit(Note(level="info", text="begun"))
    writer.begin(request(1, task="t" * 5000, agent="名" * 5000))
    writer.begin(request(2, task="t", agent="a"))
    writer.close()
    assert [(event.id, event.agent) for event in read_log(tmp_path).of(Request)] == [("r1", ""), ("r2", "a")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_full_stops_no_answer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = """if True:
        import resource, sys
        from pathlib import Path
        from shosei.log import Request, Writer
        writer = Writer(Path(sys.argv[1]), "r", 1, "inference")
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        request = Request(id="r", purpose="chat", seen_by="server", scheduled_ns=1)
        writer.begin(request)
        writer.emit(request)
        writer.close()
        print(writer.dropped)
    """
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 0
    assert done.stderr.count("events are being lost") == 1
