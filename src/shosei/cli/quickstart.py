"""``shosei quickstart``: the whole loop, as the public verbs in processes of their own, each printed before it runs."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from shosei.cli.common import JsonOption, SetOption, require, result, say
from shosei.errors import InputError, nearest

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_PREFERRED_PORT = 8000
_SKILLS = ("numerals", "kana", "width", "sums")  # suites that a rule decides, so that a small model can generalise


class _StepFailed(Exception):
    """``code`` is the exit code that a process's ``status``, negative after a signal, makes ours."""

    def __init__(self, command: str, status: int) -> None:
        super().__init__(command)
        self.command, self.code = command, status if status >= 0 else 128 - status


def quickstart(
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/quickstart"),
    seed: Annotated[int, typer.Option(help="Seed of data, weights and load.")] = 0,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> int:
    """Data, tokenizer, training, serving, load, exam and card, in under five minutes on two cores."""
    from shosei.lineage import PARENT_VARIABLE
    from shosei.log import open_run
    from shosei.log.run import ATTEMPT_VARIABLE

    require("torch", "tokenizers", "uvicorn", "babel", "cn2an", "jaconv", "kanjize")
    settings = _by_step(overrides or [])
    run = open_run(out, must_exist=False)
    environment = os.environ | {PARENT_VARIABLE: str(os.getpid())}
    url = f"http://127.0.0.1:{_free_port()}"
    seconds: dict[str, float] = {}

    def step(name: str, *arguments: str) -> None:
        start = time.monotonic()
        _announce(name, arguments)
        with _started(arguments, environment) as process:
            if status := process.wait():
                raise _StepFailed(_printed(arguments), status)
        seconds[name] = time.monotonic() - start

    def measured_steps() -> None:
        step("data", "data", "--run", str(out), "--seed", str(seed), *settings["data"])
        step("tokenizer", "tokenizer", "--run", str(out))
        train = ("train", "--run", str(out), "--set", f"train.seed={seed}", *settings["train"])
        step("train", "supervise", "--run", str(out), "--name", "train", "--", *_command(train))
        start = time.monotonic()
        serve = ("serve", str(out), "--run", str(out), "--port", url.rpartition(":")[2])
        _announce("serve", serve)
        with _serving(serve, environment, url):
            seconds["serve"] = time.monotonic() - start
            asked = (url, "--run", str(out), "--suite", str(run.suites))
            step("load", "load", *asked, "--seed", str(seed), *settings["load"])
            step("exam", "exam", *asked, "--sandbox", "rlimits", *settings["exam"])

    # The record ends before the card is made: the card reads a finished log and says the same whenever it is asked.
    with run.recording("quickstart", new_attempt=True, seeds={"quickstart": seed}) as record:
        environment[ATTEMPT_VARIABLE] = str(record.writer.attempt)
        record.exit_code = _code_of(measured_steps)
    code = record.exit_code or _code_of(lambda: step("card", "card", str(out)))
    if not code:
        _conclude(out, seconds, as_json)
    return code


def _code_of(steps: Callable[[], None]) -> int:
    """Take ``steps``; name the one that failed. Return its exit code, or 0."""
    try:
        steps()
    except _StepFailed as failure:
        say(f"\nshosei: a step ended with exit code {failure.code}: {failure.command}")
        return failure.code
    return 0


def _by_step(overrides: list[str]) -> dict[str, list[str]]:
    """``--set`` options, by the step that reads their section."""
    from shosei.config import Config, load
    from shosei.data import DataConfig
    from shosei.exam import ExamConfig
    from shosei.load import LoadConfig
    from shosei.train import TrainConfig

    kinds: dict[str, type[Config]] = {"data": DataConfig, "train": TrainConfig, "load": LoadConfig, "exam": ExamConfig}
    steps: dict[str, list[str]] = {section: [] for section in kinds}
    for override in overrides:
        section = override.partition(".")[0]
        if section not in steps:
            raise InputError(f"--set {override}: no step reads section '{section}'{nearest(section, steps)}")
        load(kinds[section], section, overrides=[override])  # wrong: better now than after the steps before
        steps[section] += ["--set", override]
    return steps


def _conclude(out: Path, seconds: dict[str, float], as_json: bool) -> None:
    total = sum(seconds.values())
    spent = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    lines = [
        "",
        f"{total:.0f} s in all: {spent}",
        *_accuracy(out),
        f"The scorecard is {out / 'card.html'}: open it in a browser.",
        "",
        "What next:",
        f"  {_printed(('chat', str(out), '--single-turn'))}  ask it what it was trained on, such as: 17再加52得几？",
        f"  {_printed(('serve', str(out)))}               serve it to any OpenAI client",
        f"  {_printed(('card', str(out)))}                compute the card again from the log",
    ]
    result({"run": str(out), "seconds": seconds, "total_seconds": total}, lines, as_json=as_json)


def _accuracy(out: Path) -> list[str]:
    """What the model does with operands it has never seen, from the card."""
    metrics = json.loads((out / "card.json").read_text())["metrics"]
    inference = next(m for m in metrics if (m["id"], m["phase"]) == ("pass_at_1", "inference"))
    rows = [row for table in inference["breakdown"] if table["title"] == "suites" for row in table["rows"]]
    shares = {row[0]: row[1] for row in rows}
    if not shares.keys() >= set(_SKILLS):
        return []
    mean = sum(shares[skill] for skill in _SKILLS) / len(_SKILLS)
    rest = [suite for suite in shares if suite not in _SKILLS]
    return [
        f"Held-out pass@1 over HTTP: {_list(shares, _SKILLS)}; their mean {mean:.3f}",
        f"  beside them, harder than this model or, as facts, not to be derived: {_list(shares, rest)}",
    ]


def _list(shares: dict[str, float], suites: Iterable[str]) -> str:
    return ", ".join(f"{suite} {shares[suite]:.3f}" for suite in suites)


def _program() -> list[str]:
    """How this program was called, so that a printed command can be pasted; else by its module."""
    return [sys.argv[0]] if Path(sys.argv[0]).name == "shosei" else [sys.executable, "-m", "shosei"]


def _command(arguments: tuple[str, ...]) -> list[str]:
    return [*_program(), *arguments]


def _printed(arguments: tuple[str, ...]) -> str:
    return shlex.join(_command(arguments))


def _announce(name: str, arguments: tuple[str, ...]) -> None:
    say(f"\n── {name} " + "─" * (70 - len(name)) + f"\n$ {_printed(arguments)}")


@contextmanager
def _started(arguments: tuple[str, ...], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A verb in a process of its own. If it still runs at the end of the block, it is told to stop."""
    process = subprocess.Popen(_command(arguments), env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _serving(arguments: tuple[str, ...], environment: dict[str, str], url: str) -> Iterator[None]:
    """A server that answers for the length of the block."""
    with _started(arguments, environment) as server:
        deadline = time.monotonic() + _READY_SECONDS
        while not _ready(url):
            if server.poll() is not None:
                raise _StepFailed(_printed(arguments), server.returncode or 1)
            if time.monotonic() > deadline:
                raise _StepFailed(f"{_printed(arguments)} (not ready after {_READY_SECONDS:.0f} s)", 1)
            time.sleep(0.1)
        yield


def _ready(url: str) -> bool:
    from urllib.request import urlopen

    try:
        with urlopen(f"{url}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:  # URLError is one
        return False


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
