"""Two sides compared, cell by cell: which is better, how sure that is, and what it comes to."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from shosei.compare.answers import ChangedAnswers, changed_answers
from shosei.compare.sides import NamedAttempts, Side, differences, incomparable
from shosei.errors import EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_OK, EXIT_REGRESSION
from shosei.metrics.metric import CELL_KEYS, COST_KEYS, PHASES, CellKey, Metric, Phase, Words, text
from shosei.metrics.prices import Prices
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.stats import MIN_CLUSTERS, Interval, mean
from shosei.metrics.stats.difference import (
    ALPHA,
    SHARE_MARGIN,
    Difference,
    Verdict,
    decide,
    family_size,
    holm,
    independent_samples,
    is_exact,
    least_agreeing,
    paired_t_test,
    paired_tasks,
)
from shosei.metrics.stats.observations import Observation, Observations
from shosei.profile.profile import Profile

MIN_PAIRS = 5  # of turns
RELATIVE_MARGIN = 0.05

_ONE_RUN, _NONE_SEEN = text("compare.one_run"), text("compare.none_seen")
_UNDECIDABLE = (_ONE_RUN, _NONE_SEEN)  # by single runs, however well they were measured
_SHARES = ("", "per start")  # what shares are told in: their margins are absolute

Tested = tuple[Difference, list[Words]]  # with what to know of it


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of two sides. ``difference`` is b less a or, with ``relative``, b over a less 1; so is ``margin``.

    ``ci`` is its 95 % interval, for this cell alone; ``p_adjusted`` is corrected for all cells that were asked for or,
    of a cell that was not, for all that were tested. ``detectable`` would have been found with 80 % power. ``n`` counts
    what the test rests on.
    """

    id: str
    phase: Phase
    unit: str
    direction: str
    verdict: Verdict
    reason: Words = ""
    a: float | None = None
    b: float | None = None
    difference: float | None = None
    ci: Interval = (None, None)
    relative: bool = False
    n: int = 0
    p: float | None = None
    p_adjusted: float | None = None
    detectable: float | None = None
    margin: float | None = None
    method: Words = ""
    notes: Sequence[Words] = ()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All cells of ``a``, the baseline, and ``b``, the candidate. ``pairs`` counts pairs of turns; 0: one run each.

    ``family``: for how many comparisons the p values of the cells that were asked for are corrected. ``same_log``: both
    sides are one log, by its digest, so that they say nothing of a difference.
    """

    schema: int = 1
    a: str
    b: str
    pairs: int
    alpha: float
    family: int
    cells: list[Compared]
    same_log: bool = False
    warnings: Sequence[Words] = ()
    answers: ChangedAnswers | msgspec.UnsetType = msgspec.UNSET  # where both sides were asked the same tasks


@dataclass(frozen=True, slots=True)
class Decision:
    """A comparison with the ``cells`` that decide. ``left_out``: single runs cannot decide them, and nobody asked.

    ``asked_by``: who named what decides.
    """

    comparison: Comparison
    cells: list[Compared]
    left_out: list[Compared]
    asked_by: Literal["metric", "profile", "nobody"] = "nobody"

    @classmethod
    def of(cls, comparison: Comparison, metrics: Collection[str] = (), profile: Profile | None = None) -> Decision:
        """Let ``metrics`` decide, else what the profile requires, else all that the two sides can decide.

        A metric that is named counts in the phases that both sides have; in both where it cannot be compared at all.
        """
        compared = [cell for cell in comparison.cells if cell.verdict != "not_compared"]
        if metrics:
            ids = {cell.id for cell in compared}
            asked = [cell for cell in comparison.cells if cell.id in metrics]
            return cls(comparison, [cell for cell in asked if cell in compared or cell.id not in ids], [], "metric")
        if profile and (required := asked_for((), profile)):
            cells = [cell for cell in comparison.cells if (cell.id, cell.phase) in required]
            return cls(comparison, cells, [], "profile")
        left_out = [cell for cell in compared if not comparison.pairs and cell.reason in _UNDECIDABLE]
        return cls(comparison, [cell for cell in compared if cell not in left_out], left_out)

    @property
    def exit_code(self) -> int:
        """3 if a cell is worse; else 5 if one is invalid, 4 if one is not decided or there is none; else 0.

        4 also where both sides are the same log: they would be equal whatever the candidate is.
        """
        verdicts = {cell.verdict for cell in self.cells}
        if "worse" in verdicts:
            return EXIT_REGRESSION
        if "invalid" in verdicts:
            return EXIT_INVALID
        is_undecided = self.comparison.same_log or not verdicts or verdicts & {"inconclusive", "not_compared"}
        return EXIT_INCONCLUSIVE if is_undecided else EXIT_OK


def asked_for(metrics: Collection[str], profile: Profile | None) -> set[CellKey]:
    """The cells that somebody named before looking: those of ``metrics``, else what the profile requires."""
    if metrics:
        return {key for key in (*CELL_KEYS, *COST_KEYS) if key[0] in metrics}
    if not profile:
        return set()
    priced = COST_KEYS if profile.prices else []
    return {
        (key if (key, phase) in priced else key.partition(".")[0], phase)
        for phase in PHASES
        for key, requirement in profile.requirements(phase).items()
        if requirement.required
    }


def margins(profile: Profile) -> dict[CellKey, float]:
    """The margins that a profile sets for metrics' own values, and for costs."""
    requirements = {(id, phase): profile.requirements(phase).get(id) for id, phase in (*CELL_KEYS, *COST_KEYS)}
    return {key: asked.margin for key, asked in requirements.items() if asked and asked.margin}


def compare_logs(
    a: NamedAttempts,
    b: NamedAttempts,
    service_level: ServiceLevel,
    margins: Mapping[CellKey, float],
    *,
    by_turns: bool,
    asked: Collection[CellKey] = (),
    prices: Prices | None = None,
    answers: bool = True,
) -> Comparison:
    """Compare two sides by their logs: one attempt each or, ``by_turns``, as many, of which the k-th are a pair.

    With ``prices`` what tasks cost in money is compared too; ``answers``: also the answers that changed.
    """
    before, after = a[1][0], b[1][0]  # the conditions do not change from turn to turn
    comparison = compare(
        Side.of(a, service_level, prices),
        Side.of(b, service_level, prices),
        by_turns=by_turns,
        margins=margins,
        incomparable=incomparable(before, after),
        asked=asked,
    )
    same_log = before.digest == after.digest != ""
    changed = changed_answers(a[1], b[1]) if answers else msgspec.UNSET
    return msgspec.structs.replace(comparison, warnings=differences(before, after), same_log=same_log, answers=changed)


class _Untested(Exception):
    """A cell cannot be tested."""

    def __init__(self, verdict: Verdict, reason: Words) -> None:
        super().__init__(str(reason))
        self.verdict, self.reason = verdict, reason


def compare(
    a: Side,
    b: Side,
    *,
    by_turns: bool = False,
    margins: Mapping[CellKey, float] = {},
    incomparable: Mapping[CellKey, Words] = {},
    asked: Collection[CellKey] = (),
) -> Comparison:
    """Compare every cell of ``b``, the candidate, with that of ``a``, where both have it. A pure function.

    ``by_turns``: the k-th turns of both are a pair. ``margins`` are absolute for shares and relative for the rest.
    ``incomparable`` says why the two values of cells mean different things. The cells that were ``asked`` for are
    corrected for each other alone; all others for all.
    """
    tested: dict[CellKey, Tested] = {}
    cells = {key: _untested_cell(a, b, key) for key in a.keys if key in b.keys}
    for key, cell in cells.items():
        try:
            tested[key] = _tested(a, b, key, incomparable.get(key, ""), by_turns=by_turns)
        except _Untested as why:
            cells[key] = msgspec.structs.replace(cell, verdict=why.verdict, reason=why.reason)
    named = [key for key in tested if key in asked]
    families = [(list(tested), family_size(len(tested))), (named, len(named))]  # the second replaces some of the first
    for keys, size in families:
        adjusted = holm([tested[key][0].p for key in keys], size)
        for key, p_adjusted in zip(keys, adjusted, strict=True):
            cells[key] = _with_verdict(cells[key], *tested[key], p_adjusted, margins.get(key), ALPHA / size)
    return Comparison(
        a=a.name,
        b=b.name,
        pairs=len(a.turns) if by_turns else 0,
        alpha=ALPHA,
        family=max(1, len(named)) if asked else family_size(len(tested)),
        cells=list(cells.values()),
    )


def _untested_cell(a: Side, b: Side, key: CellKey) -> Compared:
    """The cell with nothing but its values, means over turns."""
    metric = a.metrics(key)[0]
    values = [[each.value for each in side.metrics(key) if each.value is not None] for side in (a, b)]
    return Compared(
        id=metric.id,
        phase=metric.phase,
        unit=metric.unit,
        direction=metric.direction,
        verdict="not_compared",
        a=mean(values[0]) if values[0] else None,
        b=mean(values[1]) if values[1] else None,
    )


def _with_verdict(
    cell: Compared, difference: Difference, notes: list[Words], p_adjusted: float, margin: float | None, alpha: float
) -> Compared:
    share = cell.unit in _SHARES
    allowed = margin or (SHARE_MARGIN if share else RELATIVE_MARGIN)
    within = allowed if share or difference.relative else allowed * abs(cell.a or 0.0)
    verdict = decide(difference, p_adjusted, within, cell.direction)
    return msgspec.structs.replace(
        cell,
        verdict=verdict,
        difference=difference.value,
        ci=difference.ci,
        relative=difference.relative,
        n=difference.n,
        p=difference.p,
        p_adjusted=p_adjusted,
        detectable=difference.detectable(alpha),
        margin=within,
        method=difference.method,
        notes=notes,
        reason=_why_undecided(cell, difference, within) if verdict == "inconclusive" else "",
    )


def _why_undecided(cell: Compared, difference: Difference, margin: float) -> Words:
    if difference.agreeing:
        return text("compare.too_few_agree", clusters=difference.agreeing, least=least_agreeing(margin))
    if cell.a == cell.b == 0 and cell.direction == "lower":  # no error, crash or restart
        return _NONE_SEEN
    return text("compare.too_small")


def _tested(a: Side, b: Side, key: CellKey, reason: Words, *, by_turns: bool) -> Tested:
    """The test of one cell. Raises _Untested, also for a ``reason`` why its two values cannot be compared.

    Of single runs only what has independent observations within a run can be tested. Of turns, tasks are pooled and
    paired, exact counts pooled; all else rests on the noise between turns. Where no pair of turns differs at all, there
    is no noise to see: what their observations say together decides.
    """
    values = _values(a, b, key)
    if reason:
        raise _Untested("inconclusive", reason)
    if by_turns and len(values) < MIN_PAIRS:
        raise _Untested("inconclusive", text("compare.few_pairs", pairs=len(values), more=MIN_PAIRS - len(values)))
    of_a, of_b = a.observations(key), b.observations(key)
    unvaried = all(before == after for before, after in values)
    if of_a and of_b and (not by_turns or of_a.paired or is_exact(of_a, of_b) or unvaried):
        return _of_observations(of_a, of_b)
    if not by_turns:
        raise _Untested("inconclusive", _ONE_RUN)
    before, after = zip(*values, strict=True)
    return paired_t_test(before, after, shares=a.metrics(key)[0].unit in _SHARES), []


def _values(a: Side, b: Side, key: CellKey) -> list[tuple[float, float]]:
    """The values of both sides by turn, of turns that have both. Raises _Untested: there is none, or one is invalid."""
    for side in (a, b):
        if all(metric.status in ("na", "not_measured") for metric in side.metrics(key)):
            raise _Untested("not_compared", _of_side(side, side.metrics(key)[0]))
    for side in (a, b):
        for metric in side.metrics(key):
            if metric.status == "invalid":
                raise _Untested("invalid", _of_side(side, metric))
    both = zip(a.metrics(key), b.metrics(key), strict=True)
    return [(one.value, other.value) for one, other in both if one.value is not None and other.value is not None]


def _of_side(side: Side, metric: Metric) -> Words:
    return text("compare.of_side", side=side.name, reason=metric.reason)


def _of_observations(a: Observations, b: Observations) -> Tested:
    """Paired by task where tasks match, else as two independent samples."""
    notes: list[Words] = []
    if a.paired and b.paired:
        keys = [{observation.key for observation in side.each} for side in (a, b)]
        common = keys[0] & keys[1]
        if common:
            if left := len(keys[0] ^ keys[1]):
                notes.append(text("compare.left_out", left=left, common=len(common)))
            _enough([it for it in a.each if it.key in common], text("compare.common_clusters"))
            if any(math.isnan(side.among(common).value()) for side in (a, b)):
                raise _Untested("inconclusive", text("compare.none_solved"))
            return paired_tasks(a, b), notes
        notes.append(text("compare.no_common_tasks"))
    if not is_exact(a, b):
        for side in (a, b):
            _enough(side.each, text("compare.clusters"))
    return independent_samples(a, b), notes


def _enough(observations: Sequence[Observation], what: Words) -> None:
    clusters = len({observation.cluster for observation in observations})
    if clusters < MIN_CLUSTERS:
        raise _Untested("inconclusive", text("compare.few_clusters", clusters=clusters, what=what, least=MIN_CLUSTERS))
