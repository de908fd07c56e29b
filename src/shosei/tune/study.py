"""A study: a search and the confirmation of what it found, up to the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shosei.log import TuneFinalist, TuneTrial, TuneVerdict
from shosei.tune.budget import SEARCH_SHARE, Budget, Purse
from shosei.tune.confirm import Finalist, confirm, detectable, finalists_for, judged
from shosei.tune.record import Record
from shosei.tune.search import Search, seed_of
from shosei.tune.setting import Candidate, default_of
from shosei.tune.target import Target
from shosei.tune.trial import Subject

_LEAST_SEARCH = 3  # trials: the default and two others
_MORE = 0.2  # of the budget, that it goes on searching with where nobody looks better: there is nobody to confirm
_PLENTY = 2  # rounds that find so small a part of the smallest gain worth having are enough


class Study:
    """One study. The same target, budget, seed and record take the same trials, so that it goes on from its log."""

    def __init__(self, target: Target, subject: Subject, record: Record, budget: Budget, seed: int) -> None:
        self._target, self._subject, self._record, self._seed = target, subject, record, seed
        self._default = default_of(target.space)
        self._purse, self._budgets = Purse(budget, record, subject), 1
        self._search = Search(target, subject, record, self._purse, seed)

    def run(self, earlier: Sequence[Budget] = (), storage: str = "", name: str = "") -> TuneVerdict:
        """Search, confirm, and say what it comes to. Machines share a ``storage``, an Optuna URL, under one ``name``.

        ``earlier``: smaller budgets, under which it searched before this one was said. Raises MeasurementInvalid where
        the default never worked.
        """
        self._budgets, has_searched = len(earlier) + 1, False
        for budget in (*earlier, self._purse.budget):
            self._purse.budget, self._purse.share = budget, SEARCH_SHARE
            if not self._record.tried and self._purse.searches(trials=_LEAST_SEARCH):
                self._search.take_default()
            while self._record.tried and self._purse.searches(trials=_LEAST_SEARCH - 1):
                self._search.run(storage, name)
                has_searched = True
                if self._purse.share >= 1 or self._finalists():
                    break
                self._purse.share += _MORE
        if not has_searched:
            return self._verdict("insufficient", "budget")
        finalists = self._finalists()
        if not finalists:
            is_spent = not self._purse.searches(trials=_LEAST_SEARCH - 1)  # else there was nothing more to try
            is_little = is_spent and self._purse.left > self._purse.budget.total / 2
            return self._verdict("insufficient" if is_little else "keep", "no_candidate")
        objective = self._target.objective
        confirm(finalists, self._default, self._rounds(len(finalists)), objective.scale, self._seed, self._take)
        told = judged(finalists, objective.scale, objective.gain, self._subject.least_rounds)
        if confirmed := [finalist for finalist in told if not finalist.reason]:
            best = max(confirmed, key=lambda finalist: finalist.gain or 0.0)
            return self._verdict("gain", "", told, best.candidate)
        if any(finalist.reason == "few" for finalist in told):
            return self._verdict("insufficient", "rounds", told)
        return self._verdict("keep", "unconfirmed", told)

    def invalid(self) -> TuneVerdict:
        """The verdict where the default never worked."""
        return self._verdict("invalid", "default")

    def _finalists(self) -> list[Finalist]:
        finalists, noise = self._search.evidence.finalists(), self._search.evidence.noise()
        affordable = int(self._purse.left / self._purse.price())
        believed = [finalist.believed for finalist in finalists]
        return finalists[: finalists_for(affordable, believed, noise, self._subject.least_rounds)]

    def _rounds(self, finalists: int) -> int:
        """How many rounds there will be: as many as can be paid, and no more than it takes to see a gain."""
        affordable = min(self._purse.rounds(finalists), self._subject.most_rounds)
        if (noise := self._search.evidence.noise()) is None:
            return affordable
        enough_to_see = self._target.objective.gain / _PLENTY
        for rounds in range(self._subject.least_rounds, affordable):
            if detectable(noise, rounds, finalists) < enough_to_see:
                return rounds
        return affordable

    def _take(self, candidate: Candidate, round: int) -> TuneTrial | None:
        """A trial of the confirmation; None where the budget is spent."""
        if self._purse.left < self._purse.price():
            return None
        seed = seed_of(self._seed, "confirm", round)
        return self._record.measure(self._subject, candidate, "confirm", seed, round=round)

    def _verdict(
        self, verdict: str, reason: str, finalists: list[TuneFinalist] | None = None, best: Candidate | None = None
    ) -> TuneVerdict:
        tried, evidence = self._record.tried, self._search.evidence
        is_known = verdict != "invalid" and bool(tried)
        luckiest = evidence.luckiest() if is_known else None
        seconds, saved = math.fsum(trial.seconds for trial in tried), self._search.saved_trials
        return TuneVerdict(
            verdict=verdict,
            reason=reason,
            best=best or self._default,
            finalists=finalists or [],
            budgets=self._budgets,
            luckiest=None if luckiest is None else evidence.scale.shown(luckiest),
            trials=len(tried),
            seconds=seconds,
            saved_trials=saved,
            saved_seconds=saved * seconds / max(1, len(tried)),
            noise=evidence.noise() if is_known else None,
            least_budget=self._purse.least(_LEAST_SEARCH - 1) if reason == "budget" else "",
        )
