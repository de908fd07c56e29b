"""The reason of a failed task, out of what the runtimes of five languages print when nobody catches an exception."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shosei.systems.reason import reason_of

PYTHON = """
class Quota(Exception): pass
{}
"""
NODE = """file:///agents/main.mjs:10
    throw new TypeError("fetch failed");
          ^

TypeError: fetch failed
    at node:internal/deps/undici/undici:13510:13
    at async main (file:///agents/main.mjs:10:11) {
  [cause]: Error: connect ECONNREFUSED 127.0.0.1:1
      at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16) {
    errno: -111
  }
}

Node.js v20.20.2
"""
MODULE = """node:internal/modules/esm/resolve:873
  throw new ERR_MODULE_NOT_FOUND(packageName, fileURLToPath(base), null);
        ^

Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'ai' imported from /agents/main.mjs
    at packageResolve (node:internal/modules/esm/resolve:873:9) {
  code: 'ERR_MODULE_NOT_FOUND'
}

Node.js v20.20.2
"""
NO_ERROR = """/agents/main.mjs:3
throw 'no tool of that name'
^
no tool of that name
(Use `node --trace-uncaught ...` to show where the exception was thrown)
Thrown at:
    at /agents/main.mjs:3:1
    at loadESM (node:internal/process/esm_loader:34:7)

Node.js v20.20.2
"""
JAVA = """Exception in thread "main" java.lang.IllegalStateException: agent failed
\tat Agent.run(Agent.java:5)
Caused by: java.io.IOException: connection reset
\tat Agent.ask(Agent.java:9)
\t... 1 more
"""
GO = """2026/11/29 10:00:00 asking
panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.main()
\t/tmp/agent.go:8 +0x1d
exit status 2
"""
RUST = """
thread 'main' panicked at src/main.rs:2:5:
no answer in the reply
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
OLD_RUST = """thread 'main' panicked at 'no answer: 5', src/main.rs:2:5
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
CPP = "terminate called after throwing an instance of 'std::runtime_error'\n  what():  no luck\nAborted (core dumped)\n"
RUBY = "agent.rb:3:in `ask': connection refused (Errno::Error)\n\tfrom agent.rb:7:in `<main>'\n"
CSHARP = "Unhandled exception. System.InvalidOperationException: no luck\n   at Agent.Main() in /a/Agent.cs:line 3\n"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise LookupError('nothing to be found\\nreally')", "LookupError: nothing to be found"),
        ("raise Quota('spent')", "Quota: spent"),
        (
            "try: 1 / 0\nexcept ZeroDivisionError as e: raise RuntimeError('agent failed') from e",
            "RuntimeError: agent failed",
        ),
        ("raise ExceptionGroup('two', [ValueError('a'), TypeError('b')])", "TypeError: b"),
        (
            "import asyncio\nasync def f(): raise OSError('gone')\nasync def g():\n"
            "  async with asyncio.TaskGroup() as t: t.create_task(f())\nasyncio.run(g())",
            "OSError: gone",
        ),
        (
            "import sys, traceback\ntry: 1 / 0\nexcept Exception: traceback.print_exc()\nprint('bye', file=sys.stderr)",
            "ZeroDivisionError: division by zero",
        ),
        ("import json.nothing", "ModuleNotFoundError: No module named 'json.nothing'"),
        ("import warnings; warnings.warn('old'); raise SystemExit('give it a key')", "give it a key"),
        ("e = KeyError('x'); e.add_note('During task with name agent'); raise e", "KeyError: 'x'"),
    ],
)
def test_python_s_exceptions_as_python_prints_them(program: str, reason: str) -> None:
    ran = subprocess.run([sys.executable, "-c", PYTHON.format(program)], capture_output=True, text=True)
    assert reason_of(ran.stderr) == reason


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (NODE, "TypeError: fetch failed"),
        ("Exception: no luck\nNode.js v20.20.2", "Exception: no luck"),
        (MODULE, "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'ai' imported from /agents/main.mjs"),
        ("AI_APICallError: too many\n    at x\n\nNode.js v20.20.2", "AI_APICallError: too many"),
        (JAVA, "java.io.IOException: connection reset"),
        (GO, "panic: runtime error: index out of range [5] with length 3"),
        (RUST, "no answer in the reply"),
        (OLD_RUST, "no answer: 5"),
        ("Error: ParseIntError { kind: InvalidDigit }\n", "Error: ParseIntError { kind: InvalidDigit }"),
        (CPP, "no luck"),
        (RUBY, "agent.rb:3:in `ask': connection refused (Errno::Error)"),
        (CSHARP, "System.InvalidOperationException: no luck"),
        (NO_ERROR, "no tool of that name"),
        ("no luck\n\nNode.js v20.20.2\n", "no luck"),
        ("INFO asking\nhttpx.ConnectError: gone\nINFO giving up\n", "httpx.ConnectError: gone"),
        ("boom\n", "boom"),
        ("a.py:3: UserWarning: old\n", "a.py:3: UserWarning: old"),
        ("}\n\n", ""),
        ("", ""),
    ],
)
def test_the_last_line_that_looks_like_an_exception_or_says_anything(printed: str, reason: str) -> None:
    assert reason_of(printed) == reason
