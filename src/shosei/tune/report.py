"""What a search came to, as a pure function of its log, before anybody puts it into words of one language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shosei.card.excerpt import one_line
from shosei.card.words import named, texts
from shosei.errors import InputError
from shosei.log import Log, TuneBegin, TuneFinalist, TuneTrial, TuneVerdict
from shosei.metrics.metric import Text, Words, text
from shosei.metrics.stats import Interval, mean
from shosei.quantity import number
from shosei.text_files import printable
from shosei.tune.gain import Scale
from shosei.tune.importance import Importance, importances
from shosei.tune.record import verdict_in
from shosei.tune.setting import Candidate, Setting, Space, candidate_id
from shosei.tune.target import Objective

_LONGEST = 40  # cells of a value's text


@dataclass(frozen=True, slots=True)
class Point:
    """What a trial, or all of a candidate, gained over the default in the objective's figure and in the second one."""

    trial: TuneTrial
    gain: float | None
    second: float | None


@dataclass(frozen=True)
class Report:
    """``trials`` in the order of their numbers. ``commands`` use the confirmed candidate."""

    run: str
    begin: TuneBegin
    trials: Sequence[TuneTrial]
    verdict: TuneVerdict | None
    commands: Sequence[str] = ()

    @classmethod
    def of(cls, log: Log, run: str, commands: Sequence[str] = ()) -> Report:
        """Of the search in ``log``. Raises InputError where there is none."""
        begins = log.of(TuneBegin)
        if not begins:
            raise InputError(f"no search is recorded in {run}: 'shosei tune' records one")
        trials = {trial.number: trial for trial in log.of(TuneTrial)}
        numbered = [trials[number] for number in sorted(trials)]
        verdict = verdict_in(log)
        lines = [printable(command) for command in commands] if verdict and verdict.verdict == "gain" else []
        return cls(printable(run), begins[-1], numbered, verdict, lines)

    @property
    def word(self) -> str:
        """The verdict; ``open`` while there is none."""
        return self.verdict.verdict if self.verdict else "open"

    @property
    def finalists(self) -> Sequence[TuneFinalist]:
        """Those that were held against the default."""
        return self.verdict.finalists if self.verdict else []

    @property
    def best(self) -> TuneFinalist | None:
        """The confirmed finalist; where none is, the one that gained most."""
        tested = [finalist for finalist in self.finalists if finalist.gain is not None]
        confirmed = [finalist for finalist in tested if not finalist.reason]
        return max(confirmed or tested, key=lambda finalist: finalist.gain or 0.0, default=None)

    @property
    def first(self) -> TuneFinalist | None:
        """The finalist that the search believed in most, which is not chosen by the confirmation."""
        return self.finalists[0] if self.finalists else None

    @property
    def failed(self) -> int:
        """How many trials measured nothing."""
        return sum(trial.state == "failed" for trial in self.trials)

    @property
    def unit(self) -> str:
        """Of the objective's figure."""
        return next((trial.unit for trial in self.trials if trial.unit), "")

    @cached_property
    def space(self) -> Space:
        """The settings that may change."""
        return {name: Setting(**fields) for name, fields in self.begin.space.items()}

    @property
    def is_second_relative(self) -> bool:
        """Whether gains in the second figure are ratios."""
        figure, phase = self.begin.second_figure or self.begin.figure, self.begin.of_phase
        return Objective.model_validate({"figure": figure, "phase": phase}).is_relative

    @cached_property
    def points(self) -> list[Point]:
        """Every trial against the default as it was measured alike: at the same rung, or in the same round."""
        begin = self.begin
        gains = self._gains(
            {trial.number: trial.value for trial in self.trials},
            Scale(begin.direction == "higher", begin.relative),
        )
        seconds = self._gains(
            {trial.number: trial.figures.get(begin.second_figure) for trial in self.trials},
            Scale(begin.second_direction == "higher", self.is_second_relative),
        )
        return [Point(trial, gains.get(trial.number), seconds.get(trial.number)) for trial in self.trials]

    @cached_property
    def candidates(self) -> list[Point]:
        """Every candidate with both gains: their means over its confirmation, or else over its search."""
        of_candidate: dict[str, list[Point]] = defaultdict(list)
        for point in self.points:
            if point.gain is not None and point.second is not None:
                of_candidate[candidate_id(point.trial.candidate)].append(point)
        return [_together(points) for points in of_candidate.values()]

    @cached_property
    def importances(self) -> list[Importance]:
        """Of the settings, over all trials of the search that measured the objective."""
        points = [(point.trial.candidate, point.gain) for point in self.points if point.trial.stage == "search"]
        gains = [(candidate, gain) for candidate, gain in points if gain is not None]
        return importances(self.space, [candidate for candidate, _ in gains], [gain for _, gain in gains])

    def place(self, candidate: Candidate) -> int:
        """Which of the finalists it is, from 1; 0 for none."""
        places = (place for place, finalist in enumerate(self.finalists, 1) if finalist.candidate == candidate)
        return next(places, 0)

    def changes(self, candidate: Candidate) -> Words:
        """A candidate by the settings that it changes."""
        changed = [name for name, value in candidate.items() if value != self.begin.default.get(name)]
        return ", ".join(f"{name} = {self.value(candidate, name)}" for name in changed) or text("tune.default")

    def value(self, candidate: Mapping[str, object], name: str, longest: int = _LONGEST) -> str:
        """What a setting is in a candidate, on a line; of a file its name, of a text its number and its words."""
        value, setting = candidate.get(name, "–"), self.space.get(name)
        if isinstance(value, float):
            return f"{value:.4g}"
        words = Path(str(value)).name if setting and setting.type == "file" else str(value)
        line = one_line(words, longest) or '""'
        if setting and setting.type == "text" and value in setting.choices:
            return f"[{setting.choices.index(value) + 1}] {line}"
        return line

    def gained(self, gain: float | None, ci: Interval | None = None) -> Words:
        """A gain with its sign, in percent of the default, or of shares in points."""
        if gain is None:
            return "–"
        low, high = ci or (None, None)
        interval = "" if low is None or high is None else f"[{_percent(low)}, {_percent(high)}]"
        return self.percent(("+" if gain > 0 else "") + _percent(gain), interval)

    def percent(self, number: str, interval: str = "", *, relative: bool | None = None) -> Text:
        """``number``, with its interval if it has one, in percent of the default, or of shares in points."""
        key = "tune.percent" if (self.begin.relative if relative is None else relative) else "tune.points"
        return text(key, gain=number, interval=interval and f" {interval}")

    def _gains(self, values: Mapping[int, float | None], scale: Scale) -> dict[int, float]:
        """Number of a trial -> gain, of those whose value and default are known."""
        defaults: dict[tuple[str, int], list[float]] = defaultdict(list)
        for trial in self.trials:
            if trial.candidate == self.begin.default and (value := values[trial.number]) is not None:
                defaults[self._alike(trial)].append(value)
        gains = {}
        for trial in self.trials:
            default = defaults.get(self._alike(trial))
            if (value := values[trial.number]) is not None and default:
                gains[trial.number] = scale.shown(scale.gain(value, mean(default)))
        return gains

    def _alike(self, trial: TuneTrial) -> tuple[str, int]:
        """What trials share that are measured alike. A server is, at every rung."""
        if trial.stage == "confirm":
            return trial.stage, trial.round
        return trial.stage, 0 if self.begin.subject == "serve" else trial.rung


def figure_name(figure: str) -> Words:
    """METRIC or METRIC.FIGURE in the card's words."""
    id, _, part = figure.partition(".")
    metric: Words = text(f"{id}.name") if f"{id}.name" in texts("en") else id
    return text("clause.figure", metric=metric, figure=named("figure_name", part)) if part else metric


def _percent(gain: float) -> str:
    return number(100 * gain, 1 if abs(gain) < 1 else 0)


def _together(points: Sequence[Point]) -> Point:
    """A candidate's points as one."""
    counted = [point for point in points if point.trial.stage == "confirm"] or points
    missed = [point for point in counted if not point.trial.is_kept]
    gains, seconds = [point.gain or 0.0 for point in counted], [point.second or 0.0 for point in counted]
    return Point((missed or counted)[-1].trial, mean(gains), mean(seconds))
