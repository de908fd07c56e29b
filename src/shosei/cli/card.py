"""``shosei card`` and ``shosei log``: score an attempt; look into its events."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shosei.cli.common import JsonOption, result, say

RunArgument = Annotated[
    Path | None,
    typer.Argument(metavar="RUN", help="Run folder (default: the SHOSEI_RUN variable).", show_default=False),
]
AttemptOption = Annotated[
    int | None, typer.Option("--attempt", help="Attempt number (default: the latest).", show_default=False)
]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="Print the events of this kind as JSON lines.", show_default=False)
]


def card(run: RunArgument = None, attempt: AttemptOption = None, as_json: JsonOption = False) -> None:
    """Compute the 15 metrics of a run; write card.json, card.html and card.md into it; print the table."""
    from rich.console import Console

    from shosei.card import build, html, markdown, terminal, to_json
    from shosei.log import open_run, read_log
    from shosei.metrics import compute

    chosen = open_run(run)
    log = read_log(chosen.log, attempt)
    for warning in log.warnings:
        say(f"warning: {warning}")
    scorecard = build(log, compute(log))
    data = to_json(scorecard)
    chosen.write("card.json", data)
    page = chosen.write("card.html", html(scorecard))
    chosen.write("card.md", markdown(scorecard))
    if as_json:
        print(data.decode(), end="", flush=True)
        return
    console = Console()
    if not console.is_terminal:
        console.width = 100
    console.print(terminal(scorecard))
    say(f"\nthe whole card, with its plots: {page}")


def log(
    run: RunArgument = None, kind: KindOption = None, attempt: AttemptOption = None, as_json: JsonOption = False
) -> None:
    """Count a run's events by kind, or print those of one kind."""
    import msgspec

    from shosei.errors import InputError, nearest
    from shosei.log import EVENTS, attempts, open_run, read_log

    if kind is not None and kind not in EVENTS:
        raise InputError(f"unknown event kind '{kind}'{nearest(kind, EVENTS)}")
    chosen = open_run(run)
    found = read_log(chosen.log, attempt)
    if kind is not None:
        for warning in found.warnings:
            say(f"warning: {warning}")
        for event in found.of(EVENTS[kind]):
            print(msgspec.json.encode(event).decode())
        return
    counts = {name: len(found.of(event)) for name, event in EVENTS.items() if found.of(event)}
    known = attempts(chosen.log)
    segments = sorted(segment.name for segment in chosen.log.glob("*.jsonl"))
    values = {
        "attempt": found.attempt, "attempts": known, "segments": segments, "events": counts,
        "warnings": found.warnings, "digest": found.digest,
    }  # fmt: skip
    lines = [f"attempt {found.attempt} of {', '.join(map(str, known))}; segments: {len(segments)}", ""]
    lines += [f"{name:12}{count:10,}" for name, count in counts.items()]
    lines += ["", *(f"warning: {warning}" for warning in found.warnings), f"digest {found.digest}"]
    result(values, lines, as_json=as_json)
