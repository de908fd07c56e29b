"""Systems of agents in frameworks that nobody built for us, at a model server whose every answer is known.

``python bench/agents.py --environments DIR [--install] [--only NAME …] [--ways WAY …]``

Each framework (``frameworks/``) has the same manager, researcher and writer do nine tasks: with two 429 and three 500,
a tool that raises, two agents at once, a handoff, a structured output. Once by ``shosei agents run``; then, by one
process for all tasks, through ``shosei gateway`` alone, which is told the agent by path, header or key, or not at all.
Prints each cell of the card that has one right value and is wrong, beside what the server knows. Exits 3 if one is.

``--install`` makes the environments, one a framework, with pip and npm; what is absent is not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SYSTEMS = Path(__file__).parent / "frameworks"
sys.path.insert(0, str(SYSTEMS))

import on_card  # noqa: E402
import script  # noqa: E402
import truth  # noqa: E402
from model_server import Model, serving  # noqa: E402

SHOSEI = [sys.executable, "-m", "shosei"]
QUIET = {"OTEL_SDK_DISABLED": "true", "DO_NOT_TRACK": "1", "ANONYMIZED_TELEMETRY": "false"}
WAYS = ("run", "path", "header", "key", "none")  # of measuring: agents run, then how a gateway alone is told the agent
EXIT_WRONG = 3


@dataclass(frozen=True)
class Framework:
    system: str  # a file in frameworks/
    environment: str
    packages: tuple[str, ...]
    api: str = "chat"

    @property
    def in_node(self) -> bool:
        return self.system.endswith(".mjs")

    def home(self, environments: Path) -> Path:
        return environments.absolute() / self.environment

    def command(self, environments: Path) -> list[str]:
        home = self.home(environments)
        program = "node" if self.in_node else str(home / "bin" / "python")
        return [program, str(SYSTEMS / self.system)]

    def is_installed(self, environments: Path) -> bool:
        home = self.home(environments)
        if self.in_node:
            return all((home / "node_modules" / package).is_dir() for package in self.packages)
        return (home / "installed").is_file()

    def install(self, environments: Path) -> None:
        home = self.home(environments)
        if self.in_node:
            home.mkdir(parents=True, exist_ok=True)
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", home, *self.packages], check=True)
            return
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *self.packages], check=True)
        (home / "installed").write_text("\n".join(self.packages) + "\n", encoding="utf-8")

    def variables(self, environments: Path, naming: str) -> dict[str, str]:
        return QUIET | {"API": self.api, "NAMING": naming, "MODULES": str(self.home(environments))}


AI_SDK = ("ai", "@ai-sdk/openai", "zod")
FRAMEWORKS = {
    "openai": Framework("openai_system.py", "openai", ("openai",)),
    "openai responses": Framework("openai_system.py", "openai", ("openai",), "responses"),
    "pydantic-ai": Framework("pydantic_ai_system.py", "pydantic_ai", ("pydantic-ai-slim[openai]",)),
    "smolagents": Framework("smolagents_system.py", "smolagents", ("smolagents[openai]",)),
    "autogen": Framework("autogen_system.py", "autogen", ("autogen-agentchat", "autogen-ext[openai]")),
    "openai-agents": Framework("openai_agents_system.py", "openai_agents", ("openai-agents",)),
    "openai-agents responses": Framework("openai_agents_system.py", "openai_agents", ("openai-agents",), "responses"),
    "ai-sdk": Framework("ai_sdk_system.mjs", "ai_sdk", AI_SDK),
    "ai-sdk responses": Framework("ai_sdk_system.mjs", "ai_sdk", AI_SDK, "responses"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True, help="the folder that has one a framework")
    parser.add_argument("--install", action="store_true", help="make those that are missing, then measure")
    parser.add_argument("--only", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS), metavar="NAME")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--keep", type=Path, help="a folder for the runs and what the server was asked")
    parser.add_argument("--all", action="store_true", help="print cells that are right, too")
    options = parser.parse_args()
    wrong = 0
    print("| framework | measured by | cell | truth | ours | |\n|---|---|---|---|---|---|")
    for name in options.only:
        framework = FRAMEWORKS[name]
        if options.install and not framework.is_installed(options.environments):
            framework.install(options.environments)
        if not framework.is_installed(options.environments):
            print(f"| {name} | not measured: not installed; add --install | | | | |")
            continue
        for way in options.ways:
            wrong += report(name, way, options.environments, options.keep, options.all)
    print(f"\n{wrong} wrong")
    return EXIT_WRONG if wrong else 0


def report(name: str, way: str, environments: Path, keep: Path | None, every: bool) -> int:
    """Print the cells of one measurement; how many are wrong."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = (keep or Path(temporary)).absolute() / f"{name}-{way}".replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        right, ours = measured(FRAMEWORKS[name], way, environments, folder)
    wrong = [cell for cell, value in right.items() if not on_card.agrees(cell, value, ours.get(cell))]
    for cell in right if every else wrong:
        if every or cell in ours:
            shown = [on_card.shown(number) for number in (right[cell], ours.get(cell))]
            print(f"| {name} | {way} | {cell} | {' | '.join(shown)} | {'WRONG' if cell in wrong else 'ok'} |")
    if not every and (missing := [cell for cell in wrong if cell not in ours]):
        print(f"| {name} | {way} | {missing[0]} and {len(missing) - 1} more | known | not on the card | WRONG |")
    verdict = f"{len(wrong)} wrong" if wrong else "all ok"
    print(f"| {name} | {way} | {len(right)} cells | | | {verdict} |", flush=True)
    return len(wrong)


def measured(framework: Framework, way: str, environments: Path, folder: Path) -> tuple[truth.Cells, truth.Cells]:
    """The truth and what the card says."""
    model, run = Model(), folder / "run"
    variables = framework.variables(environments, "path" if way == "run" else way)
    command = framework.command(environments)
    measure = by_agents_run if way == "run" else by_gateway
    with serving(model) as url:
        measure(command, url, folder, variables)
    with (folder / "served.jsonl").open("w", encoding="utf-8") as lines:
        lines.writelines(f"{json.dumps([call.task, call.agent, call.status, call.body])}\n" for call in model.served)
    subprocess.run([*SHOSEI, "card", str(run)], check=True, capture_output=True)
    card = json.loads((run / "card.json").read_text(encoding="utf-8"))
    solvable = sum(task.solved for task in script.TASKS.values())
    if way == "run":
        with (folder / "timed.jsonl").open(encoding="utf-8") as lines:
            lasted = {task: end - begin for task, begin, end in map(json.loads, lines)}
        whole = {"tasks solved": solvable, "seconds a task": sum(lasted.values()) / len(lasted)}
        return truth.cells(model.served, lasted) | whole, on_card.cells(card, {})
    right = truth.cells(model.served, truth.spans(model.served)) | {"tasks solved": solvable}
    ours = on_card.guessed(card, right) if way == "none" else on_card.cells(card, {})
    answers = (folder / "said.txt").read_text(encoding="utf-8").split()
    return right, ours | {"tasks solved": sum(answer.startswith("answer-") for answer in answers)}


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


if __name__ == "__main__":
    sys.exit(main())
