"""What every view says of a scorecard besides its metrics, as (word key, text) pairs."""

from __future__ import annotations

import shlex
from typing import Any

from shosei.card.numbers import cell
from shosei.card.scorecard import Command, Count, Scorecard
from shosei.card.words import english

Fact = tuple[str, str]

_STARTED_BY_SERVE = ("engine", "http")


def model_name(card: Scorecard) -> str:
    """The model's name, or the run's where no verb said which model it had."""
    return str(card.model.get("name") or card.run or english("unknown"))


def header(card: Scorecard) -> list[Fact]:
    """Who, when and where, in one line each."""
    facts = [("run", card.run), ("attempt", str(card.attempt)), ("started", _date(card.started))]
    if "params" in card.model:
        facts.insert(0, ("parameters", cell(card.model["params"])))
    return [*facts, ("machine", "; ".join(filter(None, map(_machine, card.hardware.values()))) or english("unknown"))]


def conditions(card: Scorecard) -> list[Fact]:
    """How it was measured. What no verb declared is unknown, not blank."""
    meter = english("unknown")
    if card.meter:
        meter = f"{card.meter.cpu_seconds:.3g} s CPU"
        if card.meter.share is not None:
            meter += f", {100 * card.meter.share:.2f} % of one core"
    facts = [("profile", card.profile)] if card.profile else []  # chosen or not: nothing to be unknown
    facts += [("arrival", card.arrival), ("sandbox", card.sandbox)]
    facts += [("meter", meter), ("log_digest", card.log_digest)]
    return [(key, text or english("unknown")) for key, text in facts]


def hardware(card: Scorecard) -> list[tuple[str, str]]:
    """Host by host, every recorded fact as (name, text)."""
    several = len(card.hardware) > 1
    return [
        ((f"{host}: {name}" if several else name).removesuffix("_bytes"), _plain(name, value))
        for host, facts in card.hardware.items()
        for name, value in facts.items()
    ]


def seeds(card: Scorecard) -> list[tuple[str, str]]:
    """Seeds as they are typed, without separators."""
    return [(name, str(seed)) for name, seed in card.seeds.items()]


def commands(card: Scorecard) -> list[Command]:
    """The commands that a person typed; not the processes that ``shosei serve`` starts for itself."""
    return [command for command in card.commands if command.verb not in _STARTED_BY_SERVE]


def command_line(command: Command) -> str:
    """The command as it can be typed into a shell."""
    return shlex.join(command.argv)


def exit_text(command: Command) -> str:
    """The exit code, or that no end was recorded."""
    return english("no_end") if command.exit_code is None else str(command.exit_code)


def difference(count: Count) -> str:
    """The relative difference of a computed parameter count, in percent."""
    return "0" if count.published == count.computed else f"{100 * count.difference:+.4g} %"


def _date(started: str) -> str:
    return started.replace("T", " ").replace("Z", " UTC") or english("unknown")


def _machine(facts: dict[str, Any]) -> str:
    """Only what was recorded: a machine whose GPUs nobody listed is not one without a GPU."""
    parts = [str(facts["cpu"])] if facts.get("cpu") else []
    if "cores" in facts:
        parts.append(f"{facts['cores']} cores")
    if "memory_bytes" in facts:
        parts.append(_gigabytes(facts["memory_bytes"]))
    if "gpus" in facts:
        parts.append(", ".join(map(str, facts["gpus"])) or "no GPU")
    return " · ".join(parts)


def _plain(name: str, value: object) -> str:
    return _gigabytes(value) if name.endswith("_bytes") else cell(value)


def _gigabytes(value: object) -> str:
    return f"{value / 1e9:.1f} GB" if isinstance(value, int | float) else str(value)
