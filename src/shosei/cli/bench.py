"""``shosei bench``: how fast a model answers here, or a server there, and how much of what is possible that is."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shosei.cli.common import JsonOption, load_torch, require, result, say
from shosei.cli.serve import WeightsOption, find_model
from shosei.errors import EXIT_INPUT, InputError
from shosei.spec.generation import WeightFormat
from shosei.verbs import VerbFailed

if TYPE_CHECKING:
    from shosei.load.speed import Speed
    from shosei.spec import ModelSpec
    from shosei.spec.device import Device

_NO_LIMIT = "not measured: what a server computes, and on which machine, it does not tell"


def bench(
    target: Annotated[
        str, typer.Argument(metavar="MODEL_OR_URL", help="Model folder, run folder, or an OpenAI-compatible server.")
    ],
    weights: WeightsOption = WeightFormat.STORED,
    model: Annotated[str, typer.Option(help="A server's model (default: the first that it lists).")] = "",
    turns: Annotated[int, typer.Option(min=1, help="How often each is measured; the median counts.")] = 3,
    as_json: JsonOption = False,
) -> int:
    """Measure tokens a second of one long prompt, and of 1, 8 and 32 answers at once, on a quiet machine.

    A model is measured in an engine as serve starts it, and compared with what the machine can read and multiply.
    """
    if "://" in target or (":" in target and not os.path.exists(target)):  # the latter lacks its http
        if weights is not WeightFormat.STORED:
            raise InputError(f"--weights {weights} is for a model; a server computes in what it was started with")
        _measure_server(target, model, turns, as_json=as_json)
        return 0
    if model:
        raise InputError(f"--model {model} is for a server, to choose one of its models; {target} is a path")
    try:
        _measure_model(Path(target), weights, turns, as_json=as_json)
    except VerbFailed as failure:
        if failure.code != EXIT_INPUT:  # else it has said why
            say(f"shosei: the engine ended with exit code {failure.code}")
        return failure.code
    return 0


def _measure_server(url: str, model: str, turns: int, *, as_json: bool) -> None:
    from shosei.load.speed import TimedServer, measured_speeds

    server = TimedServer(url, model)
    speeds = measured_speeds(server, turns)
    values = {"model": server.model, "url": url, "turns": turns, "machine": None}
    values |= {"speeds": [asdict(speed) for speed in speeds]}
    lines = [f"{server.model} at {url}; {_n(turns)}", *(_line(speed, None) for speed in speeds)]
    lines.append(f"share of the limit: {_NO_LIMIT}")
    result(values | {"share_of_limit": _NO_LIMIT}, lines, as_json=as_json)


def _measure_model(path: Path, weights: WeightFormat, turns: int, *, as_json: bool) -> None:
    require("torch")
    folder, name = find_model(path)
    load_torch()
    from shosei.cli.timed_engine import engine_of
    from shosei.load.speed import NEW_TOKENS, PREFILL_TOKENS, PROMPT_TOKENS, STREAMS, measured_speeds
    from shosei.model.device import this_machine
    from shosei.model.folder import stored_type
    from shosei.model.hf_config import read_spec

    spec, before = read_spec(folder), this_machine()
    context = min(spec.context_length, max(PREFILL_TOKENS + 1, PROMPT_TOKENS + NEW_TOKENS))
    # One token a step: a draft that comes true would say more of the model's words than of the machine.
    options = ("--slots", str(max(STREAMS)), "--context", str(context), "--weights", weights, "--no-speculate")
    with engine_of(folder, *options) as engine:
        speeds = measured_speeds(engine, turns)
    machine = this_machine()
    # Whatever else ran in one of the two moments, the machine can do what it did in the other.
    machine = replace(
        machine, flops=max(before.flops, machine.flops), bandwidth=max(before.bandwidth, machine.bandwidth)
    )
    value_bytes = stored_type(folder).itemsize if weights is WeightFormat.STORED else 2
    limits = [_limit(speed, spec, machine, weights, value_bytes) for speed in speeds]
    values = {
        "model": name,
        "weights": weights,
        "turns": turns,
        "machine": asdict(machine),
        "speeds": [
            asdict(speed) | {"limit": limit, "share_of_limit": (speed.tokens_per_second or 0) / limit or None}
            for speed, limit in zip(speeds, limits, strict=True)
        ],
    }
    lines = [
        f"{name}, weights {weights}; this machine reads {machine.bandwidth / 1e9:.1f} GB/s and computes "
        f"{machine.flops / 1e9:,.0f} GFLOP/s ({machine.source}); {_n(turns)}",
        *(_line(speed, limit) for speed, limit in zip(speeds, limits, strict=True)),
    ]
    result(values, lines, as_json=as_json)


def _limit(speed: Speed, spec: ModelSpec, machine: Device, weights: WeightFormat, value_bytes: int) -> float:
    from shosei.spec.roofline import decode_limit, prefill_limit

    if speed.is_prefill:
        return prefill_limit(spec, machine, speed.prompt_tokens, weights, value_bytes)
    context = speed.prompt_tokens + speed.new_tokens // 2
    return decode_limit(spec, machine, speed.streams, context, weights, value_bytes)


def _n(turns: int) -> str:
    return f"the median of {turns} turns" if turns > 1 else "one turn"


def _line(speed: Speed, limit: float | None) -> str:
    what = f"prompt of {speed.prompt_tokens}" if speed.is_prefill else f"{speed.streams} at once"
    if speed.tokens_per_second is None:
        return f"  {what:<16} not measured: {speed.reason}"
    share = f", {speed.tokens_per_second / limit:.0%} of the {limit:,.0f} that these rates allow" if limit else ""
    return f"  {what:<16}{speed.tokens_per_second:>10,.1f} tokens/s{share}"
