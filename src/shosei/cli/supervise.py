"""``shosei supervise``: run any trainer or server under the meters, with restarts."""

from __future__ import annotations

from pathlib import Path
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
    per: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            show_default=False,
            help="Allow so many restarts in any such time, as 10m or 2h, instead of in all.",
        ),
    ] = None,
    backoff: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds before the first restart; doubled for each one more.")
    ] = 0.5,
    grace: Annotated[float, typer.Option(min=0, metavar="S", help="Seconds to end in once it is told to.")] = 10.0,
    heartbeat_timeout: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="S", help="End it as hung after so many seconds without progress.", show_default=False
        ),
    ] = None,
    heartbeat_file: Annotated[
        Path | None, typer.Option(help="Progress is a change of this file's time or contents.", show_default=False)
    ] = None,
    heartbeat_pattern: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Progress is a match in its output.", show_default=False),
    ] = None,
    step_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            show_default=False,
            help="A match in a line of its output is a step of training; progress too. Named groups: step, counted "
            "through the run, and where printed epoch, loss, tokens, samples, as in 'step (?P<step>[0-9]+)'. "
            "Of several ranks, let one print.",
        ),
    ] = None,
    injections: Annotated[
        list[str] | None,
        typer.Option(
            "--inject",
            metavar="FAULT@S",
            show_default=False,
            help="A fault on purpose, S seconds from now: kill, hang or oom. Repeatable.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Run a command, start it again when it fails or hangs, and record its ends, CPU, memory, disk and network.

    Its output passes through; the exit code is its last one.
    """
    import asyncio

    from shosei.log import open_run
    from shosei.quantity import parse_seconds
    from shosei.supervise import Child, HeartbeatConfig, Injection, Supervisor

    if phase not in PHASES:
        raise InputError(f"--phase {phase}: choose one of {', '.join(PHASES)}")
    faults = [Injection.parse(text) for text in injections or []]
    if heartbeat_timeout is None and any(fault.kind == "hang" for fault in faults):
        raise InputError("--inject hang@S: only --heartbeat-timeout would end it; give one")
    if step_pattern is not None and phase != "training":
        raise InputError("--step-pattern is for --phase training: serving has no steps")
    heartbeat = HeartbeatConfig(heartbeat_timeout, heartbeat_file, heartbeat_pattern, step_pattern)
    child = Child(name, command, phase=phase, heartbeat=heartbeat)
    per_s = None if per is None else parse_seconds(per, "--per")
    folder = open_run(run, must_exist=False)
    with folder.recording(f"supervise:{name}", phase) as record:
        supervisor = Supervisor(
            record.writer, [child], max_restarts, backoff, grace_s=grace, injections=faults, per_s=per_s
        )
        code = record.exit_code = asyncio.run(supervisor.run())
    attempt = record.writer.attempt
    say(f"{name} ended with exit code {code}; its record: attempt {attempt} of {folder.folder}")
    if as_json:
        values = {"run": str(folder.folder), "attempt": attempt, "name": name, "exit_code": code}
        result(values, [], as_json=True)
    return code
