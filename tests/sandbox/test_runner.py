"""Programs that try to pass without being right, to stay, or to hurt: each run for real."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from exam_attacks import ATTACKS, FAILS
from programs import HERE, LIMITS, PLUS_ONE, STRONGEST, run, task
from shosei.errors import InputError
from shosei.exam.config import ExamConfig
from shosei.sandbox import attacks, sandbox
from shosei.sandbox.proof import choose
from shosei.sandbox.runner import Runner

pytestmark = [
    pytest.mark.system,
    pytest.mark.usefixtures("folders"),
    pytest.mark.skipif(sys.platform != "linux", reason="the runner needs Linux"),
]


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("def f(x):\n    return x + 1", "pass"),
        ("f = (1).__add__", "pass"),
        ("from __future__ import annotations\nimport re, math\ndef f(x: 数):\n    return x + 1", "pass"),
        ("def f(x):\n    return 2", "wrong"),
        ("def f(x):\n    return x + 1.0", "wrong"),
        ("def f(x):\n    return [2][x - 1]", "exception"),
        ("def f(x: int", "exception"),
        ("def g(x):\n    return x + 1", "exception"),
        ("raise SystemExit(0)", "exception"),
        ("", "no code"),
        ("while True: pass", "cpu timeout"),
        ("import time\ntime.sleep(1000)", "wall timeout"),
        ("def f(x):\n    return len('a' * (1 << 30))", "out of memory"),
        ("def f(x):\n    return 10 ** 5000", "wrong"),
        ("def f(x):\n    return f(x)", "exception"),
        ("import ctypes\nctypes.string_at(0)", "killed by signal"),
        (
            "import threading\ndef f(x):\n    found = []\n"
            "    thread = threading.Thread(target=found.append, args=[x + 1])\n"
            "    thread.start()\n    thread.join()\n    return found[0]",
            "pass",
        ),
        (
            "import ctypes, time\ndef f(x):\n    libc, thread = ctypes.CDLL(None), ctypes.c_ulong()\n"
            "    attributes = ctypes.create_string_buffer(64)\n"
            "    libc.pthread_attr_init(attributes)\n    libc.pthread_attr_setstacksize(attributes, 1 << 14)\n"
            "    for _ in range(1000): libc.pthread_create(ctypes.byref(thread), attributes, libc.pause, None)\n"
            "    time.sleep(9)",
            "sandbox violation",
        ),
    ],
)
def test_outcomes(program: str, outcome: str) -> None:
    config = LIMITS.model_copy(update={"wall_s": 2.0}) if outcome == "wall timeout" else LIMITS
    assert run(program, config=config) == outcome


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_does_not_pass_and_is_not_excused(attack: str) -> None:
    if STRONGEST == "rlimits" and attack in ("reads a system file", "reads its own command line", "fills the disk"):
        pytest.skip("there is no wall on this machine")
    assert run(ATTACKS[attack]) in FAILS


@pytest.mark.parametrize(
    "attack", ["patches builtins", "is a fork bomb", "kills its guard", "exits 0 during the tests"]
)
@pytest.mark.parametrize("backend", HERE[1:])
def test_the_lower_rungs_judge_alike(attack: str, backend: str) -> None:
    assert run(ATTACKS[attack], backend=backend) in FAILS
    assert run("def f(x):\n    return x + 1", backend=backend) == "pass"


def test_one_pair_of_sandboxes_stands_every_attack_in_turn() -> None:
    """What one program did is nothing to the next."""

    async def main() -> list[str]:
        async with Runner(LIMITS, STRONGEST) as runner:
            found = []
            for attack in ("is a fork bomb", "kills its guard", "floods its reply", "exits 0 during the tests"):
                await runner.execute(textwrap.dedent(ATTACKS[attack]), PLUS_ONE)
                found.append((await runner.execute("def f(x): return x + 1", PLUS_ONE)).outcome)
            return found

    assert asyncio.run(main()) == ["pass"] * 4


def test_the_program_finds_an_empty_world_and_leaves_none_behind(folders: Path) -> None:
    program = """
        import os, sys
        def f(x):
            try:
                os.mkdir("left")
            except OSError:
                pass
            packages = any("site-packages" in path for path in sys.path)
            return [os.environ.get("HOME"), sys.stdin.read(), packages]
    """
    finds = "import os\ndef f(x): return os.path.exists('left')"

    async def main() -> list[str]:
        async with Runner(LIMITS, STRONGEST) as runner:
            first = await runner.execute(textwrap.dedent(program), task(([1], [None, "", False])))
            second = await runner.execute(finds, task(([1], False)))
            return [first.outcome, second.outcome]

    assert asyncio.run(main()) == ["pass", "pass"]
    assert not list(folders.iterdir())


def test_waiting_costs_nothing_and_a_busy_machine_changes_no_outcome() -> None:
    works = (
        "def f(x):\n    import time\n    while time.process_time() < 0.6: pass\n    time.sleep(0.6)\n    return x + 1"
    )
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        assert [run(works, task(([1], 2))), run("while True: pass")] == ["pass", "cpu timeout"]


def test_the_ladder_ends_in_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shosei.sandbox.proof.available", lambda backend: "not here")
    with pytest.raises(InputError, match=r"no sandbox .*bubblewrap: not here; sandlock: not here.*--sandbox rlimits"):
        asyncio.run(choose(LIMITS))
    monkeypatch.undo()
    monkeypatch.setattr(sandbox, "_command", lambda backend, settings, packages: ["/bin/false"])
    with pytest.raises(InputError, match=r"rlimits: it does not work here"):
        asyncio.run(choose(ExamConfig(sandbox="rlimits")))


def test_a_wall_that_does_not_hold_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where a kernel lets through what it should not: each rung without its wall."""
    command = sandbox._command
    there = [shutil.which("env") or "env", "-C", str(tmp_path)]  # where attacks may leave what they write
    monkeypatch.setattr(
        sandbox, "_command", lambda backend, settings, _: [*there, *command("rlimits", _without_walls(settings))]
    )
    monkeypatch.setattr("shosei.sandbox.proof.available", lambda backend: "")
    reads = [attack for attack in attacks.ATTACKS if attack.name == "read a file outside"]
    monkeypatch.setattr("shosei.sandbox.proof.ATTACKS", reads)
    refusals = "; ".join(f"{wall}: it did not hold here: .*read a file outside" for wall in ("bubblewrap", "sandlock"))
    with pytest.raises(InputError, match=refusals):
        asyncio.run(choose(LIMITS))


def _without_walls(settings: str) -> str:
    return json.dumps(json.loads(settings) | {"namespaces": False})


def test_cancelling_ends_the_program(folders: Path) -> None:
    async def main() -> str:
        async with Runner(LIMITS.model_copy(update={"cpu_s": 60}), STRONGEST) as runner:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(runner.execute("while True: pass", PLUS_ONE), 1)
            return (await runner.execute("def f(x): return x + 1", PLUS_ONE)).outcome

    assert asyncio.run(main()) == "pass"
    assert not list(folders.iterdir())
    assert not psutil.Process().children(recursive=True)


@pytest.mark.parametrize("backend", HERE)
def test_a_program_dies_with_the_exam_even_at_kill_9(folders: Path, backend: str) -> None:
    script = textwrap.dedent(f"""
        import asyncio
        from shosei.exam.config import ExamConfig
        from shosei.sandbox.runner import Runner
        from shosei.wire.suite import Task
        task = Task(id="", suite="", lang="", cluster="", messages=[], grader="python", truth="", entry_point="f")
        async def main():
            async with Runner(ExamConfig(wall_s=300, cpu_s=300), {backend!r}) as runner:
                print("started", flush=True)
                await runner.execute("while True: pass", task)
        asyncio.run(main())
    """)
    environment = {**os.environ, "TMPDIR": str(folders)}
    exam = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    assert exam.stdout is not None
    exam.stdout.readline()
    eventually(lambda: any(busy(child) for child in psutil.Process(exam.pid).children(recursive=True)))
    children = psutil.Process(exam.pid).children(recursive=True)
    exam.send_signal(signal.SIGKILL)
    exam.communicate()
    eventually(lambda: not any(map(alive, children)))
    eventually(lambda: not list(folders.iterdir()))


def busy(process: psutil.Process) -> bool:
    return alive(process) and sum(process.cpu_times()[:2]) > 0.5


def alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def eventually(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def test_nan_infinity_and_minus_zero_are_right_results() -> None:
    assert (
        run("def f(x):\n    return [float('nan'), -0.0, float('inf')]", task(([1], [math.nan, -0.0, math.inf])))
        == "pass"
    )


@pytest.mark.parametrize("value", ["(1,)", "{1}", "b'1'", "1j", "{1: 1}", "print", "float('nan')", "True"])
def test_results_that_are_not_the_expected_type_are_wrong(value: str) -> None:
    assert run(f"def f(x):\n    return {value}", task(([1], 1))) == "wrong"


def test_a_sandbox_that_broke_leaves_nobody_who_watches_its_process_id(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> tuple[str, int]:
        async with Runner(LIMITS, STRONGEST) as runner:
            broken = runner._candidate

            async def refuse(*_: object) -> None:
                raise sandbox.SandboxError("gone")

            monkeypatch.setattr(broken, "start", refuse)  # when the tests' sandbox has begun and is watched
            outcome = (await runner.execute("def f(x): return x + 1", PLUS_ONE)).outcome
            assert (await runner.execute("def f(x): return x + 1", PLUS_ONE)).outcome == "pass"
        await asyncio.sleep(0)
        return outcome, len(asyncio.all_tasks())

    assert asyncio.run(main()) == ("sandbox violation", 1)
