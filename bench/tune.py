"""Simulated studies: how often ``shosei tune`` announces a gain that is none, and finds one that is there.

    python bench/tune.py --studies 2000
    python bench/tune.py --studies 200 --gain 0.2
    python bench/tune.py --studies 200 --surface vllm --noise 0.05
    python bench/tune.py --studies 10 --gain 0.2 --server

The study is the product's own, with a function in place of a server or, with ``--server``, through real logs and
processes on ``bench/tune_server.py``. All settings do nothing but one, whose best value is worth ``--gain``; or they
are those of a mock of ``vllm serve`` (``--surface vllm``). Each measurement has ``--noise`` between runs.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import tomli_w
import tune_server

from shosei.log import TuneTrialBegin
from shosei.profile.profile import read_profile
from shosei.tune.budget import Budget
from shosei.tune.record import Record
from shosei.tune.serve import ServeSubject
from shosei.tune.setting import Candidate, Setting, Space, default_of
from shosei.tune.study import Study
from shosei.tune.surface import levels
from shosei.tune.target import Objective, Target, read_target
from shosei.tune.trial import Stage, Subject, TrialResult

Noise = Callable[[random.Random, int], float]  # of the n-th measurement, in standard deviations
Truth = Callable[[Candidate], float | None]  # logarithm of the gain over the default; None: it crashes

_CAPACITY, _RATE = 40.0, 160.0  # of the mock server, and offered to it: requests a second
NOISES: dict[str, Noise] = {
    "normal": lambda random, n: random.gauss(0, 1),
    # Student's t with 3 degrees of freedom, at the same standard deviation: now and then a run is far off.
    "heavy": lambda random, n: random.gauss(0, 1) / math.sqrt(random.gammavariate(1.5, 2)),
    # A machine that becomes slower by three standard deviations over 60 trials, as one that warms up.
    "drift": lambda random, n: random.gauss(0, 1) - 3 * n / 60,
    # Every seventh run is disturbed.
    "bursts": lambda random, n: random.gauss(0, 1) - 3 * (n % 7 == 3),
}


@dataclass
class Function:
    """A subject that is a function: what a server with these settings would get done, and the noise between runs."""

    truth: Truth
    noise: float
    kind: str
    random: random.Random
    rungs: int = ServeSubject.rungs
    repeats: bool = True
    least_rounds: int = ServeSubject.least_rounds
    most_rounds: int = ServeSubject.most_rounds
    taken: list[TuneTrialBegin] = field(default_factory=list)

    def cost(self, stage: Stage, rung: int) -> float:
        return 1.0

    def measure(self, trial: TuneTrialBegin, folder: Path) -> TrialResult:
        error = self.noise * NOISES[self.kind](self.random, len(self.taken))
        self.taken.append(trial)
        gain = self.truth(trial.candidate)
        return TrialResult(None if gain is None else _CAPACITY * math.exp(gain + error), seconds=1.0)

    def usable(self, candidate: Candidate, folder: Path) -> list[str]:
        return []


@dataclass(frozen=True)
class Case:
    """What is simulated: the settings, and what they do. ``command``: of the mock server."""

    space: Space
    truth: Truth
    best: float  # the highest gain that there is, as a logarithm
    command: list[str]


def lonely(settings: int, gain: float, random: random.Random) -> Case:
    """One setting does something: its best value, at an end of a range or one of its choices, is worth ``gain``."""
    kinds = [
        Setting(type="int", low=1, high=64, log=True, default=16),
        Setting(type="choice", choices=["a", "b", "c"], default="a"),
        Setting(type="float", low=0, high=1, default=0),
    ]
    space = {f"setting{number}": kinds[number % len(kinds)] for number in range(settings)}
    default, name, whole = default_of(space), random.choice(sorted(space)), math.log1p(gain)
    setting = space[name]
    if setting.is_range:
        begin = setting.place(default[name])
        end = random.choice([end for end in (0.0, 1.0) if end != begin])

        def truth(candidate: Candidate) -> float:
            return whole * (setting.place(candidate[name]) - begin) / (end - begin)
    else:
        best = random.choice([choice for choice in setting.choices if choice != default[name]])

        def truth(candidate: Candidate) -> float:
            return whole * (candidate[name] == best)

    gains = {f"{name}={value}": truth({**default, name: value}) for value in levels(setting, 64)}
    words = ["--gain", json.dumps(gains), *(word for each in space for word in ("--setting", f"{each}={{{each}}}"))]
    return Case(space, truth, whole, words)


def of_vllm() -> Case:
    """The shipped space of vLLM, on a surface with a peak, and an edge beyond which it crashes."""
    space = read_target("vllm", "serve").space

    def truth(candidate: Candidate) -> float | None:
        values: list[Any] = [candidate[name] for name in space]
        return None if tune_server.is_too_large(*values[:2]) else tune_server.surface(*values)

    grid = [dict(zip(space, values, strict=True)) for values in product(*(levels(each, 33) for each in space.values()))]
    best = max(gain for candidate in grid if (gain := truth(candidate)) is not None)
    words = ["--vllm", *(word for name in space for word in ("--setting", f"{name}={{{name}}}"))]
    return Case(space, truth, best, words)


@dataclass(frozen=True)
class Studied:
    """What one study came to. Gains are ratios less 1."""

    verdict: str
    true_gain: float  # of what it recommends
    best_gain: float
    trials: int
    rounds: int
    luckiest: float
    announced: float | None
    covered: bool  # whether the interval of the first finalist holds the truth


def study(
    seed: int, surface: str, settings: int, gain: float, noise: float, kind: str, trials: int, server: bool
) -> Studied:
    """One study."""
    chance = random.Random(seed)
    case = of_vllm() if surface == "vllm" else lonely(settings, gain, chance)
    with tempfile.TemporaryDirectory() as folder:
        subject: Subject = Function(case.truth, noise, kind, chance)
        objective = Objective(figure="inference_speed.goodput")
        target = Target(
            name="simulated", kind="serve", objective=objective, space=case.space, settings={}, folder=Path()
        )
        if server:
            target, subject = _served(case, noise, Path(folder))
        record = Record(Path(folder), lambda event: None)
        verdict = Study(target, subject, record, Budget.parse(f"{trials}trials"), seed).run()
    first = next(iter(verdict.finalists), None)
    low, high = first.interval if first else (None, None)
    covered = True
    if first and low is not None and high is not None:
        covered = low <= math.expm1(case.truth(first.candidate) or 0.0) <= high
    return Studied(
        verdict.verdict,
        math.expm1(case.truth(verdict.best) or 0.0),
        math.expm1(case.best),
        verdict.trials,
        first.rounds if first else 0,
        verdict.luckiest or 0.0,
        next((finalist.gain for finalist in verdict.finalists if not finalist.reason), None),
        covered,
    )


def _served(case: Case, noise: float, folder: Path) -> tuple[Target, Subject]:
    """The same on the mock server, by ``shosei supervise`` and ``shosei load``."""
    profile, target = folder / "profile.toml", folder / "target.toml"
    load = {
        "arrival": "constant",
        "rate": _RATE,
        "seconds": 1.5,
        "warmup_s": 0.3,
        "prompt_characters": 20,
        "drain_s": 3.0,
    }
    level = {"ttft_ms": 1000 * tune_server.LATE_S * 0.7}
    profile.write_text(tomli_w.dumps({"name": "mock", "load": load, "service_level": level}))
    server = [
        sys.executable,
        tune_server.__file__,
        "--port",
        "{port}",
        "--capacity",
        str(_CAPACITY),
        "--noise",
        str(noise),
    ]
    tables = {
        "objective": {"figure": "inference_speed.goodput"},
        "serve": {"command": [*server, *case.command]},
        "space": {name: setting.model_dump(exclude_defaults=True) for name, setting in case.space.items()},
    }
    target.write_text(tomli_w.dumps(tables))
    read = read_target(str(target), "serve")
    return read, ServeSubject(read, read_profile(str(profile)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--surface", choices=["lonely", "vllm"], default="lonely")
    parser.add_argument("--settings", type=int, default=4, help="of which one matters")
    parser.add_argument("--gain", type=float, default=0.0, help="of that one")
    parser.add_argument("--noise", type=float, default=0.15, help="standard deviation between runs, of a ratio")
    parser.add_argument("--kind", choices=sorted(NOISES), default="normal", help="of noise")
    parser.add_argument("--trials", type=int, default=60, help="the budget")
    parser.add_argument("--server", action="store_true", help="through real processes and logs: some minutes a study")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="of the first study; the others follow")
    asked = vars(parser.parse_args())
    count, jobs, seed = (asked.pop(key) for key in ("studies", "jobs", "seed"))
    with ProcessPoolExecutor(jobs) as pool:
        done = list(pool.map(partial(study, **asked), range(seed, seed + count), chunksize=1 if asked["server"] else 5))
    announced = [each for each in done if each.verdict == "gain"]
    print(f"{count} studies, {asked}")
    print(f"  announce a gain: {len(announced)}")
    print(f"  of a setting that has half of it at least: {sum(_is_found(each, 0.5) for each in announced)}")
    print(f"  within 5 % of the best there is: {sum(_is_found(each, None) for each in announced)}")
    for name, values in {
        "trials": [each.trials for each in done],
        "rounds": [each.rounds for each in done],
        "gain of the luckiest trial, %": [100 * each.luckiest for each in done],
        "gain that was announced, %": [100 * (each.announced or 0.0) for each in announced],
        "gain that it really is, %": [100 * each.true_gain for each in announced],
        "intervals that hold the truth, %": [100.0 * each.covered for each in done],
    }.items():
        print(f"  {name}: {math.fsum(values) / max(1, len(values)):.1f} on average")


def _is_found(studied: Studied, share: float | None) -> bool:
    """Whether the recommended candidate has that share of the best gain; None: whether it is within 5 % of the best."""
    if share is None:
        return (1 + studied.true_gain) / (1 + studied.best_gain) >= 0.95
    return studied.true_gain >= share * studied.best_gain > 0


if __name__ == "__main__":
    main()
