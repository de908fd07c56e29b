"""The same two agents in several frameworks, measured as they are, and with calls that fail on purpose.

``python bench/agent_examples.py [--model runs/quickstart | --url URL] [--tasks SUITE] [--python langgraph=PYTHON …]``

Runs ``examples/agents/`` by ``shosei agents run``, each system with the interpreter that has its packages (this one
unless ``--python`` names another; a system whose packages are missing is left out), and prints a table. "Alone" is the
same command by itself, behind a gateway that records nothing; "between tasks" is what the harness takes from a task's
end to the next one's beginning. Fails unless every call names its agent, both agents are on the card, every task comes
to an answer although calls are broken, and each broken call is in the log.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shosei.exam.benchmarks import read_benchmarks
from shosei.gateway import FaultRates, Gateway
from shosei.log import Request, Window, Workflow, read_log
from shosei.wire.client import Client

EXAMPLES = Path(__file__).parent.parent / "examples" / "agents"
SYSTEMS = {"langgraph": ["langgraph", "langchain_openai"], "openai_agents": ["agents"], "openai": ["openai"]}
SHOSEI = [sys.executable, "-m", "shosei"]
FAULTS = ["429=0.05", "500=0.03", "cut=0.02"]
SEED = 8  # of each fault, one within seventeen calls
ERRORS = {"429": "429", "500": "5xx", "cut": "cut stream"}  # of a fault, in the log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="an OpenAI-compatible server; without it, --model is served")
    parser.add_argument("--model", type=Path, default=Path("runs/quickstart"))
    parser.add_argument("--tasks", type=Path, default=Path("runs/quickstart/suites/sums.jsonl"))
    parser.add_argument("--count", type=int, default=12, help="the first so many of the tasks")
    parser.add_argument("--python", action="append", default=[], metavar="SYSTEM=PATH")
    options = parser.parse_args()
    pythons = dict.fromkeys(SYSTEMS, sys.executable) | dict(each.split("=", 1) for each in options.python)
    rows = []
    with tempfile.TemporaryDirectory() as work, upstream(options.url, options.model) as url:
        suite = Path(work) / options.tasks.name
        with options.tasks.open(encoding="utf-8") as lines:
            suite.write_text("".join(itertools.islice(lines, options.count)), encoding="utf-8")
        for name, packages in SYSTEMS.items():
            if lacking := missing(pythons[name], packages):
                print(f"{name}: left out; {pythons[name]} has no {lacking}")
                continue
            command = [pythons[name], str(EXAMPLES / f"{name}_two_agents.py")]
            rows.append(measured(name, command, url, suite, Path(work)))
            broken(name, command, url, suite, Path(work))
    columns = list(rows[0]) if rows else []
    for cells in [columns, ["---"] * len(columns), *(row.values() for row in rows)]:
        print(f"| {' | '.join(cells)} |")


def measured(name: str, command: list[str], url: str, suite: Path, work: Path) -> dict[str, str]:
    """A row of the table. Every call names its agent, and both agents are on the card."""
    run = work / name
    said = agents_run(name, command, url, suite, run)
    subprocess.run([*SHOSEI, "card", str(run)], check=True, capture_output=True)
    log = read_log(run / "log", said["attempt"])
    calls, tasks = [call for call in log.of(Request) if call.purpose == "agents"], log.of(Workflow)
    assert {call.agent for call in calls} == agents_on_card(run) == {"solver", "checker"}
    [window] = [window for window in log.of(Window) if window.name == "steady"]
    seconds = (window.end_ns - window.begin_ns) / 1e9
    taken = [(task.end_ns - task.begin_ns) / 1e9 for task in tasks]
    alone = asyncio.run(by_itself(command, url, suite))
    agents = said["agents"]
    return {
        "system": name,
        "solved": f"{said['solved']}/{said['asked']}",
        "tasks/s": f"{len(tasks) / seconds:.2f}",
        "calls, solver and checker": f"{agents['solver']['calls']} and {agents['checker']['calls']}",
        "tools called": str(sum(len(call.tool_calls) for call in calls)),
        "attributed": f"{sum(call.attribution != 'unattributed' for call in calls) / len(calls):.0%}"
        f" by {', '.join(sorted({call.attribution for call in calls}))}",
        "tokens in and out": f"{sum(each['tokens_in'] for each in agents.values())} and"
        f" {sum(each['tokens_out'] for each in agents.values())}",
        "errors, calls and tasks": f"{sum(bool(call.error) for call in calls)} and {sum(said['failed'].values())}",
        "a task, and alone": f"{statistics.median(taken):.2f} and {statistics.median(alone):.2f} s",
        "between tasks": f"{(seconds - sum(taken)) / len(tasks) * 1e3:.1f} ms",
    }


def broken(name: str, command: list[str], url: str, suite: Path, work: Path) -> None:
    """With a tenth of the calls broken, every task comes to an answer, and the log has what was broken."""
    run = work / f"{name}-broken"
    faults = [word for fault in FAULTS for word in ("--inject", fault)]
    said = agents_run(name, command, url, suite, run, *faults, "--set", f"agents.seed={SEED}")
    calls = [call for call in read_log(run / "log", said["attempt"]).of(Request) if call.purpose == "agents"]
    drawn = map(FaultRates.parse(FAULTS, SEED).draw, range(1, len(calls) + 1))
    injected = Counter(ERRORS[fault] for fault in drawn if fault)
    found = Counter(call.error for call in calls if call.error)
    assert found == injected, f"{name}: {found} in the log, {injected} injected"
    assert not said["failed"], f"{name}: {said['failed']}"
    print(f"{name}: {dict(injected)} of {len(calls)} calls broken, all in the log; {said['asked']} tasks, none failed")


def agents_run(name: str, command: list[str], url: str, suite: Path, run: Path, *flags: str) -> dict[str, Any]:
    words = ["--name", name, "--tasks", str(suite), "--base-url", url, "--run", str(run), "--json", *flags]
    done = subprocess.run([*SHOSEI, "agents", "run", *words, "--", *command], check=True, stdout=subprocess.PIPE)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def agents_on_card(run: Path) -> set[str]:
    card = json.loads((run / "card.json").read_text(encoding="utf-8"))
    [cell] = [cell for cell in card["metrics"] if (cell["id"], cell["phase"]) == ("error_rate", "inference")]
    [agents] = [table for table in cell["breakdown"] if table["key"] == "agents.agents"]
    return {row[0] for row in agents["rows"]}


async def by_itself(command: list[str], url: str, suite: Path) -> list[float]:
    """Seconds of each task where nobody measures it."""
    async with Client(url) as client:
        model = (await client.models())[0]
    seconds = []
    async with Gateway(url, None) as gateway:
        for task in read_benchmarks(suite):
            base_url = gateway.base_url(task.id)
            given = {"id": task.id, "question": task.question, "lang": task.lang, "model": model, "base_url": base_url}
            begin = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=os.environ | {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "none"},
            )
            await process.communicate(json.dumps(given).encode())
            seconds.append(time.perf_counter() - begin)
    return seconds


def missing(python: str, packages: list[str]) -> str:
    """Those of the packages that this interpreter does not have."""
    finds = "import importlib.util, sys; print(*(n for n in sys.argv[1:] if not importlib.util.find_spec(n)))"
    return subprocess.run([python, "-c", finds, *packages], check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def upstream(url: str | None, model: Path) -> Iterator[str]:
    """``url``, or where ``shosei serve`` serves the model for the length of the block."""
    if url:
        yield url
        return
    words = ["serve", str(model), "--no-run", "--port", "0", "--json"]
    with subprocess.Popen([*SHOSEI, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
