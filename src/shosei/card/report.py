"""The card as Markdown: the 30 cells, where they were measured, and what to doubt."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shosei.card import facts
from shosei.card.numbers import cell, shown
from shosei.card.scorecard import PHASES, Scorecard
from shosei.card.words import MARKS, english, rendered, say
from shosei.metrics.metric import METRIC_IDS, Metric


def markdown(card: Scorecard) -> str:
    """GitHub-flavoured Markdown. Foreign text is escaped: it can end no table cell and open no tag."""
    card = rendered(card)
    lines = [f"# {_plain(facts.model_name(card))}: {english('scorecard').lower()}", ""]
    lines += _facts(facts.header(card))
    for group, ids in METRIC_IDS.items():
        rows = [[english(f"{id}.name"), *(_cell(card.cell(id, phase)) for phase in PHASES)] for id in ids]
        lines += ["", f"## {english(f'group.{group}')}", ""]
        lines += _table([english("metric"), *map(english, PHASES)], rows)
    lines += ["", f"## {english('warnings')}", ""]
    lines += [f"- {_plain(warning)}" for warning in card.warnings] or [english("no_warnings")]
    lines += ["", f"## {english('manifest')}", ""]
    lines += _facts(facts.conditions(card))
    manifest = {
        "model": [(name, cell(value)) for name, value in card.model.items()],
        "hardware": facts.hardware(card),
        "versions": card.versions.items(),
        "seeds": facts.seeds(card),
        "hashes": card.hashes.items(),
    }
    for key, pairs in manifest.items():
        if pairs:
            lines += ["", f"### {english(key)}", ""]
            lines += [f"- {_plain(name)}: {_plain(text)}" for name, text in pairs]
    lines += ["", f"### {english('commands')}", ""]
    rows = [[_plain(facts.command_line(command)), facts.exit_text(command)] for command in facts.commands(card)]
    lines += _table([english("command"), english("exit_code")], rows)
    lines += ["", f"## {english('audit')}", ""]
    columns = ["model", "part", "published", "computed", "difference", "reason"]
    audit = [
        [row.model, row.part, cell(row.published), cell(row.computed), facts.difference(row), _plain(row.reason)]
        for row in card.audit
    ]
    lines += _table([english(column) for column in columns], audit)
    return "\n".join(lines) + "\n"


def _cell(metric: Metric) -> str:
    number = shown(metric)
    parts = [f"{MARKS[metric.status]} {english(f'status.{metric.status}')}"]
    if number.value:
        measured = f"**{number}**" + (f" {number.interval}" if number.interval else "")
        parts = [measured, f"n = {cell(metric.n)}", *parts]
    text = " · ".join(parts)
    return f"{text}: {_plain(say(metric.reason))}" if metric.reason else text


def _facts(pairs: Iterable[facts.Fact]) -> list[str]:
    return [f"- {english(key)}: {_plain(text)}" for key, text in pairs]


def _table(columns: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *rows]]


def _plain(text: str) -> str:
    return re.sub(r"([\\`*<>\[\]|])", r"\\\1", " ".join(text.split()))
