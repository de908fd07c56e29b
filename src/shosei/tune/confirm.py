"""The confirmation: a few finalists against the default, on fresh seeds, in rounds that were planned beforehand."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from scipy import special

from shosei.log import TuneFinalist, TuneTrial
from shosei.metrics.stats import MIN_CLUSTERS, mean, variance
from shosei.metrics.stats.difference import ALPHA, POWER, holm, quantile
from shosei.tune.gain import Pair, Scale
from shosei.tune.setting import Candidate

MOST_FINALISTS = 3
_HOPELESS = 0.02  # chance of coming to a gain, if what was believed were true, below which a finalist is given up
_MISSES = 1  # rounds more than the default in which a finalist may miss a limit


@dataclass(slots=True)
class Finalist:
    """A candidate in the confirmation, with the gain that the search believed in, on the search's scale."""

    candidate: Candidate
    believed: float
    pairs: list[Pair] = field(default_factory=list)
    missed: int = 0  # rounds in which it missed a limit, less those in which the default did
    given_up: str = ""  # why: failed | limits | futile

    def add(self, default: TuneTrial, trial: TuneTrial) -> None:
        """One round more."""
        if trial.value is None:
            self.given_up = "failed"
            return
        self.missed += default.is_kept - trial.is_kept
        if self.missed > _MISSES:
            self.given_up = "limits"
        self.pairs.append((default, trial))


def detectable(noise: float, rounds: int, family: int) -> float:
    """The gain, on the search's scale, that so many rounds find with 80 % power."""
    freedom = max(1, rounds - 1)
    return (quantile(freedom, 1 - ALPHA / 2 / family) + quantile(freedom, POWER)) * noise * math.sqrt(2 / rounds)


def finalists_for(trials: int, believed: Sequence[float], noise: float | None, least_rounds: int) -> int:
    """How many of the best may stand: each one more takes rounds from all, and must be worth it."""
    count = 1
    while count < min(MOST_FINALISTS, len(believed)) and noise is not None:
        rounds = trials // (count + 2)
        if rounds < least_rounds or detectable(noise, rounds, count + 1) > believed[count] / 2:
            break
        count += 1
    return count


def confirm(
    finalists: Sequence[Finalist],
    default: Candidate,
    rounds: int,
    scale: Scale,
    seed: int,
    measure: Callable[[Candidate, int], TuneTrial | None],
) -> None:
    """Take ``rounds``, in each the default and every finalist once, in random order; ``measure`` has no time: None.

    How many there are is settled before the first: a test that may be repeated until it succeeds proves nothing. A
    finalist is given up early where it cannot come to a gain any more, which announces none.
    """
    order = random.Random(seed)
    for round in range(1, rounds + 1):
        standing = [finalist for finalist in finalists if not finalist.given_up]
        if not standing:
            return
        trials: list[TuneTrial] = []
        for candidate in order.sample([default, *(finalist.candidate for finalist in standing)], len(standing) + 1):
            if (trial := measure(candidate, round)) is None:
                return
            trials.append(trial)
        of_default = next(trial for trial in trials if trial.candidate == default)
        if of_default.value is None:
            continue
        for finalist in standing:
            finalist.add(of_default, next(trial for trial in trials if trial.candidate == finalist.candidate))
            if not finalist.given_up and is_futile(finalist, scale, rounds, len(finalists)):
                finalist.given_up = "futile"


def is_futile(finalist: Finalist, scale: Scale, rounds: int, family: int) -> bool:
    """Whether the rest, were it as good as was believed, would hardly make a gain of it (conditional power)."""
    gains = [gain for pair in finalist.pairs if (gain := scale.of_pairs([pair])) is not None]
    left = rounds - len(gains)
    if len(gains) < 3 or left <= 0 or finalist.pairs[0][0].units:
        return False
    spread = math.sqrt(variance(gains))
    needed = quantile(rounds - 1, 1 - ALPHA / 2 / family) * spread / math.sqrt(rounds)
    rest = (needed * rounds - math.fsum(gains)) / left
    if spread == 0:
        return rest > finalist.believed
    return bool(special.ndtr((finalist.believed - rest) / (spread / math.sqrt(left))) < _HOPELESS)


def enough(pairs: Sequence[Pair], least_rounds: int) -> bool:
    """Whether there are rounds, and tasks, enough for a test."""
    units = set.union(set(), *(before.units.keys() & after.units.keys() for before, after in pairs))
    return len(pairs) >= least_rounds and (len(units) >= MIN_CLUSTERS if units else len(pairs) > 1)


def judged(finalists: Sequence[Finalist], scale: Scale, least_gain: float, least_rounds: int) -> list[TuneFinalist]:
    """What each comes to, without a ``reason`` where it is a gain: Holm over all, whether or not they were given up."""
    family = len(finalists)
    tested = [each for each in finalists if not each.given_up and enough(each.pairs, least_rounds)]
    gains = {id(each): scale.confirmed(each.pairs, family) for each in tested}
    adjusted = dict(zip(gains, holm([gain.p for gain in gains.values()], family), strict=True))
    told = []
    for finalist in finalists:
        facts: dict[str, Any] = {"candidate": finalist.candidate, "believed": scale.shown(finalist.believed)}
        if gain := gains.get(id(finalist)):
            p, is_worth = adjusted[id(finalist)], gain.value >= least_gain
            is_shown = p < ALPHA and gain.value > 0
            before, after = (mean([side.value or 0.0 for side in sides]) for sides in zip(*finalist.pairs, strict=True))
            facts |= {"gain": gain.value, "interval": gain.interval, "p": gain.p, "p_adjusted": p, "rounds": gain.n}
            facts |= {"value": after, "default_value": before, "detectable": gain.detectable}
            facts["reason"] = "" if is_shown and is_worth else "too_small" if is_shown else "unproven"
        else:
            facts |= {"rounds": len(finalist.pairs), "reason": finalist.given_up or "few"}
        told.append(TuneFinalist(**facts))
    return told
