"""What a search for better settings tells of itself: what was said before it began, its trials, its verdict."""

from __future__ import annotations

from typing import Any

import msgspec

from shosei.log.event import Event, Int64


class TuneBegin(Event, tag="tune.begin"):
    """What is sought, said before the first trial; and again where a search goes on under a larger budget."""

    subject: str  # serve | train | agent
    target: str  # its name
    target_hash: str  # SHA-256 of all that is said here, and of the profile's load
    figure: str  # what is to become better: METRIC or METRIC.FIGURE
    of_phase: str  # training | inference: of the figure
    direction: str  # higher | lower
    relative: bool  # gains are ratios less 1; else differences
    gain: float  # the smallest one worth having
    budget: str  # as it was written: 60trials | 30m
    seed: Int64
    default: dict[str, Any]  # setting -> value
    space: dict[str, dict[str, Any]]  # setting -> its fields, as in the target's file
    profile: str = ""
    limits: dict[str, dict[str, float]] = {}  # METRIC.FIGURE -> min, max
    second_figure: str = ""  # the other axis of the trade-off
    second_direction: str = ""
    settings: dict[str, Any] = {}  # the target's table [serve], [train] or [agent]


class TuneTrialBegin(Event, tag="tune.trial.begin"):
    """A trial began. Without a ``tune.trial`` of its number it was broken off, and counts for nothing."""

    number: Int64  # from 1; one that was broken off is begun again under its number
    candidate: dict[str, Any]  # setting -> value
    stage: str  # search | confirm
    round: Int64  # confirm: from 1, of default and finalists in turn; search: 0
    rung: Int64  # search: how far a challenger has come in its race, from 0
    seed: Int64
    folder: str  # below the search's folder


class TuneTrial(TuneTrialBegin, tag="tune.trial"):
    """A trial ended: what it was, as in its begin, and what came of it."""

    state: str  # done | failed (it crashed, was not ready, or measured nothing)
    seconds: float
    value: float | None = None  # of the objective's figure
    unit: str = ""  # of the value
    figures: dict[str, float] = {}  # others, such as the second one
    units: dict[str, float] = {}  # of tasks: what each adds to the value, by its key; the same keys are paired
    limits: dict[str, str] = {}  # METRIC.FIGURE -> pass | missed | unknown
    reason: str = ""  # why it failed, in English
    why: dict[str, Any] = {}  # the same by its key and values, where the words are the card's: in every language

    @property
    def is_kept(self) -> bool:
        """Whether it measured the objective and missed no limit."""
        return self.value is not None and "missed" not in self.limits.values()


class TuneFinalist(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A candidate that was held against the default on fresh seeds. Gains are signed so that more is better.

    ``believed`` is what the search makes of all its trials, ``gain`` what fresh measurements say, with an ``interval``
    that holds for all finalists together with 95 % confidence.
    """

    candidate: dict[str, Any]
    believed: float | None = None
    gain: float | None = None
    interval: tuple[float | None, float | None] = (None, None)
    p: float | None = None
    p_adjusted: float | None = None  # Holm, over all finalists
    rounds: int = 0  # pairs, or tasks, that the test rests on
    value: float | None = None  # mean over its rounds
    default_value: float | None = None  # of the default in the same rounds
    detectable: float | None = None  # the smallest gain that so many rounds find with 80 % power
    reason: str = ""  # why it is no gain: failed | limits | futile (given up early) | unproven | too_small | few


class TuneVerdict(Event, tag="tune.verdict"):
    """What the search comes to."""

    verdict: str  # gain | keep | insufficient | invalid
    best: dict[str, Any]  # the confirmed candidate; the default where nothing was confirmed
    finalists: list[TuneFinalist]
    reason: str = ""  # keep: no_candidate | unconfirmed; insufficient: budget | no_candidate | rounds; invalid: default
    least_budget: str = ""  # of insufficient, for the budget: the smallest one that would pay for a confirmation
    budgets: Int64 = 1  # how many were said by then; a larger one opens the search again
    luckiest: float | None = None  # gain of the best single trial, which another tuner would have announced
    trials: Int64 = 0
    seconds: float = 0.0
    saved_trials: Int64 = 0  # that races which ended early did not run
    saved_seconds: float = 0.0
    noise: float | None = None  # standard deviation between measurements of one candidate: of a ratio, or absolute
