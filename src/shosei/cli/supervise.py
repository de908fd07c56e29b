"""``shosei supervise``: run any trainer or server under the meters, with restarts."""

from __future__ import annotations

from typing import Annotated

import typer

from shosei.cli.common import JsonOption, RunOption, result, say
from shosei.errors import InputError

PHASES = ("training", "inference")


def supervise(
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command, after '--'.")],
    run: RunOption = None,
    phase: Annotated[str, typer.Option(help="What it does: training or inference.")] = "training",
    name: Annotated[str, typer.Option(help="The command's name in the log.")] = "command",
    max_restarts: Annotated[int, typer.Option(min=0, help="How often to start it again after a failure.")] = 3,
    as_json: JsonOption = False,
) -> int:
    """Run a command, start it again when it fails, and record its ends, CPU, memory and disk from outside.

    Its output passes through; the exit code is its last one.
    """
    import asyncio

    from shosei.log import open_run
    from shosei.supervise import Child, Supervisor

    if phase not in PHASES:
        raise InputError(f"--phase {phase}: choose one of {', '.join(PHASES)}")
    child = Child(name, command, phase=phase)
    folder = open_run(run, must_exist=False)
    with folder.recording(f"supervise:{name}", phase) as record:
        code = record.exit_code = asyncio.run(Supervisor(record.writer, [child], max_restarts=max_restarts).run())
    attempt = record.writer.attempt
    say(f"{name} ended with exit code {code}; its record: attempt {attempt} of {folder.folder}")
    if as_json:
        values = {"run": str(folder.folder), "attempt": attempt, "name": name, "exit_code": code}
        result(values, [], as_json=True)
    return code
