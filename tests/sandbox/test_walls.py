"""What walls and the filter of system calls keep in, and whether the attacks that prove it could tell otherwise."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from programs import task
from shosei.errors import InputError
from shosei.exam import ExamConfig
from shosei.sandbox import choose, sandbox
from shosei.sandbox.attacks import ATTACKS
from shosei.sandbox.inside.calls import ABSENT, CONDITIONAL, FATAL, GIVEN
from shosei.sandbox.outside import Outside
from shosei.sandbox.proof import Proof, prove
from shosei.sandbox.runner import Runner, _execution
from shosei.sandbox.sandbox import End
from shosei.wire.suite import Task
from walls import STANDING, needs_sandlock, needs_wall

pytestmark = [
    pytest.mark.usefixtures("folders"),
    pytest.mark.skipif(sys.platform != "linux", reason="the runner needs Linux"),
]

RUNGS = [*STANDING, "rlimits"]
LIMITS = ExamConfig(cpu_s=2, wall_s=20)
COLUMN = {"x86_64": 0, "aarch64": 1}.get(os.uname().machine, 0)
# Of the attacks, those on what a wall around files does not see. None takes anything that it could not give back.
UNSEEN = (
    "change a file's mode",
    "take a file",
    "change a file's times",
    "change a file's attributes",
    "lock a file",
    "watch a folder",
    "see that a file or process exists",
    "find a file by its handle",
    "renice another process",
    "pin another process",
    "limit another process",
    "see another process",
    "have another process signalled",
    "send a datagram",
    "put descriptors in flight",
    "change a folder outside",
)


def outcomes(programs: list[str], item: Task, backend: str, config: ExamConfig = LIMITS) -> list[str]:
    async def main() -> list[str]:
        async with Runner(config, backend) as runner:
            return [(await runner.execute(program, item)).outcome for program in programs]

    return asyncio.run(main())


@pytest.mark.parametrize("backend", RUNGS)
def test_a_call_on_no_list_is_refused(backend: str) -> None:
    """Each number there is, by a raw system call, so that no call is forgotten."""
    listed = {table[name][COLUMN] for table in (GIVEN, CONDITIONAL, FATAL) for name in table}
    listed |= {335, 336} if COLUMN == 0 else set()  # uretprobe, uprobe: the kernel asks no filter, and does nothing
    tried = [number for number in range(500) if number not in listed]
    absent = {number for number in tried if number > 452} | {pair[COLUMN] for pair in ABSENT.values()}
    tried += [0x40000000 | number for number in range(0, 500, 7)]  # x86-64's other table, x32
    expected = [errno.ENOSYS if number > 452 or number in absent else errno.EPERM for number in tried]
    program = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "def f(numbers):\n"
        "    return [libc.syscall(n, -1, -1, -1, -1, -1, -1) + 1 or ctypes.get_errno() for n in numbers]"
    )
    assert outcomes([program], task(([tried], expected)), backend) == ["pass"]


def test_a_call_that_no_program_needs_ends_it() -> None:
    numbers = [pair[COLUMN] for pair in FATAL.values() if pair[COLUMN] is not None]
    programs = [f"import ctypes\nctypes.CDLL(None).syscall({number}, -1, -1, -1, -1, -1)" for number in numbers]
    assert set(outcomes(programs, task(([1], 1)), "rlimits")) == {"sandbox violation"}


def test_the_tables_name_each_call_once() -> None:
    tables = [GIVEN, CONDITIONAL, ABSENT, FATAL]
    for column in (0, 1):
        numbers = [pair[column] for table in tables for pair in table.values() if pair[column] is not None]
        assert len(numbers) == len(set(numbers))
    assert len({name for table in tables for name in table}) == sum(map(len, tables))


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86's older way into the kernel")
def test_the_calls_of_another_architecture_end_a_program() -> None:
    code = "b8 14 00 00 00 cd 80 c3"  # mov eax, 20 (getpid); int 0x80; ret
    program = (
        "import ctypes, mmap\npage = mmap.mmap(-1, 4096, prot=7)\n"
        f"page.write(bytes.fromhex('{code}'))\n"
        "def f(x):\n    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))\n"
        "    return call() and 1"
    )
    [outcome] = outcomes([program], task(([1], 1)), "rlimits")
    assert outcome in ("sandbox violation", "killed by signal")  # the second where the kernel has no such way


@pytest.mark.parametrize(
    "program",
    [
        "import asyncio\ndef f(x):\n    async def g():\n        await asyncio.sleep(0.01)\n        return x\n"
        "    return asyncio.run(g())",
        "import concurrent.futures as c\ndef f(x):\n    with c.ThreadPoolExecutor(4) as pool:\n"
        "        return sum(pool.map(lambda y: y, [x, 0, 0]))",
        "import time, datetime, random, decimal, uuid, platform, json, os\ndef f(x):\n    time.sleep(0.01)\n"
        "    return x + (time.process_time() < 0) + (uuid.uuid4() == 0) + (os.cpu_count() == 0)",
        "import os\ndef f(x):\n    r, w = os.pipe()\n    os.write(w, b'1')\n    return int(os.read(r, 9))",
        "import signal, time\ndef f(x):\n    seen = []\n    signal.signal(signal.SIGALRM, lambda *_: seen.append(x))\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.01)\n    time.sleep(0.1)\n    return seen[0]",
        "import os, signal\ndef f(x):\n    seen = []\n    signal.signal(signal.SIGUSR1, lambda *_: seen.append(x))\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n    return seen[0]",
    ],
)
@pytest.mark.parametrize("backend", RUNGS)
def test_what_honest_programs_use_is_given(backend: str, program: str) -> None:
    assert outcomes([program], task(([1], 1)), backend) == ["pass"]


def test_a_file_of_its_own_can_be_worked_with() -> None:
    """Where a program has a folder: without a wall, and in bubblewrap."""
    program = """
import os, tempfile
def f(x):
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = os.path.join(folder, "a")
        with open(path, "w") as file:
            file.write("words")
        os.rename(path, path + "b")
        try:
            os.open(path + "b", os.O_RDONLY | os.O_TRUNC)
        except PermissionError:
            return open(path + "b").read()
"""
    for backend in {"bubblewrap", "rlimits"} & {*RUNGS}:
        assert outcomes([program], task(([1], "words")), backend) == ["pass"]


@pytest.mark.parametrize("name", UNSEEN)
def test_an_attack_gets_through_where_nothing_holds_it(name: str, tmp_path: Path) -> None:
    """Else that it is held would prove nothing."""
    if name == "change a file's attributes":
        try:
            os.setxattr(tmp_path, "user.shosei", b"x")
        except OSError:
            pytest.skip("files have no attributes here")
    [attack] = [attack for attack in ATTACKS if attack.name == name]
    with Outside() as outside:
        script = f"{attack.program}\nprint(f(*{outside.arguments!r}))"
        done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.strip() != "held"
        assert outside.touched() <= {name}
        if name in outside._before and not (name == "take a file" and os.geteuid()):
            assert outside.touched() == {name}


def test_traces_count_whatever_an_attack_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Outside.touched
    monkeypatch.setattr(Outside, "touched", lambda self: os.chmod(self.arguments[0], 0o4777) or asked(self))
    held = [attack for attack in ATTACKS if attack.name in ("change a file's mode", "signal other processes")]
    monkeypatch.setattr("shosei.sandbox.proof.ATTACKS", held)
    assert "change a file's mode" in asyncio.run(prove(LIMITS, "rlimits")).broken
    with Outside() as outside:
        assert outside._before.keys() <= {attack.name for attack in ATTACKS}


@functools.cache
def proof_of(backend: str) -> Proof:
    """Every attack on it, once; the strongest wall is the one that 'auto' is to take."""
    return asyncio.run(choose(LIMITS) if [backend] == STANDING[:1] else prove(LIMITS, backend))


@pytest.mark.parametrize("backend", RUNGS)
def test_a_sandbox_proves_itself(backend: str) -> None:
    proof = proof_of(backend)
    assert proof.tried == len(ATTACKS) + 1
    assert proof.level == f"{backend} {proof.tried - len(proof.broken)}/{proof.tried}"
    if backend == "rlimits":
        assert {"read a file outside", "write outside"} <= set(proof.broken)
        assert not {"fork bomb", "loop without end", "reach the network", "allocate 10 GB"} & set(proof.broken)
        assert not set(UNSEEN) - {"see that a file or process exists", "change a folder outside"} & set(proof.broken)
    else:
        assert proof.broken == {"bubblewrap": [], "sandlock": ["see that a file or process exists"]}[backend]


@needs_sandlock
def test_sandlock_needs_neither_a_home_nor_a_name_for_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "import pwd; pwd.getpwuid = {}.__getitem__; "
    monkeypatch.setattr(sandbox, "_SANDLOCKED", nobody + sandbox._SANDLOCKED)
    assert outcomes(["def f(x): return x"], task(([1], 1)), "sandlock") == ["pass"]


@needs_sandlock
def test_sandlock_holds_on_an_older_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as its protections can be left out on this one; the filter has to hold what they do not."""
    new, old = "allow_degraded=list(sandlock.Protection)", "disable=list(sandlock.Protection)[1:]"
    assert new in sandbox._SANDLOCKED
    monkeypatch.setattr(sandbox, "_SANDLOCKED", sandbox._SANDLOCKED.replace(new, old))
    assert not asyncio.run(prove(LIMITS, "sandlock")).fatal


@pytest.mark.parametrize("backend", RUNGS)
def test_a_program_has_no_powers_of_root(backend: str) -> None:
    async def main() -> list[dict[str, str]]:
        async with Runner(LIMITS.model_copy(update={"wall_s": 3.0}), backend) as runner:
            running = asyncio.create_task(runner.execute("import time\ntime.sleep(60)", task(([1], 1))))
            found: list[dict[str, str]] = []
            deadline = time.monotonic() + 3
            while len(found) < 2 and time.monotonic() < deadline:  # the program and its tests
                await asyncio.sleep(0.05)
                states = [_status(child.pid) for child in psutil.Process().children(recursive=True)]
                found = [state for state in states if state.get("Seccomp") == "2"]
            await running
            return found

    found = asyncio.run(main())
    assert len(found) == 2
    for state in found:
        assert state["NoNewPrivs"] == "1"
        assert {int(state[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")} == {0}
        if os.geteuid() == 0 and backend != "bubblewrap":
            assert int(state["CapBnd"], 16) == 0


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@needs_wall
def test_auto_takes_the_strongest_wall_that_holds() -> None:
    proof = proof_of(STANDING[0])
    assert proof.backend == STANDING[0]
    assert not proof.fatal


def test_a_wall_may_let_through_only_what_is_bearable(monkeypatch: pytest.MonkeyPatch) -> None:
    bearable = "see that a file or process exists"
    broken = {"bubblewrap": [bearable, "write outside"], "sandlock": [bearable]}

    async def proven(config: ExamConfig, backend: str) -> Proof:
        return Proof(backend, 39, broken[backend])

    monkeypatch.setattr("shosei.sandbox.proof.available", lambda backend: "")
    monkeypatch.setattr("shosei.sandbox.proof.prove", proven)
    proof = asyncio.run(choose(LIMITS))
    assert (proof.level, str(proof)) == ("sandlock 38/39", f"sandlock 38/39 (let through: {bearable})")
    with pytest.raises(InputError, match=r"bubblewrap: it did not hold here: write outside\)"):
        asyncio.run(choose(LIMITS.model_copy(update={"sandbox": "bubblewrap"})))


@pytest.mark.parametrize("backend", RUNGS)
def test_a_program_that_ends_by_a_signal_is_no_want_of_memory(backend: str) -> None:
    programs = [
        "import os\nos.kill(os.getpid(), 9)",
        "import os\ndef f(x): os.kill(os.getpid(), 9)",
        "import os\ndef f(x):\n    large = bytearray(200 << 20)\n    os.kill(os.getpid(), 9)",
        "import signal, threading\ndef f(x): signal.pthread_kill(threading.get_ident(), 9)",
        "import os, signal\ndef f(x): os.kill(os.getpid(), signal.SIGTERM)",
        "import os\ndef f(x): os.abort()",
        "import ctypes\ndef f(x): ctypes.string_at(0)",
    ]
    assert outcomes(programs, task(([1], 1)), backend) == ["killed by signal"] * len(programs)
    posing = "import os, signal\ndef f(x): os.kill(os.getpid(), signal.SIGSYS)"  # as if the filter had ended it
    assert outcomes([posing], task(([1], 1)), backend) == ["exception"]


@pytest.mark.parametrize(
    ("end", "kernel_killed", "outcome"),
    [
        (End("ended", 9, 1), True, "out of memory"),
        (End("ended", 9, 1), False, "killed by signal"),
        (End("ended", 11, 1), True, "killed by signal"),
        (End("ended", 31, 1), False, "sandbox violation"),
        (End("cpu", 9, 1), True, "cpu timeout"),
        (End("stop", 9, 1), True, "exception"),
        (End("ended", 0, 1), True, "exception"),
    ],
)
def test_whose_signal_it_was(end: End, kernel_killed: bool, outcome: str) -> None:
    assert _execution("no reply", [End("ended", 0, 0), end], kernel_killed).outcome == outcome
