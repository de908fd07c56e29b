"""Nothing outlives its supervisor unseen, and faults on purpose are marked as such."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shosei.errors import InputError
from shosei.log import Fault, Note, ProcExit, ProcStart, Restart, read_log
from shosei.log.process import this_process
from shosei.metrics.cells import compute
from shosei.supervise import HeartbeatConfig, Injection
from shosei.supervise.cgroup import Cgroup
from supervised import SHOSEI, cli, eventually, linux, lives, python, supervise

pytestmark = linux

# Leaves a process behind that has left parent, group and session, as daemons do, and writes its id.
DAEMON = """
import os, pathlib, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
os.wait()
while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)
"""
# A supervisor without the rights to make a control group.
UNGROUPED = """
import sys
from shosei.cli.main import main
from shosei.supervise.cgroup import Cgroup
Cgroup.create = lambda _name: None
sys.argv[0] = "shosei"
main()
"""


def pid_in(path: Path) -> int:
    assert eventually(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def has_groups() -> bool:
    probe = Cgroup.create("shosei-probe")
    if probe:
        probe.remove()
    return probe is not None


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("end", ["", "sys.exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_daemon_ends_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grouped: bool, end: str
) -> None:
    if not grouped:
        monkeypatch.setattr(Cgroup, "create", lambda _name: None)
    elif not has_groups():
        pytest.skip("no rights to make a control group")
    supervise(tmp_path / "run", python("train", DAEMON + end, tmp_path / "pid"), max_restarts=0, interval_s=10)
    assert not lives(pid_in(tmp_path / "pid"))


def test_a_daemon_ends_with_a_killed_supervisor_where_there_is_a_control_group(tmp_path: Path) -> None:
    if not has_groups():
        pytest.skip("no rights to make a control group")
    with cli(tmp_path / "run", sys.executable, "-c", DAEMON + "time.sleep(600)", str(tmp_path / "pid")) as supervisor:
        daemon = pid_in(tmp_path / "pid")
        supervisor.kill()
        assert eventually(lambda: not lives(daemon))


@pytest.mark.parametrize("grouped", [True, False])
def test_the_next_start_finds_what_a_killed_supervisor_left(tmp_path: Path, grouped: bool) -> None:
    if grouped and not has_groups():
        pytest.skip("no rights to make a control group")
    program = [SHOSEI] if grouped else [sys.executable, "-c", UNGROUPED]
    command = [sys.executable, "-c", DAEMON + "time.sleep(600)", str(tmp_path / "pid")]
    words = [*program, "supervise", "--run", str(tmp_path / "run"), "--"]
    first = subprocess.Popen([*words, *command])
    daemon = pid_in(tmp_path / "pid")
    try:
        first.kill()
        first.wait()
        subprocess.run([*words, "true"], check=True, timeout=60)
        assert lives(daemon) is not grouped
        before, after = (read_log(tmp_path / "run" / "log", attempt) for attempt in (1, 2))
        (start,), (end,) = before.of(ProcStart), before.of(ProcExit)
        assert (end.child_pid, end.pid, end.start_ticks) == (start.child_pid, start.pid, start.start_ticks)
        assert (end.planned, end.cause, end.signal, end.start) == (False, "signal", signal.SIGKILL, 1)
        assert 0 <= end.duration_ns <= end.mono_ns - start.mono_ns
        (crash_rate,) = (cell for cell in compute(before) if (cell.id, cell.phase) == ("crash_rate", "training"))
        assert crash_rate.value == 1
        (warning,) = (note.text for note in after.of(Note))
        assert "the supervisor of attempt 1" in warning
        assert (f"still running: {daemon} (" in warning) is not grouped
    finally:
        if not grouped:
            os.kill(daemon, signal.SIGKILL)
    subprocess.run([*words, "true"], check=True, timeout=60)
    assert read_log(tmp_path / "run" / "log").of(Note) == []  # told once


def test_after_a_reboot_the_cause_is_not_known(tmp_path: Path) -> None:
    """A run that the machine's own end has cut short, torn line included: it was written under another boot id."""
    envelope: dict[str, Any] = {
        "v": 1,
        "run": "run",
        "attempt": 1,
        "host": this_process().host,
        "boot": "before",
        "pid": os.getpid(),
        "start_ticks": this_process().start_ticks,
        "phase": "training",
    }
    events = [
        ProcStart(**envelope, mono_ns=10**9, seq=0, child="train", child_pid=7, argv=["train"], start=1),
        Note(**envelope, mono_ns=6 * 10**9, seq=1, level="info", text='a "proc.exit" that is none'),
    ]
    (tmp_path / "run" / "log").mkdir(parents=True)
    segment = tmp_path / "run" / "log" / f"{this_process().host}-before-1-1.jsonl"
    segment.write_bytes(b"\n".join(map(msgspec.json.encode, events)) + b'\n{"kind":"proc.ex')
    _, log = supervise(tmp_path / "run", python("other", "pass"))
    (end,) = (end for end in log.of(ProcExit) if end.child == "train")
    assert (end.cause, end.signal, end.planned, end.duration_ns, end.boot) == (
        "unknown",
        None,
        False,
        5 * 10**9,
        "before",
    )


def test_a_supervisor_that_lives_is_not_lost(tmp_path: Path) -> None:
    with cli(tmp_path / "run", "sleep", "600"):
        assert eventually(lambda: read_starts(tmp_path / "run"))
        subprocess.run([SHOSEI, "supervise", "--run", tmp_path / "run", "--", "true"], check=True, timeout=60)
        assert read_log(tmp_path / "run" / "log").of(Note) == []


def read_starts(run: Path) -> bool:
    return any(b"proc.start" in segment.read_bytes() for segment in (run / "log").glob("*.jsonl"))


# Says "step" ten times a second and takes a little more memory each time, until a moment of the wall clock.
WORK = """
import sys, time
held = []
while True:
    held.append(b"x" * 4_000_000)
    print("step", flush=True)
    time.sleep(0.1)
    if time.time() > float(sys.argv[1]): break
"""


def test_faults_on_purpose_are_marked_and_repaired(tmp_path: Path) -> None:
    heartbeat = HeartbeatConfig(timeout_s=2.0, pattern="step")
    child = python("train", WORK, time.time() + 6.0, heartbeat=heartbeat)
    faults = [Injection.parse("hang@1.5"), Injection.parse("kill@0.5")]
    code, log = supervise(tmp_path / "run", child, injections=faults)
    assert code == 0
    assert [(end.planned, end.cause) for end in log.of(ProcExit)] == [
        (False, "signal"),
        (False, "hang"),
        (True, "done"),
    ]
    seen = log.of(Fault)
    assert [(fault.name, fault.injected, fault.child) for fault in seen] == [
        ("kill@0.5", True, "train"),
        ("hang@1.5", True, "train"),
    ]
    assert all(fault.end_ns and fault.end_ns > fault.begin_ns for fault in seen)
    assert [(event.failure, event.watchdog) for event in log.of(Restart)] == [(0, 0), (1, 0), (1, 1)]
    crash_rate = next(cell for cell in compute(log) if (cell.id, cell.phase) == ("crash_rate", "training"))
    assert crash_rate.value == 0  # none of its own making
    assert crash_rate.figures["mttr_s"].n == 2
    assert [note.values["count"] for note in crash_rate.notes if note.key == "reliability.injected_crashes"] == [2]


@pytest.mark.parametrize("grouped", [True, False])
def test_memory_is_withheld_on_purpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grouped: bool) -> None:
    probe = Cgroup.create("shosei-probe")
    if probe:
        probe.remove()
    if not grouped:
        monkeypatch.setattr(Cgroup, "create", lambda _name: None)
    elif not probe or not Path(probe.folders[-1].parent, "memory.limit_in_bytes").exists():
        pytest.skip("no rights to make a control group with a memory controller")
    child = python("train", WORK, time.time() + 60)
    code, log = supervise(tmp_path / "run", child, max_restarts=0, injections=[Injection.parse("oom@0.5")])
    assert code != 0
    assert [end.cause for end in log.of(ProcExit)] == ["out of memory"]
    assert [fault.name for fault in log.of(Fault)] == [f"oom@0.5 ({'control group' if grouped else 'address space'})"]


@pytest.mark.parametrize("text", ["kill", "kill@", "kill@-1", "crash@3", "oom@3s", "hang@1@2"])
def test_a_fault_that_nobody_knows_is_bad_input(text: str) -> None:
    with pytest.raises(InputError, match="write kill@T, hang@T or oom@T"):
        Injection.parse(text)


def test_a_hang_that_nobody_would_end_is_bad_input(tmp_path: Path) -> None:
    words = [SHOSEI, "supervise", "--run", tmp_path / "run", "--inject", "hang@1", "--", "sleep", "1"]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 2
    assert "--heartbeat-timeout" in shown.stderr
    assert not (tmp_path / "run").exists()


def test_user_signals_reach_the_command_alone(tmp_path: Path) -> None:
    """A helper without a handler would end of one."""
    program = (
        "import pathlib, signal, subprocess, sys\n"
        "helper = subprocess.Popen(['sleep', '600'])\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(40 + (helper.poll() is None)))\n"
        "pathlib.Path(sys.argv[1]).touch(); helper.wait()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "ready")]
    with cli(tmp_path / "run", *command, options=["--max-restarts", "0"]) as supervisor:
        assert eventually((tmp_path / "ready").exists)
        supervisor.send_signal(signal.SIGUSR1)
        assert supervisor.wait(60) == 41


def test_a_signal_that_is_ignored_from_the_start_stays_so(tmp_path: Path) -> None:
    """As under nohup."""
    words = (
        f"trap '' HUP; exec {SHOSEI} supervise --run {tmp_path / 'run'} -- sh -c 'touch {tmp_path / 'ready'}; sleep 1'"
    )
    with subprocess.Popen(["sh", "-c", words]) as supervisor:
        assert eventually((tmp_path / "ready").exists)
        supervisor.send_signal(signal.SIGHUP)
        assert supervisor.wait(60) == 0


def test_adopted_orphans_are_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a control group, what the command leaves behind is ours, and must not stay as zombies."""
    monkeypatch.setattr(Cgroup, "create", lambda _name: None)
    program = (
        "import os, pathlib, subprocess, sys, time\n"
        "for _ in range(5): subprocess.run(['sh', '-c', 'sleep 0.05 &'])\n"
        "time.sleep(0.6)\n"
        "stats = [p.read_text().rpartition(')')[2].split() for p in pathlib.Path('/proc').glob('[0-9]*/stat')]\n"
        "sys.exit(sum(s[0] == 'Z' and int(s[1]) == os.getppid() for s in stats))"
    )
    code, _ = supervise(tmp_path / "run", python("train", program), max_restarts=0)
    assert code == 0


def test_the_time_of_a_fault_is_that_of_supervision(tmp_path: Path) -> None:
    begin = time.monotonic_ns()
    faults = [Injection.parse("kill@0.5")]
    child = python("train", "import time; time.sleep(600)")
    _, log = supervise(tmp_path / "run", child, max_restarts=0, injections=faults)
    assert log.of(Fault)[0].begin_ns - begin >= 5e8
