"""Real processes, really metered and really killed; what a process says of itself is the oracle for its meters."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from shosei.errors import InputError
from shosei.log import ProcExit, ProcStart, Restart, RunEnd, Sample, Writer, open_run, read_log
from shosei.supervise import Child, Supervisor
from shosei.supervise.classify import RestartBudget, classify, exit_code_of_status
from supervised import MB, SHOSEI, cli, eventually, linux, python, samples, supervise
from verb import Shosei

# What a process and the children it has waited for have used, in its own words.
REPORT = """
import json, pathlib, resource, subprocess, sys, time
def report(path):
    own, waited = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    io = dict(line.split(": ") for line in open("/proc/self/io").read().splitlines())
    cpu = own.ru_utime + own.ru_stime + waited.ru_utime + waited.ru_stime
    pathlib.Path(path).write_text(json.dumps({"cpu_s": cpu, "io": {k: int(v) for k, v in io.items()}}))
"""


@linux
def test_written_bytes_are_the_processes_own_count(tmp_path: Path) -> None:
    program = REPORT + (
        "import os\nf = open(sys.argv[1], 'wb', buffering=0)\nfor _ in range(8): f.write(b'x' * 1_000_000)\n"
        "os.fsync(f.fileno())\nreport(sys.argv[2])"
    )
    code, log = supervise(tmp_path / "run", python("writer", program, tmp_path / "data", tmp_path / "report"))
    own = json.loads((tmp_path / "report").read_text())["io"]
    last = samples(log, "writer")[-1]
    assert code == 0
    assert 8 * MB <= last.write_chars < 8 * MB + 10_000
    assert own["write_bytes"] <= last.write_bytes <= own["write_bytes"] + 65_536
    assert own["rchar"] <= last.read_chars < own["rchar"] + 65_536


@linux
def test_cpu_time_holds_that_of_children_which_came_and_went(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    program = REPORT + f"for _ in range(2): subprocess.run([sys.executable, '-c', {burn!r}])\nreport(sys.argv[1])"
    _, log = supervise(tmp_path / "run", python("burner", program, tmp_path / "report"))
    seen = samples(log, "burner")
    own_ns = json.loads((tmp_path / "report").read_text())["cpu_s"] * 1e9
    assert own_ns >= 1e9
    assert seen[-1].cpu_ns == pytest.approx(own_ns, rel=0.1)
    cpu = [sample.cpu_ns for sample in seen]
    assert cpu == sorted(cpu)


@linux
def test_memory_is_the_whole_trees(tmp_path: Path) -> None:
    hold = "import time; held = b'x' * 100_000_000; time.sleep(1)"
    program = f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {hold!r}]); {hold}; c.wait()"
    _, log = supervise(tmp_path / "run", python("holder", program))
    seen = samples(log, "holder")
    for field in ("rss_bytes", "pss_bytes", "peak_bytes"):
        assert 200 * MB < max(getattr(sample, field) or 0 for sample in seen) < 250 * MB, field
    assert max(sample.processes or 0 for sample in seen) == 2
    meter = [sample.cpu_ns for sample in log.of(Sample) if sample.scope == "self"]
    assert len(meter) > 2
    assert meter == sorted(meter)


@linux
def test_counters_go_on_rising_over_restarts(tmp_path: Path) -> None:
    program = "import os, sys; open(sys.argv[1], 'wb', buffering=0).write(b'x' * 1_000_000); sys.exit(5)"
    _, log = supervise(tmp_path / "run", python("writer", program, tmp_path / "data"), max_restarts=2)
    written = [sample.write_chars for sample in samples(log, "writer")]
    assert written == sorted(written)
    assert 3 * MB <= written[-1] < 3 * MB + 10_000


def test_restarts_are_counted_exactly(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys; p = pathlib.Path(sys.argv[1]); n = len(p.read_text()) if p.exists() else 0\n"
        "p.write_text('x' * (n + 1)); sys.exit(0 if n == 2 else 7)"
    )
    code, log = supervise(tmp_path / "run", python("train", program, tmp_path / "starts"))
    assert code == 0
    assert [event.failure for event in log.of(Restart)] == [0, 1, 2]
    assert [event.start for event in log.of(ProcStart)] == [1, 2, 3]
    assert [(event.code, event.planned, event.cause) for event in log.of(ProcExit)] == [
        (7, False, "start-up"),
        (7, False, "start-up"),
        (0, True, "done"),
    ]
    assert {event.phase for kind in (Restart, ProcStart, ProcExit) for event in log.of(kind)} == {"training"}


def test_when_one_child_is_lost_the_others_are_stopped(tmp_path: Path) -> None:
    sleeper = python("engine", "import time; time.sleep(600)", phase="inference")
    code, log = supervise(tmp_path / "run", sleeper, python("http", "import sys; sys.exit(7)"), max_restarts=1)
    exits = log.of(ProcExit)
    assert code == 7
    assert [(event.child, event.planned) for event in exits] == [("http", False), ("http", False), ("engine", True)]
    assert (exits[-1].cause, exits[-1].signal, exits[-1].code) == ("stopped", signal.SIGTERM, None)


def test_a_death_by_signal_is_one(tmp_path: Path) -> None:
    program = "import os, signal, sys; os.kill(os.getpid(), getattr(signal, sys.argv[1]))"
    code, log = supervise(tmp_path / "run", python("train", program, "SIGSEGV"), max_restarts=0)
    (end,) = log.of(ProcExit)
    assert code == 128 + signal.SIGSEGV
    assert (end.signal, end.code, end.planned, end.cause) == (signal.SIGSEGV, None, False, "signal")


@pytest.mark.parametrize(
    ("status", "seconds", "told", "memory", "expected"),
    [
        (0, 9, False, False, (True, "done")),
        (1, 9, False, False, (False, "exception")),
        (1, 0.5, False, False, (False, "start-up")),
        (-9, 9, False, True, (False, "out of memory")),
        (137, 9, False, True, (False, "out of memory")),
        (-9, 9, False, False, (False, "signal")),
        (139, 9, False, True, (False, "signal")),
        (255, 9, False, False, (False, "exception")),
        (-15, 9, True, False, (True, "stopped")),
    ],
)
def test_causes(status: int, seconds: float, told: bool, memory: bool, expected: tuple[bool, str]) -> None:
    assert classify(status, int(seconds * 1e9), told_to_stop=told, oom_kill_near=memory) == expected
    assert exit_code_of_status(-9) == 137


@pytest.mark.parametrize("program", [[str(SHOSEI)], [sys.executable, "-m", "shosei"]])
def test_bad_input_to_one_of_our_verbs_is_not_tried_again(tmp_path: Path, program: list[str]) -> None:
    code, log = supervise(tmp_path / "run", Child("train", [*program, "trian"]))
    assert code == 2
    assert len(log.of(ProcStart)) == 1


def test_a_program_that_does_not_exist_is_bad_input() -> None:
    with pytest.raises(InputError, match="no such program"):
        Child("train", ["no-such-program"])


def test_children_find_the_run_and_its_attempt(tmp_path: Path) -> None:
    names = ["SHOSEI_RUN", "SHOSEI_ATTEMPT", "MORE"]
    program = f"import os, sys; print(*map(os.environ.get, {names}), file=open(sys.argv[1], 'w'))"
    child = Child("train", [sys.executable, "-c", program, str(tmp_path / "seen")], env={"MORE": "yes"})
    supervise(tmp_path / "run", child)
    assert (tmp_path / "seen").read_text().split() == [str((tmp_path / "run").resolve()), "1", "yes"]


def test_without_a_writer_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOSEI_RUN", str(tmp_path / "other"))
    program = "import os, sys; open(sys.argv[1], 'a').write(os.environ.get('SHOSEI_RUN', 'none ')); sys.exit(7)"

    async def supervised() -> int:
        return await Supervisor(None, [python("train", program, tmp_path / "seen")], 1, backoff_s=0.01).run()

    assert asyncio.run(supervised()) == 7
    assert (tmp_path / "seen").read_text() == "none none "
    assert [path.name for path in tmp_path.iterdir()] == ["seen"]


# Takes its time to end once it is told to.
DRAIN = """
import pathlib, signal, sys, time
def drain(*_):
    time.sleep(0.2)
    with open(sys.argv[1], "a") as file: file.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
pathlib.Path(sys.argv[1] + sys.argv[2]).touch()
time.sleep(600)
"""


def test_children_drain_in_reverse_order(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run", must_exist=False)
    out = tmp_path / "out"
    children = [python(name, DRAIN, out, name) for name in ("engine", "http")]

    async def stopped(writer: Writer) -> int:
        supervisor = Supervisor(writer, children)
        task = asyncio.create_task(supervisor.run())
        while not all(Path(f"{out}{child.name}").exists() for child in children):
            await asyncio.sleep(0.05)
        supervisor.stop()
        return await task

    with run.recording("serve") as record:
        assert asyncio.run(stopped(record.writer)) == 0
    assert out.read_text().split() == ["http", "engine"]
    assert [(event.cause, event.planned) for event in read_log(run.log).of(ProcExit)] == [("stopped", True)] * 2


def test_a_child_that_will_not_end_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    lost = python("lost", "import sys, time; time.sleep(0.5); sys.exit(7)")
    code, log = supervise(tmp_path / "run", python("stubborn", stubborn), lost, max_restarts=0, grace_s=0.2)
    assert code == 7
    assert log.of(ProcExit)[-1].signal == signal.SIGKILL


@linux
def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    def tree() -> list[psutil.Process]:
        return psutil.Process(supervisor.pid).children(recursive=True)

    with cli(tmp_path / "run", "sh", "-c", "sleep 600 & sleep 600 & wait") as supervisor:
        assert eventually(lambda: sum(process.name() == "sleep" for process in tree()) == 2)
        # A process is there before its event is.
        assert eventually(lambda: read_log(tmp_path / "run" / "log").of(ProcStart))
        left = tree()
        supervisor.kill()
        assert eventually(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in left))
    log = read_log(tmp_path / "run" / "log")
    assert log.warnings == []
    assert len(log.of(ProcStart)) == 1


@linux
@pytest.mark.parametrize("end", ["sys.exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_worker_in_a_session_of_its_own_ends_with_its_command(tmp_path: Path, end: str) -> None:
    program = (
        "import os, pathlib, subprocess, sys, time\n"
        "worker = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"pathlib.Path(sys.argv[1]).write_text(str(worker.pid)); time.sleep(1); {end}"
    )
    supervise(tmp_path / "run", python("train", program, tmp_path / "worker"), max_restarts=0)
    worker = int((tmp_path / "worker").read_text())
    assert eventually(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_and_the_commands_code_comes_back(tmp_path: Path, signum: signal.Signals) -> None:
    program = DRAIN.replace("sys.exit(0)", "sys.exit(42)").replace("signal.SIGTERM", f"signal.{signum.name}")
    with cli(tmp_path / "run", sys.executable, "-c", program, f"{tmp_path}/out", "x") as supervisor:
        assert eventually((tmp_path / "outx").exists)
        supervisor.send_signal(signum)
        assert supervisor.wait(60) == 42
    log = read_log(tmp_path / "run" / "log")
    assert [(event.cause, event.planned, event.code) for event in log.of(ProcExit)] == [("stopped", True, 42)]
    assert [event.exit_code for event in log.of(RunEnd)] == [42]


def test_a_second_signal_is_passed_on_to_a_command_that_still_finishes_its_work(tmp_path: Path) -> None:
    program = """
import pathlib, signal, sys, time
def finish(*_):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(43))
    pathlib.Path(sys.argv[1] + "finishing").touch()
    time.sleep(600)
signal.signal(signal.SIGTERM, finish)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""
    options = ["--grace", "600", "--", sys.executable, "-c", program, f"{tmp_path}/out"]
    with subprocess.Popen([SHOSEI, "supervise", "--run", tmp_path / "run", *options]) as supervisor:
        assert eventually((tmp_path / "out").exists)
        supervisor.send_signal(signal.SIGTERM)
        assert eventually((tmp_path / "outfinishing").exists)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(60) == 43


def test_output_passes_through(tmp_path: Path) -> None:
    options = ["--run", tmp_path / "run", "--max-restarts", "1", "--json"]
    shown = subprocess.run(
        [SHOSEI, "supervise", *options, "--", "sh", "-c", "echo 你好; kill -KILL $$"], capture_output=True, timeout=60
    )
    assert shown.returncode == 137
    lines = shown.stdout.decode().splitlines()
    assert lines[:-1] == ["你好"] * 2
    assert json.loads(lines[-1])["exit_code"] == 137


def test_the_budget_of_restarts_refills_with_time() -> None:
    within, in_all = RestartBudget(2, 60, 0.5), RestartBudget(2, None, 0.5)
    assert [within.spend(at) for at in (0, 10, 20, 60, 69, 70, 200)] == [0.5, 1.0, None, 1.0, None, 1.0, 0.5]
    assert [in_all.spend(at) for at in (0, 10, 1e6)] == [0.5, 1.0, None]


@pytest.mark.parametrize("per", ["0", "10x", "soon"])
def test_a_time_that_is_none_is_refused(per: str, shosei: Shosei) -> None:
    code, _, err = shosei("supervise", "--run", "never", "--per", per, "--", "true")
    assert (code, err) == (2, f"shosei: --per {per}: write a time of at least a second, such as 90s, 10m or 2h\n")


def test_process_1_collects_what_its_command_leaves_behind(tmp_path: Path) -> None:
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no process namespace can be made here")
    program = (
        "for i in 1 2 3 4 5 6 7 8; do (sleep 0.1 &); done; sleep 2.5; "
        "cat /proc/[0-9]*/stat | grep -c ') Z ' > \"$0\"; exit 0"
    )
    command = [*unshare, sys.executable, "-m", "shosei", "supervise", "--run", tmp_path / "run", "--max-restarts", "0"]
    subprocess.run([*command, "--", "sh", "-c", program, tmp_path / "zombies"], check=True, timeout=120)
    assert (tmp_path / "zombies").read_text() == "0\n"
