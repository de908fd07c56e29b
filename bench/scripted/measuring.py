"""One system's nine tasks, measured, and what its card should have said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripted import on_card, script, truth
from scripted.framework import SYSTEMS, Framework
from scripted.model_server import Model, serving

SHOSEI = [sys.executable, "-m", "shosei"]
WAYS = ("run", "path", "header", "key", "none")  # agents run; then, how a gateway alone is told the agent
SOLVABLE = sum(task.solved for task in script.TASKS.values())


def measured(framework: Framework, way: str, environments: Path, folder: Path) -> tuple[truth.Cells, truth.Cells]:
    """The truth and what the card says; runs, bodies and answers stay in the folder."""
    model, variables = Model(), framework.variables(environments, "path" if way == "run" else way)
    measure = by_agents_run if way == "run" else by_gateway
    with serving(model) as url:
        measure(framework.command(environments), url, folder, variables)
    with (folder / "served.jsonl").open("w", encoding="utf-8") as lines:
        lines.writelines(f"{json.dumps([call.task, call.agent, call.status, call.body])}\n" for call in model.served)
    subprocess.run([*SHOSEI, "card", str(folder / "run")], check=True, capture_output=True)
    card = json.loads((folder / "run" / "card.json").read_text(encoding="utf-8"))
    lasted = seconds_of_tasks(folder) if way == "run" else truth.spans(model.served)
    right = truth.cells(model.served, lasted, named=way != "none") | {"tasks solved": SOLVABLE}
    if way == "run":
        return right | {"seconds a task": sum(lasted.values()) / len(lasted)}, on_card.cells(card)
    ours = on_card.guessed(card, right) if way == "none" else on_card.cells(card)
    return right, ours | {"tasks solved": answered(folder)}


def seconds_of_tasks(folder: Path) -> dict[str, float]:
    """What ``timed.py`` noted."""
    with (folder / "timed.jsonl").open(encoding="utf-8") as lines:
        return {task: end - begin for task, begin, end in map(json.loads, lines)}


def answered(folder: Path) -> int:
    """How many of the answers that a process printed are right."""
    said = (folder / "said.txt").read_text(encoding="utf-8").splitlines()
    return sum(f"answer-{task}" in said for task in script.TASKS)


def by_agents_run(command: list[str], url: str, folder: Path, variables: dict[str, str]) -> None:
    suite, run = folder / "tasks.jsonl", folder / "run"
    suite.write_text("".join(f"{json.dumps(item(task))}\n" for task in script.TASKS), encoding="utf-8")
    timed = [sys.executable, "-ES", str(SYSTEMS / "timed.py"), str(folder / "timed.jsonl"), *command]
    words = ["agents", "run", "--tasks", str(suite), "--base-url", url, "--run", str(run), "--json", "--", *timed]
    with (folder / "said.txt").open("wb") as said:
        subprocess.run([*SHOSEI, *words], stdout=said, stderr=said, env=os.environ | variables, check=False)


def by_gateway(command: list[str], url: str, folder: Path, variables: dict[str, str]) -> None:
    """All tasks by one process, and each at a base URL of its own."""
    with gateway(url, folder / "run") as base_url, (folder / "said.txt").open("wb") as said:
        lines = "".join(f"{json.dumps(given(task, base_url))}\n" for task in script.TASKS)
        words = {"stdout": said, "stderr": said, "env": os.environ | variables}
        subprocess.run(command, input=lines.encode(), check=False, **words)


def given(task: str, base_url: str) -> dict[str, str]:
    known = {"id": task, "question": script.question(task), "model": script.MODEL}
    return known | {"base_url": f"{base_url}/t/{task}/v1"}


def item(task: str) -> dict[str, object]:
    asked = [{"role": "user", "content": script.question(task)}]
    known = {"id": task, "suite": "scripted", "lang": "en", "cluster": task, "grader": "exact", "max_tokens": 48}
    return known | {"messages": asked, "truth": f"answer-{task}"}


@contextmanager
def gateway(upstream: str, run: Path) -> Iterator[str]:
    """Where it listens, for the length of the block."""
    words = ["gateway", "--upstream", upstream, "--run", str(run), "--port", "0", "--json"]
    with subprocess.Popen([*SHOSEI, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()
