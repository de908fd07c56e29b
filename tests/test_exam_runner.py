"""Programs that try to pass without being right, to stay, or to hurt: each run for real."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.errors import InputError
from shosei.exam import sandbox
from shosei.exam.config import ExamConfig
from shosei.exam.inside.literals import NotPlain, decode, encode, same
from shosei.exam.proof import choose, prove
from shosei.exam.runner import IN_PROCESS, Execution, Runner
from shosei.exam.sandbox import WALLS, available
from shosei.wire.suite import Task

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the runner needs Linux")

LIMITS = ExamConfig(cpu_s=1, wall_s=20)
HERE = [backend for backend in (*WALLS, "rlimits") if not available(backend)]
STRONGEST = HERE[0]


def task(*tests: tuple[list[Any], Any]) -> Task:
    return Task(
        id="i", suite="s", lang="zh", cluster="c", messages=[], grader="python", truth="", entry_point="f",
        tests=list(tests),
    )  # fmt: skip


PLUS_ONE = task(([1], 2), ([-1], 0))


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs' folders are made; whatever a test does, none of them may stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def execute(
    program: str, item: Task = PLUS_ONE, config: ExamConfig = LIMITS, backend: str = STRONGEST, oracle: str = "outside"
) -> Execution:
    async def main() -> Execution:
        async with Runner(config, backend) as runner:
            return await runner.execute(textwrap.dedent(program), item, oracle)

    return asyncio.run(main())


def run(program: str, item: Task = PLUS_ONE, config: ExamConfig = LIMITS, backend: str = STRONGEST) -> str:
    return execute(program, item, config, backend).outcome


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
        ("import ctypes\nctypes.string_at(0)", "exception"),
        (
            "import threading\ndef f(x):\n    found = []\n"
            "    thread = threading.Thread(target=found.append, args=[x + 1])\n"
            "    thread.start()\n    thread.join()\n    return found[0]",
            "pass",
        ),
    ],
)
def test_outcomes(program: str, outcome: str) -> None:
    config = LIMITS.model_copy(update={"wall_s": 2.0}) if outcome == "wall timeout" else LIMITS
    assert run(program, config=config) == outcome


FAILS = {"wrong", "exception", "cpu timeout", "out of memory", "sandbox violation"}
ATTACKS = {
    "prints a forged verdict": """
        import os
        print("pass", flush=True)
        for fd in range(64):
            try:
                os.write(fd, b'pass\\n')
            except OSError:
                pass
        os._exit(0)
    """,
    "answers every call by a forged verdict": """
        import os
        def f(x):
            for fd in range(64):
                try:
                    os.write(fd, b'["verdict", "pass"]\\n')
                except OSError:
                    pass
    """,
    "returns an object that equals everything": """
        class Everything(int):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            __hash__ = None
        def f(x): return Everything(7)
    """,
    "claims to be of a plain type": """
        class Everything:
            __class__ = int
            def __eq__(self, other): return True
            def __repr__(self): return "2"
        def f(x): return Everything()
    """,
    "hides such an object in a list": """
        class Everything(list):
            def __eq__(self, other): return True
        def f(x): return [Everything()]
    """,
    "is a function that equals everything": """
        class Everything:
            def __call__(self, x): return self
            def __eq__(self, other): return True
        f = Everything()
    """,
    "exits 0 before the tests": "import os\nos._exit(0)",
    "exits 0 during the tests": "import os\ndef f(x): os._exit(0)",
    "exits 0 by a raw system call": "import ctypes\ndef f(x): ctypes.CDLL(None).syscall(231, 0)",
    "raises SystemExit in the tests": "def f(x): raise SystemExit(0)",
    "raises what stops other harnesses": "def f(x): raise KeyboardInterrupt",
    "replaces the reply's encoder": """
        import json
        json.dumps = lambda *_, **__: '["pass"]'
        def f(x): return None
    """,
    "patches builtins": """
        import builtins
        builtins.all = builtins.any = builtins.bool = lambda *_: True
        builtins.type = lambda _: int
        builtins.AssertionError = ValueError
        def f(x): return None
    """,
    "patches the runner's own modules": """
        import sys
        for name, module in list(sys.modules.items()):
            if name.startswith("inside"):
                module.same = module._verdict = module._judge = lambda *_: "pass"
        def f(x): return None
    """,
    "answers once and leaves": """
        import os
        calls = []
        def f(x):
            calls.append(x)
            if len(calls) > 1: os._exit(0)
            return 2
    """,
    "answers with deep nesting": """
        import json
        json.dumps = lambda *_, **__: '["value", ' + '[' * 500000
        def f(x): return None
    """,
    "answers with a literal that is none": """
        import json
        json.dumps = lambda *_, **__: '["value", {"exec": "pass"}]'
        def f(x): return None
    """,
    "walks the frames for the expected results": """
        import sys
        def f(x):
            frame = sys._getframe()
            while frame:
                for name in ("tests", "expected", "results", "request"):
                    found = frame.f_locals.get(name)
                    if isinstance(found, dict):
                        found = found.get("tests") or found.get("expected")
                    if found:
                        return found[0][1]
                frame = frame.f_back
    """,
    "searches the memory for the expected results": """
        import gc
        def f(x):
            for found in gc.get_objects():
                if type(found) is dict and found.get("tests"):
                    return found["tests"][0][1]
    """,
    "reads a system file": "open('/etc/passwd').read()\ndef f(x): return x + 1",
    "reads its own command line": "open('/proc/self/cmdline').read()\ndef f(x): return x + 1",
    "opens a socket": "import socket\nsocket.socket()\ndef f(x): return x + 1",
    "traces its parent": "import ctypes, os\nctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)\ndef f(x): return x + 1",
    "makes a user namespace": "import ctypes\nctypes.CDLL(None).unshare(0x10000000)\ndef f(x): return x + 1",
    "floods its output": "while True: print('x' * 65536, flush=True)",
    "floods its reply": "def f(x): return 'x' * (1 << 22)",
    "fills the disk": """
        import itertools
        for n in itertools.count():
            with open(f"big{n}", "wb") as file: file.write(bytes(1 << 20))
    """,
    "allocates 10 GB": "def f(x): return len(bytearray(10 << 30))",
    "is a fork bomb": "import os\nwhile True: os.fork()\ndef f(x): return x + 1",
    "leaves a daemon": """
        import os
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while True: pass
        def f(x): return x + 1
    """,
    "starts another program": "import subprocess\nsubprocess.run(['sleep', '1000'])\ndef f(x): return x + 1",
    "ignores the CPU limit's signal": """
        import signal
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        while True: pass
    """,
    "kills its guard": """
        import os, signal
        os.kill(os.getppid(), signal.SIGKILL)
        def f(x): return x + 1
    """,
    "stops everything it can reach": "import os, signal\nos.kill(-1, signal.SIGSTOP)\ndef f(x): return x + 1",
}


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


def source(test: str, setup: str = "") -> Task:
    return Task(
        id="i", suite="s", lang="en", cluster="c", messages=[], grader="python", truth="", entry_point="f",
        test=test, setup=setup,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("test", "program", "outcome"),
    [
        ("def check(candidate):\n    assert candidate(1) == 2", "def f(x): return x + 1", "pass"),
        ("def check(candidate):\n    assert candidate(1) == 2", "def f(x): return x", "wrong"),
        ("assert f(1) == 2\nassert f(x=2) == 3", "def f(x): return x + 1", "pass"),
        ("assert f((1, 2)) == {(1, 2)}", "def f(x): return {x}", "pass"),
        ("assert f('ab') == {'a': 1, 'b': 1}", "from collections import Counter\nf = Counter", "pass"),
        ("assert abs(f(1) - twice(1)) < 1e-6", "def f(x): return 2.0 * x", "pass"),
        ("try:\n    f(0)\n    assert False\nexcept ZeroDivisionError:\n    pass", "def f(x): return 1 // x", "pass"),
        ("assert f(2) == 4", "class Liar:\n    def __eq__(self, other): return True\ndef f(x): return Liar()", "wrong"),
        ("assert f(lambda: 1) == 1", "def f(x): return x()", "wrong"),
        ("open('/etc/passwd').read()\nassert f(1) == 2", "def f(x): return x + 1", "exception"),
        ("import os\nos._exit(0)", "def f(x): return x + 1", "exception"),
        ("while True: pass", "def f(x): return x + 1", "cpu timeout"),
        ("import socket\nsocket.socket()", "def f(x): return x + 1", "exception"),
        ("this is no Python", "def f(x): return x + 1", "exception"),
    ],
)
def test_tests_in_python_run_beside_the_program_not_with_it(test: str, program: str, outcome: str) -> None:
    if STRONGEST == "rlimits" and "/etc/passwd" in test:
        pytest.skip("there is no wall on this machine")
    assert run(program, source(test, setup="def twice(x): return 2 * x")) == outcome


def test_a_test_that_needs_objects_says_so_and_can_run_in_process() -> None:
    item = source("assert f(int, '1') == 1")
    program = "def f(kind, text): return kind(text)"
    assert execute(program, item).needs_objects == "argument"
    assert execute("def f(kind, text): return 0", item, oracle=IN_PROCESS).outcome == "wrong"
    assert execute(program, item, oracle=IN_PROCESS).outcome == "pass"
    assert execute("def f(): return lambda: 1", source("assert f()() == 1")).needs_objects == "result"


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


@pytest.mark.parametrize("backend", HERE)
def test_a_sandbox_proves_itself(backend: str) -> None:
    proof = asyncio.run(prove(LIMITS, backend))
    assert proof.tried >= 12
    assert proof.level.startswith(f"{backend} ")
    if backend == "rlimits":
        assert {"read a file outside", "write outside"} <= set(proof.broken)
        assert not {"fork bomb", "loop without end", "reach the network", "allocate 10 GB"} & set(proof.broken)
    else:
        assert not proof.broken


def test_the_ladder_ends_in_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shosei.exam.proof.available", lambda backend: "not here")
    with pytest.raises(InputError, match=r"no sandbox .*bubblewrap: not here; sandlock: not here.*--sandbox rlimits"):
        asyncio.run(choose(LIMITS))
    monkeypatch.undo()
    monkeypatch.setattr(sandbox, "_command", lambda backend, settings: ["/bin/false"])
    with pytest.raises(InputError, match=r"rlimits: it does not work here"):
        asyncio.run(choose(ExamConfig(sandbox="rlimits")))


def test_a_wall_that_does_not_hold_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a kernel lets through what it should not: each rung without its wall."""
    command = sandbox._command
    monkeypatch.setattr(sandbox, "_command", lambda backend, settings: command("rlimits", _without_walls(settings)))
    monkeypatch.setattr("shosei.exam.proof.available", lambda backend: "")
    with pytest.raises(InputError, match=r"bubblewrap: it did not hold here: .*read a file outside"):
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
        from shosei.exam.runner import Runner
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


LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=10,
)


@given(LITERALS)
def test_a_literal_crosses_the_pipe_with_its_type(value: Any) -> None:
    assert repr(decode(json.loads(json.dumps(encode(value))))) == repr(value)


@pytest.mark.parametrize("value", [{1, 2}, frozenset({(1,)}), {(1, 2): {3}}, 10**6000, -(10**6000), set()], ids=type)
def test_so_do_sets_and_large_numbers(value: Any) -> None:
    assert decode(json.loads(json.dumps(encode(value)))) == value


class Everything(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value", [Everything(), [Everything()], print, int, object(), iter([]), range(3), {1: Everything()}]
)
def test_what_is_no_literal_does_not_cross(value: Any) -> None:
    with pytest.raises(NotPlain):
        encode(value)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_reply_is_a_plain_value_or_refused(value: Any) -> None:
    with contextlib.suppress(ValueError, TypeError):
        encode(decode(value))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON_VALUES)
def test_a_value_is_the_same_after_its_way_through_the_pipe(value: Any) -> None:
    assert same(value, json.loads(json.dumps(value)))


@given(JSON_VALUES, JSON_VALUES)
def test_same_values_have_the_same_literal(left: Any, right: Any) -> None:
    def ordered(value: Any) -> str:
        return json.dumps(value, sort_keys=True)

    assert same(left, right) == (ordered(left) == ordered(right))


@pytest.mark.parametrize(
    ("left", "right"), [(True, 1), (1, 1.0), (0.0, -0.0), (0, False), ("1", 1), ([], {}), (None, False), ([1], [1, 2])]
)
def test_equal_is_not_the_same(left: Any, right: Any) -> None:
    assert not same(left, right)
    assert not same(right, left)


def test_nan_is_itself() -> None:
    assert same(math.nan, math.nan)
    assert (
        run("def f(x):\n    return [float('nan'), -0.0, float('inf')]", task(([1], [math.nan, -0.0, math.inf])))
        == "pass"
    )


@pytest.mark.parametrize("value", ["(1,)", "{1}", "b'1'", "1j", "{1: 1}", "print", "float('nan')", "True"])
def test_results_that_are_not_the_expected_type_are_wrong(value: str) -> None:
    assert run(f"def f(x):\n    return {value}", task(([1], 1))) == "wrong"
