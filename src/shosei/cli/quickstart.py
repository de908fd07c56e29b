"""``shosei quickstart``: the whole loop, as the public verbs in processes of their own, each printed before it runs."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shosei.cli.access import client_environment
from shosei.cli.common import JsonOption, ProfileOption, SetOption, require, result, run_async, say
from shosei.cli.server_quickstart import measure
from shosei.errors import InputError
from shosei.verbs import Verbs, activation, by_step, code_of, command, printed

if TYPE_CHECKING:
    from shosei.log import Run

_READY_S = 60.0
_PREFERRED_PORT = 8000
_AGENT_TASKS_AT_ONCE = 4
_LOAD = ("--rate", "16", "--seconds", "15")  # as many requests as `load` offers by itself, in half the time
_SKILLS = ("numerals", "kana", "width", "sums")  # suites that a rule decides, so that a small model can generalise


def quickstart(
    out: Annotated[
        Path | None, typer.Option(help="Run folder (default: runs/quickstart; of a server, runs/server).")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Measure this OpenAI-compatible server instead.")] = None,
    questions: Annotated[
        Path | None, typer.Option(help="What to ask it: CSV, TSV or JSON Lines with question and answer.")
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--map", help="Their column by another name: answer=solution.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Its model (default: the first that it lists).")] = None,
    profile: ProfileOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of data, weights and load.")] = 0,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> int:
    """Data, tokenizer, training, serving, load, exam, agents and card, in under five minutes on two cores.

    With --url and --questions: a load, an exam and the card of a server that is there already; no torch is needed.
    """
    from shosei.log import open_run

    if url is not None:
        return measure(
            url, questions, out or Path("runs/server"), columns or [], model, profile, seed, overrides or [], as_json
        )
    if questions or columns or model or profile:
        raise InputError("--questions, --map, --model and --profile are for a server: name it with --url")
    out = out or Path("runs/quickstart")
    require("torch", "tokenizers", "uvicorn", "babel", "cn2an", "jaconv", "kanjize", "pydantic_ai", "llguidance")
    settings = _by_step(overrides or [])
    run = open_run(out, must_exist=False)
    router = out / "agents" / "router"
    url = f"http://127.0.0.1:{_free_port()}"
    seconds: dict[str, float] = {}

    def measured_steps(verbs: Verbs) -> None:
        data = ("data", "--run", str(out), "--seed", str(seed), *settings["data"])
        seconds["data"] = verbs.run("data", *data)
        seconds["tokenizer"] = verbs.run("tokenizer", "tokenizer", "--run", str(out))
        train = command("train", "--run", str(out), "--set", f"train.seed={seed}", *settings["train"])
        seconds["train"] = verbs.run("train", "supervise", "--run", str(out), "--name", "train", "--", *train)
        serve = ("serve", str(out), "--run", str(out), "--port", url.rpartition(":")[2])
        with verbs.serving(url, _READY_S, *serve) as seconds["serve"]:
            asked = (url, "--run", str(out), "--suite", str(run.suites))
            seconds["load"] = verbs.run("load", "load", *asked, "--seed", str(seed), *_LOAD, *settings["load"])
            seconds["exam"] = verbs.run("exam", "exam", *asked, *_sandbox(settings["exam"]), *settings["exam"])
            seconds["agents"] = verbs.run("agents", *_agents(run, router, url), *settings["agents"])

    def card(verbs: Verbs) -> None:
        seconds["card"] = verbs.run("card", "card", str(out)) + verbs.run("card", "card", str(router))

    # The record ends before the card is made: the card reads a finished log and says the same whenever it is asked.
    with run.recording("quickstart", new_attempt=True, seeds={"quickstart": seed}) as record:
        verbs = Verbs(record.writer.attempt, client_environment())
        record.exit_code = code_of(lambda: measured_steps(verbs))
    code = record.exit_code or code_of(lambda: card(verbs))
    if not code:
        _conclude(out, router, seconds, as_json)
    return code


def _sandbox(settings: list[str]) -> tuple[str, ...]:
    """The strongest wall that holds; where none does, limits alone: the programs are this run's own model's."""
    from shosei.config import load
    from shosei.exam import ExamConfig
    from shosei.sandbox import available, choose

    config = load(ExamConfig, "exam", overrides=settings[1::2])
    if config.sandbox != "auto":
        return ()
    try:
        run_async(choose(config))
    except InputError as error:
        rest = "none" if available("rlimits") else "rlimits"
        say(f"\nNo wall holds here, and the programs are this run's own model's: --sandbox {rest}. {error}")
        return "--sandbox", rest
    return "--sandbox", "auto"


def _agents(run: Run, router: Path, url: str) -> tuple[str, ...]:
    """The shipped router on the held-out tasks of more than one step, and a single agent beside it."""
    return (
        "agents",
        "run",
        "router",
        "--tasks",
        str(run.agent_tasks),
        "--base-url",
        f"{url}/v1",
        "--run",
        str(router),
        "--baseline",
        "single",
        "--profile",
        "multi-agent",
        "--concurrency",
        str(_AGENT_TASKS_AT_ONCE),
    )


def _by_step(overrides: list[str]) -> dict[str, list[str]]:
    """``--set`` options, by the step that reads their section."""
    from shosei.config import Config
    from shosei.data import DataConfig
    from shosei.exam import ExamConfig
    from shosei.load import LoadConfig
    from shosei.systems.config import AgentsConfig
    from shosei.train import TrainConfig

    kinds: dict[str, type[Config]] = {
        "data": DataConfig,
        "train": TrainConfig,
        "load": LoadConfig,
        "exam": ExamConfig,
        "agents": AgentsConfig,
    }
    return by_step(overrides, kinds)


def _conclude(out: Path, router: Path, seconds: dict[str, float], as_json: bool) -> None:
    total = sum(seconds.values())
    spent = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    lines = [
        "",
        f"{total:.0f} s in all: {spent}",
        *_accuracy(out),
        *_over_single(router),
        f"Programs among the answers ran in a sandbox: {_level(out)} attacks held",
        f"The scorecard is {out / 'card.html'}, the agents' {router / 'card.html'}: open them in a browser.",
        "",
        "What next:",
        *([f"  {activate}  first, in each new terminal"] if (activate := activation()) else []),
        f"  {printed('chat', str(out), '--single-turn')}  ask it what it was trained on, such as: 17再加52得几？",
        f"  {printed('serve', str(out))}               serve it to any OpenAI client",
        f"  {printed('card', str(out))}                compute the card again from the log",
    ]
    result({"run": str(out), "seconds": seconds, "total_seconds": total}, lines, as_json=as_json)


def _level(out: Path) -> str:
    return str(json.loads((out / "card.json").read_text())["sandbox"])


def _accuracy(out: Path) -> list[str]:
    """What the model does with operands it has never seen, from the card."""
    metrics = json.loads((out / "card.json").read_text())["metrics"]
    inference = next(m for m in metrics if (m["id"], m["phase"]) == ("pass_at_1", "inference"))
    rows = [row for table in inference["breakdown"] if table["key"] == "accuracy.suites" for row in table["rows"]]
    shares = {row[0]: row[1] for row in rows}
    if not shares.keys() >= set(_SKILLS):
        return []
    mean = sum(shares[skill] for skill in _SKILLS) / len(_SKILLS)
    rest = [suite for suite in shares if suite not in _SKILLS]
    return [
        f"Held-out pass@1 over HTTP: {_list(shares, _SKILLS)}; their mean {mean:.3f}",
        f"  beside them, harder than this model or, as facts, not to be derived: {_list(shares, rest)}",
    ]


def _over_single(router: Path) -> list[str]:
    """What a router and specialists with tools add to the same model alone, from their card."""
    metrics = json.loads((router / "card.json").read_text())["metrics"]
    inference = next(m for m in metrics if (m["id"], m["phase"]) == ("pass_at_1", "inference"))
    over = inference["figures"].get("over_single")
    if not (over and over["ci"]) or None in over["ci"]:  # too few tasks, or not one that both were given
        return []
    low, high = over["ci"]
    return [
        f"Tasks of more than one step: router and tools solve {inference['value']:.3f} of {inference['n']}, "
        f"{over['value']:+.1f} points [{low:+.1f}, {high:+.1f}] over a single agent"
    ]


def _list(shares: dict[str, float], suites: Iterable[str]) -> str:
    return ", ".join(f"{suite} {shares[suite]:.3f}" for suite in suites)


def _free_port() -> int:
    """The usual port if it is free, else any."""
    for port in (_PREFERRED_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
