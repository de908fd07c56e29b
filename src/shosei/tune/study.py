"""A study: a search and the confirmation of what it found, up to the verdict."""

from __future__ import annotations

import math

from shosei.log import TuneFinalist, TuneVerdict
from shosei.metrics.stats import mean
from shosei.metrics.stats.difference import ALPHA, holm
from shosei.tune.budget import Budget, Purse
from shosei.tune.confirm import Finalist, confirm, detectable, enough, finalists_for
from shosei.tune.gain import Gain, Scale
from shosei.tune.record import Record
from shosei.tune.search import Search, seed_of
from shosei.tune.setting import Candidate, default_of
from shosei.tune.target import Target
from shosei.tune.trial import Subject, TrialResult

_LEAST_SEARCH = 3  # trials: the default and two others
_PLENTY = 2  # rounds that find so small a part of the smallest gain worth having are enough


class Study:
    """One study. The same target, budget, seed and record take the same trials, so that it goes on from its log."""

    def __init__(self, target: Target, subject: Subject, record: Record, budget: Budget, seed: int) -> None:
        self._target, self._subject, self._record, self._seed = target, subject, record, seed
        self._scale = Scale.of(target.objective)
        self._default = default_of(target.space)
        self._purse = Purse(budget, record, subject)
        self._search = Search(target, subject, record, self._purse, seed)

    def run(self, storage: str = "") -> TuneVerdict:
        """Search, confirm, and say what it comes to. ``storage``: an Optuna URL that several machines share.

        Raises MeasurementInvalid where the default never worked.
        """
        if not self._purse.searches(trials=_LEAST_SEARCH):
            return self._verdict("insufficient", "budget")
        self._search.take_default()
        if not self._purse.searches(trials=_LEAST_SEARCH - 1):
            return self._verdict("insufficient", "budget")
        self._search.run(storage, f"{self._target.name} {self._target.hash[:8]}")
        finalists = self._finalists()
        if not finalists:
            return self._verdict("keep", "no_candidate")
        confirm(finalists, self._default, self._rounds(len(finalists)), self._scale, self._seed, self._take)
        return self._judged(finalists)

    def invalid(self) -> TuneVerdict:
        """The verdict where the default never worked."""
        return self._verdict("invalid", "default")

    def _finalists(self) -> list[Finalist]:
        evidence = self._search.evidence
        finalists = evidence.finalists()
        if not finalists:
            return []
        affordable = int(self._purse.left / self._purse.price())
        believed = [finalist.believed for finalist in finalists]
        return finalists[: finalists_for(affordable, believed, evidence.noise(), self._subject.least_rounds)]

    def _rounds(self, finalists: int) -> int:
        """How many rounds there will be: as many as can be paid, and no more than it takes to see a gain."""
        affordable = min(self._purse.rounds(finalists), self._subject.most_rounds)
        least = self._subject.least_rounds
        if (noise := self._search.evidence.noise()) is None:
            return affordable
        enough_to_see = self._target.objective.gain / _PLENTY
        plenty = (rounds for rounds in range(least, affordable) if detectable(noise, rounds, finalists) < enough_to_see)
        return next(plenty, affordable)

    def _take(self, candidate: Candidate, round: int) -> TrialResult | None:
        """A trial of the confirmation; None where the budget is spent."""
        if self._purse.left < self._purse.price():
            return None
        seed = seed_of(self._seed, "confirm", round)
        return self._record.measure(self._subject, candidate, "confirm", seed, round=round)

    def _judged(self, finalists: list[Finalist]) -> TuneVerdict:
        """The verdict of a confirmation: Holm over all finalists, whether or not they were given up."""
        least, family = self._subject.least_rounds, len(finalists)
        tested = [each for each in finalists if not each.given_up and enough(each.pairs, least)]
        gains = [self._scale.confirmed(finalist.pairs, family) for finalist in tested]
        adjusted = holm([gain.p for gain in gains], family)
        known = {id(each): (gain, p) for each, gain, p in zip(tested, gains, adjusted, strict=True)}
        told = [self._told(each, *known.get(id(each), (None, None))) for each in finalists]
        confirmed = [finalist for finalist in told if not finalist.reason]
        if confirmed:
            best = max(confirmed, key=lambda finalist: finalist.gain or 0.0)
            return self._verdict("gain", "", told, best.candidate)
        if any(finalist.reason == "few" for finalist in told):
            return self._verdict("insufficient", "rounds", told)
        return self._verdict("keep", "unconfirmed", told)

    def _told(self, finalist: Finalist, gain: Gain | None, p_adjusted: float | None) -> TuneFinalist:
        pairs = finalist.pairs
        if gain is None:
            return TuneFinalist(
                candidate=finalist.candidate,
                believed=self._scale.shown(finalist.believed),
                rounds=len(pairs),
                reason=finalist.given_up or "few",
            )
        is_worth = gain.value >= self._target.objective.gain
        is_shown = p_adjusted is not None and p_adjusted < ALPHA and gain.value > 0
        before, after = ([side.value or 0.0 for side in sides] for sides in zip(*pairs, strict=True))
        return TuneFinalist(
            candidate=finalist.candidate,
            believed=self._scale.shown(finalist.believed),
            gain=gain.value,
            interval=gain.interval,
            p=gain.p,
            p_adjusted=p_adjusted,
            rounds=gain.n,
            value=mean(after),
            default_value=mean(before),
            detectable=gain.detectable,
            reason="" if is_shown and is_worth else "too_small" if is_shown else "unproven",
        )

    def _verdict(
        self, verdict: str, reason: str, finalists: list[TuneFinalist] | None = None, best: Candidate | None = None
    ) -> TuneVerdict:
        tried, evidence = self._record.tried, self._search.evidence
        is_known = verdict != "invalid" and bool(tried)
        luckiest = evidence.luckiest() if is_known else None
        noise = evidence.noise() if is_known else None
        seconds = math.fsum(each.result.seconds for each in tried)
        saved = self._search.saved_trials
        return TuneVerdict(
            verdict=verdict,
            reason=reason,
            best=best or self._default,
            finalists=finalists or [],
            luckiest=None if luckiest is None else self._scale.shown(luckiest),
            trials=len(tried),
            seconds=seconds,
            saved_trials=saved,
            saved_seconds=saved * seconds / max(1, len(tried)),
            noise=noise,
        )
