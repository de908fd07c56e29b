"""The search: the default, an even spread of candidates, races of what TPE proposes, a look at what seems best."""

from __future__ import annotations

import hashlib

from shosei.errors import MeasurementInvalid
from shosei.log import TuneTrial
from shosei.tune.budget import Purse
from shosei.tune.evidence import Evidence
from shosei.tune.gain import Pair
from shosei.tune.proposer import Proposer
from shosei.tune.record import Record
from shosei.tune.setting import Candidate, default_of
from shosei.tune.target import Target
from shosei.tune.trial import Subject

_DEFAULTS = 3  # trials of the default, spread over a search that measures anew: the noise, and what drifts
_DESIGN_SHARE = 0.6  # of the candidates: spread evenly; the others race
_LEAST_DESIGN = 18  # candidates that are spread evenly in any case: with fewer, TPE takes noise for gains
_PROOFS = 3  # trials at its end, of what all trials together say is best: nobody is a finalist who was never seen
_IDLE = 30  # proposals in a row of what is known: there is nothing else
_TRIES = 3  # of the default, until it works


class Search:
    """The search's trials, each paid from ``purse``, and who has the first place in its races."""

    def __init__(self, target: Target, subject: Subject, record: Record, purse: Purse, seed: int) -> None:
        self.evidence = Evidence(record, subject, target.space, target.objective.scale)
        self.saved_trials = 0  # that races did not run
        self._proofs = _PROOFS
        self._proposer: Proposer | None = None
        self._subject, self._record, self._purse, self._seed = subject, record, purse, seed
        self._default = self._incumbent = default_of(target.space)

    def take_default(self) -> None:
        """Measure the default: once or, where that stays true, at each rung.

        Raises MeasurementInvalid where it never worked.
        """
        for rung in range(1 if self._subject.repeats else self._subject.rungs):
            for _ in range(_TRIES):
                if (trial := self._measure(self._default, rung)).value is not None:
                    break
            else:
                raise MeasurementInvalid(f"not one of {_TRIES} trials of the default worked: {trial.reason}")

    def run(self, storage: str = "", name: str = "") -> None:
        """Try candidates until the search's part of the budget is spent. Machines of one ``storage`` share ``name``.

        Again, where there is a larger budget since: it goes on from what it knows.
        """
        affordable = int(self._purse.for_search / self._purse.price("search"))
        self._proofs = min(_PROOFS, affordable // 4)
        others = max(1, affordable - _DEFAULTS - self._proofs)
        design = max(round(_DESIGN_SHARE * others), min(others, _LEAST_DESIGN))
        self._proposer = proposer = self._proposer or Proposer(self.evidence.space, self._seed, storage, name)
        proposer.spread(design)
        count = idle = 0
        while idle < _IDLE and (self._is_replayed() or self._purse.searches(trials=1 + self._proofs)):
            is_due = self._subject.repeats and count in {design // 2, design} - {0}
            if is_due and self._purse.searches(trials=2 + self._proofs):
                self._measure(self._default)
            candidate = proposer.propose(self._record.logged)
            idle = idle + 1 if self._is_known(candidate) else 0
            if not idle:
                self._enter(candidate, is_screened=count < design)
            proposer.tell(candidate, self.evidence.gain(candidate), self.evidence.of(candidate)[-1].limits)
            count += 1
        for _ in range(self._proofs):
            if self._purse.searches():
                self._prove()

    def _is_replayed(self, candidate: Candidate | None = None) -> bool:
        """Whether the log has the next trial of a search whose measurements stay true; if so of ``candidate``.

        Then it was paid. Proposals of what is known left no trials, so that the purse alone would not tell when.
        """
        is_of = candidate is None or candidate == self._record.logged
        return not self._subject.repeats and self._record.is_searching and is_of

    def _is_known(self, candidate: Candidate) -> bool:
        """Whether it would be measured just as it was."""
        return not self._subject.repeats and candidate in self.evidence.seen

    def _measure(self, candidate: Candidate, rung: int = 0) -> TuneTrial:
        """A trial on a seed of its own or, where what was measured stays true, on its rung's."""
        place = ("trial", len(self._record.tried)) if self._subject.repeats else ("rung", rung)
        return self._record.measure(self._subject, candidate, "search", seed_of(self._seed, *place), rung=rung)

    def _enter(self, challenger: Candidate, *, is_screened: bool) -> None:
        """Measure a challenger; let it race the incumbent, but for those that are only ``is_screened``."""
        if not self._subject.repeats:
            self._climb(challenger)
            return
        self._measure(challenger)
        if is_screened or challenger == self._incumbent:
            return
        of_incumbent, of_challenger = self.evidence.surface().gains([self._incumbent, challenger])
        if self.evidence.works(challenger) and of_challenger > of_incumbent:
            self._take_turns(challenger)
        else:
            self.saved_trials += 2 * (self._subject.rungs - 1)

    def _take_turns(self, challenger: Candidate) -> None:
        """Challenger and incumbent by turns, each pair on one seed, until the challenger is behind or has the place."""
        pairs: list[Pair] = []
        for rung in range(1, self._subject.rungs):
            if not self._purse.searches(trials=2 + self._proofs):
                return
            seed = seed_of(self._seed, "turn", len(self._record.tried))
            turns = [self._incumbent, challenger] if rung % 2 else [challenger, self._incumbent]
            trials = [self._record.measure(self._subject, each, "search", seed, rung=rung) for each in turns]
            before, after = trials if rung % 2 else reversed(trials)
            pairs.append((before, after))
            if self.evidence.scale.is_behind(pairs, self.evidence.noise()):
                self.saved_trials += 2 * (self._subject.rungs - 1 - rung)
                return
        self._incumbent = challenger

    def _climb(self, challenger: Candidate) -> None:
        """A challenger up the rungs, as long as it is not behind what the incumbent got there."""
        pairs: list[Pair] = []
        scale = self.evidence.scale
        for rung in range(self._subject.rungs):
            if not (self._purse.searches(rung) or self._is_replayed(challenger)):
                return
            others = self.evidence.at(rung)
            trial = self._measure(challenger, rung)
            pairs.append((next(each for each in others if each.candidate == self._incumbent), trial))
            if scale.is_behind(pairs, None) if trial.units else scale.is_left_behind(trial, others):
                self.saved_trials += self._subject.rungs - 1 - rung
                return
        if (scale.of_pairs(pairs) or 0) > 0:
            self._incumbent = challenger

    def _prove(self) -> None:
        """Measure what all trials together say is best; where what was measured stays true, unless it is known."""
        peak = self._record.logged or self.evidence.peak()
        if self._subject.repeats:
            self._measure(peak)
        elif peak not in self.evidence.seen:
            self._climb(peak)


def seed_of(seed: int, stage: str, number: int) -> int:
    """A seed for one use, from the search's: no stage shares one with another."""
    return int.from_bytes(hashlib.sha256(f"{seed} {stage} {number}".encode()).digest()[:4], "big") >> 1
