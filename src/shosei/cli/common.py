"""Options and printing that every verb shares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

RunOption = Annotated[
    Path | None, typer.Option("--run", help="Run folder (default: the SHOSEI_RUN variable).", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file.", show_default=False)]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override file and flags: section.key=value.", show_default=False)
]


def say(text: str) -> None:
    """Progress for a person: standard error, so that ``--json`` output stays clean."""
    print(text, file=sys.stderr, flush=True)


def result(values: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    """A verb's result: JSON for programs, or lines for people, on standard output."""
    print(json.dumps(values, ensure_ascii=False) if as_json else "\n".join(lines), flush=True)
