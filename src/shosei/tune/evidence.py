"""What the trials of a search say together: of every candidate a gain over the default, smoothed, and the noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shosei.log import TuneTrial
from shosei.metrics.stats import mean
from shosei.tune.confirm import Finalist
from shosei.tune.gain import Scale, spread_within
from shosei.tune.record import Record
from shosei.tune.setting import Candidate, Space, are_alike, candidate_id, default_of
from shosei.tune.surface import Surface
from shosei.tune.trial import Subject

_WORKS = 0.5  # share of trials around a candidate that must have worked


@dataclass(frozen=True, slots=True)
class Evidence:
    """The search's part of a ``record``, as it stands now."""

    record: Record
    subject: Subject
    space: Space
    scale: Scale

    @property
    def tried(self) -> list[TuneTrial]:
        """The trials of the search."""
        return [trial for trial in self.record.tried if trial.stage == "search"]

    @property
    def seen(self) -> list[Candidate]:
        """All candidates, the default among them, in the order of their first trials."""
        return list({candidate_id(trial.candidate): trial.candidate for trial in self.tried}.values())

    def of(self, candidate: Candidate) -> list[TuneTrial]:
        """The trials of a candidate."""
        return [trial for trial in self.tried if trial.candidate == candidate]

    def at(self, rung: int) -> list[TuneTrial]:
        """The last trial of each candidate at a rung."""
        return list({candidate_id(trial.candidate): trial for trial in self.tried if trial.rung == rung}.values())

    def works(self, candidate: Candidate) -> bool:
        """Whether it kept all limits in all trials and, where rungs differ, came to the last one."""
        tried = self.of(candidate)
        is_through = self.subject.repeats or tried[-1].rung == self.subject.rungs - 1
        return is_through and all(trial.is_kept for trial in tried)

    def points(self) -> list[tuple[Candidate, float]]:
        """What the surface is drawn through: every trial or, where rungs differ, each candidate once.

        What failed has no gain, and is none of them; what missed a limit has.
        """
        of_default = self.of(default_of(self.space))
        if self.subject.repeats:
            usual = mean([trial.value for trial in of_default if trial.value is not None])
            each = [(trial.candidate, trial.value) for trial in self.tried]
            return [(candidate, self.scale.gain(value, usual)) for candidate, value in each if value is not None]
        at = {trial.rung: trial for trial in of_default}
        pairs = [(candidate, [(at[trial.rung], trial) for trial in self.of(candidate)]) for candidate in self.seen]
        gains = [(candidate, self.scale.of_pairs(each)) for candidate, each in pairs]
        return [(candidate, gain) for candidate, gain in gains if gain is not None]

    def gain(self, candidate: Candidate) -> float:
        """What a candidate got on average; where it failed, what the worst one got that did not."""
        points = self.points()
        return mean([gain for other, gain in points if other == candidate] or [min(gain for _, gain in points)])

    def surface(self) -> Surface:
        """The smoothed gains."""
        candidates, gains = zip(*self.points(), strict=True)
        return Surface(self.space, candidates, gains)

    def peak(self) -> Candidate:
        """What all trials together say is best, among what they say would work and keep the limits."""
        surface, seen = self.surface(), self.seen
        works = [float(trial.is_kept) for trial in self.tried]
        working = Surface(self.space, [trial.candidate for trial in self.tried], works)
        start = max(zip(surface.gains(seen), map(self.works, seen), seen, strict=True), key=lambda each: each[1::-1])[2]
        return surface.peak(start, default_of(self.space), lambda candidates: working.gains(candidates) > _WORKS)

    def finalists(self) -> list[Finalist]:
        """Who can be confirmed, with the gain that is believed in, best first: each was seen to work."""
        default, seen, chosen = default_of(self.space), self.seen, list[Finalist]()
        of_default, *gains = self.surface().gains([default, *seen])
        for gain, place in sorted(zip(gains, range(len(seen)), strict=True), reverse=True):
            candidate = seen[place]
            is_new = not any(are_alike(self.space, candidate, other.candidate) for other in chosen)
            if gain > of_default and is_new and candidate != default and self.works(candidate):
                chosen.append(Finalist(candidate, float(gain - of_default)))
        return chosen

    def noise(self) -> float | None:
        """Standard deviation between measurements of one candidate; None where none was repeated.

        The larger one of what repeated candidates show and what the surface leaves: neither rests on many trials.
        """
        points, groups = self.points(), dict[str, list[float]]()
        for candidate, gain in points:
            groups.setdefault(candidate_id(candidate), []).append(gain)
        if (within := spread_within(list(groups.values()))) is None:
            return None
        smooth = self.surface().gains([candidate for candidate, _ in points])
        left = [gain - of_surface for (_, gain), of_surface in zip(points, smooth, strict=True)]
        return max(within, math.sqrt(mean([each**2 for each in left])))

    def luckiest(self) -> float | None:
        """The gain of the best single trial: what a search that believes it would announce."""
        default = default_of(self.space)
        gains = [gain for candidate, gain in self.points() if candidate != default and self.works(candidate)]
        return max(gains, default=None)
