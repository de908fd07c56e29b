"""Tests that a task's author wrote in Python: where they run, and what cannot deceive them."""

from __future__ import annotations

import sys
import textwrap

import pytest

from exam_attacks import FAILS
from programs import HERE, STRONGEST, execute, in_turn, run, source
from shosei.sandbox.runner import IN_PROCESS

pytestmark = [
    pytest.mark.system,
    pytest.mark.usefixtures("folders"),
    pytest.mark.skipif(sys.platform != "linux", reason="the runner needs Linux"),
]


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


@pytest.mark.parametrize("backend", HERE)
def test_a_program_beside_its_tests_cannot_write_their_verdict(backend: str) -> None:
    writes = """
        import os
        def f(kind, text):
            for fd in range(64):
                for words in (b"pass\\n", b" pass\\n", b"wrong\\npass\\n"):
                    try:
                        os.write(fd, words)
                    except OSError:
                        pass
            {}
    """
    item = source("assert f(int, '1') == 1")
    programs = [(textwrap.dedent(writes.format(end)), item) for end in ("os._exit(0)", "return 1", "return 0")]
    programs.append(("def f(kind, text): return kind(text)", item))
    *forged, honest = in_turn(programs, backend, IN_PROCESS)
    assert {each.outcome for each in forged} <= FAILS
    assert honest.outcome == "pass"


STOPS = "def check(candidate):\n    assert all(map(lambda case: candidate(case) == case + 1, [1, 41]))"
ZIPS = (
    "def check(candidate):\n    for got, wanted in zip(map(candidate, [1, 41]), [2, 42]):\n        assert got == wanted"
)


@pytest.mark.parametrize("oracle", ["outside", IN_PROCESS])
def test_what_ends_an_iteration_does_not_end_the_tests(oracle: str) -> None:
    ends = [
        "StopIteration",
        "StopAsyncIteration",
        "GeneratorExit",
        "KeyboardInterrupt",
        "SystemExit(0)",
        "AssertionError",
    ]
    liars = [(f"def f(x):\n    raise {end}", source(test)) for end in ends for test in (STOPS, ZIPS)]
    assert {each.outcome for each in in_turn(liars, oracle=oracle)} <= FAILS
    honest = [("def f(x):\n    return x + 1", source(test)) for test in (STOPS, ZIPS)]
    assert [each.outcome for each in in_turn(honest, oracle=oracle)] == ["pass", "pass"]


@pytest.mark.parametrize("backend", HERE)
def test_a_value_too_deep_to_be_sent_back_is_the_programs_fault(backend: str) -> None:
    """Else it would seem that the tests need objects, and they would move to where the program can lie."""
    deep = "def f(x):\n    value = x\n    for _ in range({}):\n        value = [value]\n    return value"
    forged = "import json\njson.dumps = lambda *_: '[\"value\", ' + '[' * 490 + ']' * 490 + ']'\ndef f(x): return x"
    twice = source("def check(candidate):\n    assert candidate(candidate('a')) == 'a'")
    programs = [(program, twice) for program in (*map(deep.format, (190, 201, 490, 100_000)), forged)]
    for execution in in_turn(programs, backend):
        assert (execution.outcome in FAILS, execution.needs_objects == "argument") == (True, False)
    assert run(deep.format(150), source("assert str(f(0)).count('[') == 150"), backend=backend) == "pass"


@pytest.mark.parametrize("oracle", ["outside", IN_PROCESS])
def test_tests_that_never_call_the_program_judge_nothing(oracle: str) -> None:
    tests = [
        "",
        "def check_it(candidate):\n    assert candidate(1) == 2",
        "def check(candidate):\n    pass",
        "def check(candidate):\n    yield candidate(1) == 2",
        "async def check(candidate):\n    assert candidate(1) == 2",
        "import unittest\nclass Tests(unittest.TestCase):\n    def test(self): assert f(1) == 2",
    ]
    executions = in_turn([("def f(x):\n    return 0", source(test)) for test in tests], oracle=oracle)
    assert [(each.outcome, each.untested) for each in executions] == [("infra", True)] * len(tests)


def test_no_value_passes_but_the_right_one() -> None:
    values = [
        "float('nan')",
        "10 ** 200000",
        "{1, 2}",
        "frozenset()",
        "object()",
        "iter([2])",
        "type('T', (), {'__eq__': lambda *_: True})()",
        "type('T', (int,), {'__eq__': lambda *_: True, '__hash__': None})(7)",
        "type('T', (list,), {'__eq__': lambda *_: True})()",
        "[type('T', (), {'__eq__': lambda *_: True})()]",
        "[0] * (1 << 20)",
        "{'a' * (1 << 21): 0}",
        "NotImplemented",
        "...",
    ]
    tests = (STOPS, ZIPS, "assert f(1) == 2 and f(41) == 42", "assert f(f(1)) == 3")
    liars = [(f"def f(x):\n    return {value}", source(test)) for value in values for test in tests]
    assert {each.outcome for each in in_turn(liars)} <= FAILS
