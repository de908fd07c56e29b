"""``shosei metrics``: what each of the 15 metrics means."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from shosei.cli.common import JsonOption, LanguageOption, result

IdArgument = Annotated[
    str | None, typer.Argument(metavar="ID", help="One metric, such as pass_at_1 (default: all).", show_default=False)
]


def metrics(id: IdArgument = None, lang: LanguageOption = None, as_json: JsonOption = False) -> None:
    """Explain the 15 metrics: definition, formula, source, and what makes such numbers wrong."""
    from shosei.card.reference import as_dicts, as_markdown, references
    from shosei.card.words import language
    from shosei.errors import InputError, nearest

    spoken = language(lang or "en")
    entries = [entry for entry in references() if id is None or entry.id == id.lower()]
    if not entries:
        raise InputError(f"unknown metric '{id}'{nearest(str(id).lower(), [entry.id for entry in references()])}")
    page = as_markdown(entries, spoken)
    if sys.stdout.isatty() and not as_json:
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(page))
        return
    result({"metrics": as_dicts(entries)}, [page.rstrip("\n")], as_json=as_json)
