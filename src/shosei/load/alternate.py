"""Two targets measured by turns: what a target is, and in which order they take their turns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from shosei.config import Config, read_toml, table, validate
from shosei.errors import InputError
from shosei.load.config import LoadConfig, Positive
from shosei.log import Log, Window


class Target(Config):
    """One of the two: a server, how it is started, and what it is asked."""

    name: Annotated[str, Field(min_length=1)] = Field(description="What the comparison calls it.")
    url: str = Field(description="An OpenAI-compatible server, such as http://127.0.0.1:8000.")
    serve: list[str] = Field(
        default=[],
        description="Command that serves it, for the length of a turn; empty: it runs already.",
    )
    ready_s: Positive = Field(default=120.0, description="Limit of the wait until the server answers, in seconds.")
    load: LoadConfig = Field(default=LoadConfig.model_validate({}), description="Settings of 'shosei load'.")
    exam: dict[str, Any] = Field(default={}, description="'suite', and settings of 'shosei exam'; empty: no exam.")


@dataclass(frozen=True, slots=True)
class TargetTurn:
    """One turn of one target. ``number`` is from 1; the two turns of a pair have the same ``seed``."""

    number: int
    target: Target
    seed: int


def turns(a: Target, b: Target, repeats: int) -> list[TargetTurn]:
    """``repeats`` turns of each target in the order A B B A A B B A ...: turns 2k - 1 and 2k are a pair.

    What drifts evenly over a measurement, such as the machine's heat, then weighs on both alike.
    """
    order: list[TargetTurn] = []
    for pair in range(1, repeats + 1):
        for target in (a, b) if pair % 2 else (b, a):
            order.append(TargetTurn(len(order) + 1, target, pair))
    return order


def read_target(file: Path) -> Target:
    """Read a target's TOML file. Raises InputError that names the file, the wrong key and the nearest known one."""
    tables = read_toml(file)
    try:
        if "load" in tables:
            tables["load"] = validate(LoadConfig, table(tables["load"], "load"), "load")
        if isinstance(command := tables.get("serve"), str):
            words = json.dumps(command.split(), ensure_ascii=False)
            raise InputError(f"target.serve: write it as a list of words, such as serve = {words}")
        target = validate(Target, tables, "target")
        if "seed" in target.load.model_fields_set:
            raise InputError("load.seed: leave it out; every pair of turns gets a seed of its own")
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    return target


def check_pair(a: Target, b: Target) -> None:
    """Raise InputError unless the two have different names and are asked the same, but for model and header."""
    if a.name == b.name:
        raise InputError(f"both targets are called '{a.name}': the comparison needs two names")
    for section, (first, second) in {"load": (_asked(a.load), _asked(b.load)), "exam": (a.exam, b.exam)}.items():
        for key in sorted((first.keys() | second.keys()) - {"model", "header"}):
            if first.get(key) != second.get(key):
                raise InputError(
                    f"{section}.{key} is {first.get(key)!r} for {a.name} and {second.get(key)!r} for {b.name}: "
                    "what is asked of both must be the same"
                )


def client_was_busy(log: Log) -> bool:
    """Whether the client of an attempt's load could not keep its schedule: it measured itself, and not the server."""
    limits = [window.client for window in log.of(Window) if window.name == "steady"]
    return any(limit is not None and limit.lacked == "time" for limit in limits)


def _asked(load: LoadConfig) -> dict[str, Any]:
    return load.model_dump(mode="json")
