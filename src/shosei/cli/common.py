"""Options and printing that every verb shares."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from shosei.errors import InputError, Terminated
from shosei.progress import progress

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from rich.console import RenderableType

T = TypeVar("T")

RunOption = Annotated[
    Path | None, typer.Option("--run", help="Run folder (default: the SHOSEI_RUN variable).", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", help="A profile's name, such as chatbot, or its file (*.toml).", show_default=False),
]
LanguageOption = Annotated[
    str | None, typer.Option("--lang", help="en, zh-CN or ja; JSON stays English.", show_default=False)
]
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


def print_page(page: RenderableType, width: int) -> None:
    """A page on standard output: as wide as the terminal, or ``width`` columns where there is none."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = width
    console.print(page)


def run_async(work: Coroutine[Any, Any, T], new_loop: Callable[[], AbstractEventLoop] | None = None) -> T:
    """``asyncio.run`` that takes SIGTERM as it does Ctrl-C: ``work`` is cancelled, then Terminated is raised."""
    import asyncio

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    handler = signal.getsignal(signal.SIGTERM)
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(cancellable())
    except asyncio.CancelledError:
        raise Terminated from None
    finally:
        signal.signal(signal.SIGTERM, handler)


def fast_loop() -> Callable[[], AbstractEventLoop] | None:
    """uvloop's, where there is one: the meter must not be what is measured."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def require(*packages: str) -> None:
    """Stop before any work if a package of an extra is not installed; ``main`` says which and how to get it."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named '{package}'", name=package)


def load_torch() -> None:
    """Import torch, which takes seconds, before what needs it is imported."""
    with progress("loading torch"):
        import torch  # noqa: F401


def pairs_of(option: str, given: Sequence[str] | None) -> dict[str, str]:
    """What ``NAME=VALUE`` words of an option say. Raises InputError for another form."""
    pairs: dict[str, str] = {}
    for word in given or []:
        name, _, value = word.partition("=")
        if not name or not value:
            raise InputError(f"{option} {word}: write it as NAME=VALUE")
        if pairs.setdefault(name, value) != value:
            raise InputError(f"{option} gives '{name}' two values, {pairs[name]} and {value}: leave one out")
    return pairs
