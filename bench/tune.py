"""Simulated studies: how often ``shosei tune`` announces a gain that is none, and finds one that is there.

    python bench/tune.py --studies 2000 --gain 0
    python bench/tune.py --studies 200 --gain 0.2

The study is the product's own, with a function in place of a server: all settings do nothing but one, whose best value
is worth ``--gain``. Each measurement has ``--noise`` between runs.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from shosei.tune.budget import Budget
from shosei.tune.record import Record
from shosei.tune.setting import Candidate, Setting, Space, default_of
from shosei.tune.study import Study
from shosei.tune.target import Objective, Target
from shosei.tune.trial import Stage, Trial, TrialResult

Noise = Callable[[random.Random, int], float]  # of the n-th measurement, in standard deviations
Truth = Callable[[Candidate], float]  # logarithm of the gain over the default

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
    rungs: int = 3
    repeats: bool = True
    least_rounds: int = 5
    most_rounds: int = 1000
    taken: list[Trial] = field(default_factory=list)

    def cost(self, stage: Stage, rung: int) -> float:
        return 1.0

    def measure(self, trial: Trial) -> TrialResult:
        error = self.noise * NOISES[self.kind](self.random, len(self.taken))
        self.taken.append(trial)
        return TrialResult(10 * math.exp(self.truth(trial.candidate) + error), seconds=1.0)

    def usable(self, candidate: Candidate, folder: Path) -> list[str]:
        return []


def space_of(settings: int) -> Space:
    """Ranges, ratios and choices in turn."""
    kinds = [
        Setting(type="int", low=1, high=64, log=True, default=16),
        Setting(type="choice", choices=["a", "b", "c"], default="a"),
        Setting(type="float", low=0, high=1, default=0),
    ]
    return {f"setting{number}": kinds[number % len(kinds)] for number in range(settings)}


def truth_of(space: Space, gain: float, random: random.Random) -> Truth:
    """One setting does something: its best value, at one end of a range or one of the choices, is worth ``gain``."""
    default = default_of(space)
    name = random.choice(sorted(space))
    setting, whole = space[name], math.log1p(gain)
    if not setting.is_range:
        best = random.choice([choice for choice in setting.choices if choice != default[name]])
        return lambda candidate: whole * (candidate[name] == best)
    begin = setting.place(default[name])
    end = random.choice([end for end in (0.0, 1.0) if end != begin])
    return lambda candidate: whole * (setting.place(candidate[name]) - begin) / (end - begin)


@dataclass(frozen=True)
class Studied:
    """What one study came to."""

    verdict: str
    true_gain: float  # of what it recommends
    trials: int
    rounds: int
    luckiest: float
    announced: float | None
    covered: bool  # whether the interval of the first finalist has the truth


def study(seed: int, gain: float, noise: float, kind: str, settings: int, trials: int) -> Studied:
    """One simulated study."""
    chance, space = random.Random(seed), space_of(settings)
    truth = truth_of(space, gain, chance)
    objective = Objective(figure="inference_speed.goodput")
    target = Target(name="simulated", kind="serve", objective=objective, space=space, settings={}, folder=Path())
    subject = Function(truth, noise, kind, chance)
    record = Record(Path("/nowhere"), lambda event: None)
    verdict = Study(target, subject, record, Budget.parse(f"{trials}trials"), seed).run()
    first = next(iter(verdict.finalists), None)
    low, high = first.interval if first else (None, None)
    covered = True
    if first and low is not None and high is not None:
        covered = low <= math.expm1(truth(first.candidate)) <= high
    return Studied(
        verdict.verdict,
        math.expm1(truth(verdict.best)),
        verdict.trials,
        first.rounds if first else 0,
        verdict.luckiest or 0.0,
        next((finalist.gain for finalist in verdict.finalists if not finalist.reason), None),
        covered,
    )


def studies(count: int, jobs: int, first_seed: int, **how: object) -> Iterator[Studied]:
    """Many, each with a seed of its own."""
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(partial(study, **how), range(first_seed, first_seed + count), chunksize=5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--gain", type=float, default=0.0)
    parser.add_argument("--noise", type=float, default=0.15)
    parser.add_argument("--kind", choices=sorted(NOISES), default="normal")
    parser.add_argument("--settings", type=int, default=4)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    how = {key: getattr(asked, key) for key in ("gain", "noise", "kind", "settings", "trials")}
    done = list(studies(asked.studies, asked.jobs, asked.seed, **how))
    announced = [each for each in done if each.verdict == "gain"]
    found = [each for each in announced if each.true_gain >= asked.gain / 2 > 0]
    print(f"{len(done)} studies ({how}): {len(announced)} announce a gain, {len(found)} where there is one")
    for name, values in {
        "trials": [each.trials for each in done],
        "rounds": [each.rounds for each in done],
        "gain of the luckiest trial, %": [100 * each.luckiest for each in done],
        "gain that was announced, %": [100 * (each.announced or 0.0) for each in announced],
        "intervals that hold the truth, %": [100 * each.covered for each in done],
    }.items():
        print(f"  {name}: {math.fsum(values) / max(1, len(values)):.1f}")


if __name__ == "__main__":
    main()
