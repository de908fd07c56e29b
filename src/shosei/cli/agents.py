"""``shosei agents``: give an agent system its tasks, and record what it does."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shosei.cli.common import JsonOption, ProfileOption, RunOption, fast_loop, result, run_async, say
from shosei.cli.options import options_of
from shosei.errors import EXIT_INVALID, EXIT_OK, InputError, nearest

if TYPE_CHECKING:
    from shosei.log import Run, Writer
    from shosei.systems.command_grader import CommandGrader
    from shosei.systems.config import AgentsConfig
    from shosei.systems.system import System
    from shosei.wire.suite import Task

agents = typer.Typer(help="Give an agent system, of any framework, its tasks, and record what it does.")


@agents.command("list")
def show(as_json: JsonOption = False) -> int:
    """Name the systems that come with Shosei."""
    from shosei.agents import SHIPPED

    result(SHIPPED, [f"{name:10}{what}" for name, what in SHIPPED.items()], as_json=as_json)
    return EXIT_OK


@agents.command(cls=options_of("agents", "shosei.systems.config:AgentsConfig"))
def run(
    context: typer.Context,
    system: Annotated[
        list[str],
        typer.Argument(metavar="SYSTEM | -- CMD...", help="A shipped one ('agents list'), module:function, a command."),
    ],
    tasks: Annotated[
        list[Path],
        typer.Option(metavar="SUITE", help="A suite or benchmark file, or a folder of them; repeatable."),
    ],
    base_url: Annotated[str, typer.Option(metavar="URL", help="The OpenAI-compatible server that it uses.")] = "",
    run: RunOption = None,
    name: Annotated[str, typer.Option(help="What a command is called in the log.")] = "command",
    baseline: Annotated[
        str | None,
        typer.Option(help="Then this system, such as single, with the tokens that a task took.", show_default=False),
    ] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> int:
    """Give a system every task of a suite, through a gateway that counts its calls; 'shosei card' grades the answers.

    A task that raises, hangs, dies or spends too much fails alone. Called again after an interruption, with the same
    tasks and settings, it goes on. Exit code 5 if not one task came to an answer.
    """
    from shosei.exam.benchmarks import benchmark_hashes, read_benchmarks
    from shosei.log import Run, open_run, read_log
    from shosei.systems.baseline import mean_tokens_of_task, relay
    from shosei.systems.command_grader import command_grader, judged_by_command
    from shosei.systems.config import AgentsConfig
    from shosei.systems.harness import check

    settings: AgentsConfig = context.obj.load(AgentsConfig)
    if not (base_url or settings.replay):
        raise InputError("--base-url URL: name the server that answers, or --replay DIR to read answers back")
    if profile:
        from shosei.profile.profile import read_profile

        read_profile(profile)
    judged = judged_by_command(read_benchmarks(*tasks), settings)
    work = _Work(base_url, judged, benchmark_hashes(*tasks), profile or "", command_grader(settings))
    subject, second = _system(system, name), _system([baseline], "baseline") if baseline else None
    folder = open_run(run, must_exist=False)
    settings = run_async(check(settings, base_url, work.tasks))
    values: dict[str, Any] = {}

    def then(writer: Writer) -> None:
        if second:
            budget = settings.of_baseline(mean_tokens_of_task(read_log(folder.log, writer.attempt)))
            beside = Run(folder.folder / "baseline")
            attempt, _ = work.measure(beside, second, budget)
            relay(read_log(beside.log, attempt), writer)
            values["baseline"] = _read_out(beside, attempt, second)

    attempt, code = work.measure(folder, subject, settings, then, second.name if second else "")
    values = {"run": str(folder.folder), "attempt": attempt, **_read_out(folder, attempt, subject), **values}
    lines = [*_lines(values), *(_lines(values["baseline"]) if second else [])]
    lines.append(f"the measurement is the card: shosei card {folder.folder}")
    result(values, lines, as_json=as_json)
    return code


@dataclass(frozen=True)
class _Work:
    """The tasks, and where the model is that they are done with."""

    url: str
    tasks: list[Task]
    hashes: dict[str, str]
    profile: str
    grader: CommandGrader | None

    def measure(
        self,
        folder: Run,
        system: System,
        settings: AgentsConfig,
        then: Callable[[Writer], None] = lambda writer: None,
        baseline: str = "",
    ) -> tuple[int, int]:
        """Give ``system`` the tasks, and do ``then`` in the same record; the attempt, and the exit code."""
        from shosei.config import save
        from shosei.exam.counts import summed
        from shosei.exam.resume import NOTHING, unfinished
        from shosei.systems.baseline import is_beside
        from shosei.systems.harness import run_agents

        config = settings.model_dump(mode="json") | {
            "system": system.name,
            "url": self.url,
            "baseline": baseline,
            "answers": len(self.tasks) * settings.samples,
        }
        hashes = self.hashes | settings.setting_hashes()
        with folder.alone("agents"):
            kept = unfinished(folder, "agents", config, hashes, lambda log, _: not baseline or is_beside(log))
            manifest: dict[str, Any] = {"config": config, "hashes": hashes, "profile": self.profile}
            manifest |= {"sandbox": self.grader.level} if self.grader and self.grader.backend != "none" else {}
            resumes = None if kept is None else False
            with folder.recording("agents", "inference", new_attempt=resumes, **manifest) as record:
                save(folder.toml, "agents", settings)
                if kept:
                    say(f"agents: goes on; {len(kept.answers)} tasks are kept")
                output = folder.folder / "agents.txt"
                measured = run_agents(
                    settings,
                    system,
                    self.url,
                    self.tasks,
                    record.writer,
                    output,
                    kept or NOTHING,
                    self.grader,
                )
                counts = run_async(measured, fast_loop())
                record.exit_code = EXIT_OK if summed(counts).answered else EXIT_INVALID
                then(record.writer)
        return record.writer.attempt, record.exit_code


def _system(words: list[str], name: str) -> System:
    """A shipped system, ``module:function``, or else a command of that ``name``. Raises InputError."""
    from shosei.agents import SHIPPED, location
    from shosei.systems.system import System

    first = words[0]
    if len(words) > 1 or (first not in SHIPPED and ":" not in first):
        if len(words) == 1 and shutil.which(first) is None:
            script = f"; a script is run by '-- python {first}'" if first.endswith(".py") else ""
            raise InputError(f"no system and no program is called '{first}'{nearest(first, SHIPPED)}{script}")
        return System.of_command(name, words)
    if first not in SHIPPED:
        return System.of_function(first, first)
    return System.of_ours(first, location(first), "pydantic_ai")


def _read_out(folder: Run, attempt: int, system: System) -> dict[str, Any]:
    """What the log says about one system: tasks solved, errors, and each agent's calls and tokens."""
    from shosei.log import Request, Workflow, read_log
    from shosei.metrics.accuracy.items import items

    log = read_log(folder.log, attempt)
    graded = items(log)
    folder.write("items.jsonl", graded)
    marks = [json.loads(line)["right"] for line in graded.splitlines()]
    ended = [event for event in log.of(Workflow) if not event.baseline]
    agents: dict[str, Counter[str]] = {}
    for call in log.of(Request):
        if call.purpose == "agents":
            agents.setdefault(call.agent, Counter()).update(
                calls=1, failed=bool(call.error), tokens_in=call.tokens_in or 0, tokens_out=call.tokens_out or 0
            )
    return {
        "system": system.name,
        "asked": len(ended),
        "solved": marks.count(True),
        "not_judged": marks.count(None),
        "failed": dict(Counter(event.error for event in ended if event.error)),
        "first_failure": next((f"{event.error}: {event.message}" for event in ended if event.error), ""),
        "agents": {name: dict(counted) for name, counted in sorted(agents.items())},
    }


def _lines(values: dict[str, Any]) -> list[str]:
    failed = "".join(f", {count} {error}" for error, count in values["failed"].items())
    unjudged = f", {values['not_judged']} not judged (see the warning on the card)" if values["not_judged"] else ""
    lines = [f"{values['system']}: {values['solved']}/{values['asked']} solved{failed}{unjudged}"]
    lines += [f"  the first failure: {values['first_failure']}"] if failed else []
    width = max([16, *(len(name) + 1 for name in values["agents"])])
    if values["agents"]:
        lines.append(f"  {'agent':{width}}{'calls':>8}{'failed':>8}{'tokens in':>12}{'tokens out':>12}")
    for name, each in values["agents"].items():
        counts = f"{each['calls']:8}{each['failed']:8}{each['tokens_in']:12}{each['tokens_out']:12}"
        lines.append(f"  {name:{width}}{counts}")
    return lines
