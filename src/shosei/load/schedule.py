"""When requests are due: ascending arrival times in seconds from the beginning of the load."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from shosei.errors import InputError
from shosei.load.config import LoadConfig
from shosei.text_files import json_lines

Offsets = npt.NDArray[np.float64]

_MAX_REQUESTS = 10_000_000


def arrivals(config: LoadConfig) -> Offsets:
    """The arrivals of an open loop in its warm-up and its steady window; none in a closed one.

    Raises InputError: a trace that cannot be read, no arrival at all, or too many.
    """
    seconds = config.warmup_s + config.seconds
    if max(config.rate, config.rate_to or 0) * seconds > _MAX_REQUESTS:
        raise InputError(f"more than {_MAX_REQUESTS:,} requests: lower load.rate or load.seconds")
    match config.arrival:
        case "closed":
            return np.empty(0)
        case "constant":
            due = np.arange(0.0, seconds, 1 / config.rate)
        case "ramp":
            due = ramp(config.rate, config.rate_to or config.rate, config.warmup_s, config.seconds, config.seed)
        case "trace":
            assert config.trace
            due = read_trace(config.trace)
            due = due[due < seconds]
        case "poisson":
            due = poisson(config.rate, seconds, config.seed)
    if not len(due):
        raise InputError("no request falls into the load: raise load.rate or load.seconds")
    return due


def poisson(rate: float, seconds: float, seed: int) -> Offsets:
    """Arrival times of a Poisson process in ``[0, seconds)``, ascending, in seconds.

    Given their number, the arrivals are distributed as so many sorted uniform draws (Ross, Introduction to
    Probability Models, "Conditional distribution of the arrival times").
    """
    random = np.random.default_rng(seed)
    return np.sort(random.uniform(0.0, seconds, random.poisson(rate * seconds)))


def ramp(rate: float, rate_to: float, warmup_s: float, seconds: float, seed: int) -> Offsets:
    """A Poisson process at ``rate`` for ``warmup_s``, then at one that changes evenly to ``rate_to`` in ``seconds``.

    Uniform draws of the expected number of arrivals, put through the inverse of its course over time (Ross, "The
    nonhomogeneous Poisson process").
    """
    random = np.random.default_rng(seed)
    before, total = rate * warmup_s, rate * warmup_s + (rate + rate_to) / 2 * seconds
    expected = np.sort(random.uniform(0.0, total, random.poisson(total)))
    within = np.maximum(0.0, expected - before)
    slope = (rate_to - rate) / seconds
    later = 2 * within / (rate + np.sqrt(np.maximum(0.0, rate**2 + 2 * slope * within)))
    return np.asarray(np.where(expected < before, expected / rate, warmup_s + later))


def read_trace(file: Path) -> Offsets:
    """The arrivals of a trace, from its earliest on. Raises InputError that names the file and the line."""
    lines = json_lines(file, float | _Arrival, "an arrival; write seconds, or JSON with 'at'")
    seconds = [line.at if isinstance(line, _Arrival) else line for _, line in lines]
    if not seconds:
        raise InputError(f"{file} holds no arrivals: write seconds, or JSON with 'at', one a line")
    due = np.sort(np.array(seconds))
    return np.asarray(due - due[0])


class _Arrival(msgspec.Struct):
    at: float
