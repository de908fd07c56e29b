"""Two sides compared, cell by cell: which is better, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from shosei.compare import conditions
from shosei.compare.sides import Key, Side, Target
from shosei.metrics import stats
from shosei.metrics.metric import METRIC_IDS, PHASES, Metric, Phase, Words, text
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.stats import MIN_CLUSTERS, Interval, paired, unpaired
from shosei.metrics.stats.difference import ALPHA, SHARE_MARGIN, Difference, Verdict, decide
from shosei.metrics.stats.observations import Observation, Observations

MIN_PAIRS = 5  # of turns
RELATIVE_MARGIN = 0.05
FAMILY = 15  # comparisons are corrected for at least so many: the metrics, whether or not all could be tested

_ONE_RUN, _NONE_SEEN = text("compare.one_run"), text("compare.none_seen")
UNDECIDABLE = (
    _ONE_RUN,
    _NONE_SEEN,
)  # reasons why two single runs cannot decide a cell, however well they were measured

_SHARES = ("", "per start")  # what shares are told in: their margins are absolute
KEYS: list[Key] = [(id, phase) for ids in METRIC_IDS.values() for id in ids for phase in PHASES]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of two sides. ``difference`` is b less a or, with ``relative``, b over a less 1; so is ``margin``.

    ``ci`` is its 95 % interval, for this cell alone; ``p_adjusted`` is corrected for all that were tested.
    ``detectable`` would have been found with 80 % power. ``n`` counts what the test rests on.
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

    ``same_log``: both sides are one log, by its digest, so that they say nothing of a difference.
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


def compare_logs(
    a: Target, b: Target, service_level: ServiceLevel, margins: Mapping[Key, float], *, by_turns: bool
) -> Comparison:
    """Compare two targets by their logs: one attempt each or, ``by_turns``, as many, of which the k-th are a pair."""
    before, after = a[1][0], b[1][0]  # the conditions do not change from turn to turn
    return compare(
        Side.of(a, service_level),
        Side.of(b, service_level),
        by_turns=by_turns,
        margins=margins,
        unlike=conditions.unlike(before, after),
        warnings=conditions.differences(before, after),
        same_log=before.digest == after.digest != "",
    )


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
    margins: Mapping[Key, float] | None = None,
    unlike: Mapping[Key, Words] | None = None,
    warnings: Sequence[Words] = (),
    same_log: bool = False,
) -> Comparison:
    """Compare every cell of ``b``, the candidate, with that of ``a``. A pure function.

    ``by_turns``: the k-th turns of both are a pair. ``margins`` are absolute for shares and relative for the rest.
    ``unlike`` says of cells why their two values mean different things.
    """
    tested: dict[Key, tuple[Difference, list[Words]]] = {}
    untested: dict[Key, _Untested] = {}
    for key in KEYS:
        try:
            if reason := (unlike or {}).get(key, ""):
                _values(a, b, key)
                raise _Untested("inconclusive", reason)
            notes: list[Words] = []
            tested[key] = _of_turns(a, b, key, notes) if by_turns else _of_runs(a, b, key, notes), notes
        except _Untested as why:
            untested[key] = why
    comparisons = family(len(tested))
    adjusted = holm([difference.p for difference, _ in tested.values()], comparisons)
    p_adjusted = dict(zip(tested, adjusted, strict=True))
    compared = []
    for key in KEYS:
        given = (margins or {}).get(key)
        shown = _cell(a, b, key)
        if key in untested:
            cell = msgspec.structs.replace(shown, verdict=untested[key].verdict, reason=untested[key].reason)
        else:
            cell = _judged(shown, *tested[key], p_adjusted[key], given, ALPHA / comparisons)
        compared.append(cell)
    pairs = len(a.turns) if by_turns else 0
    return Comparison(
        a=a.name,
        b=b.name,
        pairs=pairs,
        alpha=ALPHA,
        family=comparisons,
        cells=compared,
        same_log=same_log,
        warnings=warnings,
    )


def _cell(a: Side, b: Side, key: Key) -> Compared:
    """The cell with nothing but its values, means over turns."""
    some = a.turns[0].metrics[key]
    values = []
    for side in (a, b):
        known = [metric.value for metric in _metrics(side, key) if metric.value is not None]
        values.append(_round(stats.mean(known)) if known else None)
    return Compared(
        id=some.id,
        phase=some.phase,
        unit=some.unit,
        direction=some.direction,
        verdict="not_compared",
        a=values[0],
        b=values[1],
    )


def _judged(
    cell: Compared, found: Difference, notes: list[Words], p_adjusted: float, margin: float | None, alpha: float
) -> Compared:
    share = cell.unit in _SHARES
    allowed = margin or (SHARE_MARGIN if share else RELATIVE_MARGIN)
    within = allowed if share or found.relative else allowed * abs(cell.a or 0.0)
    verdict = decide(found, p_adjusted, within, cell.direction)
    detectable = found.detectable(alpha)
    return msgspec.structs.replace(
        cell,
        verdict=verdict,
        difference=_round(found.value),
        ci=tuple(map(_round, found.ci)),
        relative=found.relative,
        n=found.n,
        p=_round(found.p),
        p_adjusted=_round(p_adjusted),
        detectable=_round(detectable),
        margin=_round(within),
        method=found.method,
        notes=notes,
        reason=_open(cell, found, within) if verdict == "inconclusive" else "",
    )


def _open(cell: Compared, found: Difference, margin: float) -> Words:
    """Why a cell that was tested is not decided."""
    if found.agreeing:
        return text("compare.too_few_agree", clusters=found.agreeing, least=paired.least_agreeing(margin))
    if cell.a == cell.b == 0 and cell.direction == "lower":  # no error, crash or restart
        return _NONE_SEEN
    return text("compare.too_small")


def _metrics(side: Side, key: Key) -> list[Metric]:
    return [turn.metrics[key] for turn in side.turns]


def _values(a: Side, b: Side, key: Key) -> list[tuple[float, float]]:
    """The values of both sides by turn, of turns that have both. Raises _Untested: there is none, or one is invalid."""
    for side in (a, b):
        if all(metric.status in ("na", "not_measured") for metric in _metrics(side, key)):
            raise _Untested("not_compared", _of_side(side, _metrics(side, key)[0]))
    for side in (a, b):
        for metric in _metrics(side, key):
            if metric.status == "invalid":
                raise _Untested("invalid", _of_side(side, metric))
    both = zip(_metrics(a, key), _metrics(b, key), strict=True)
    return [(one.value, other.value) for one, other in both if one.value is not None and other.value is not None]


def _of_side(side: Side, metric: Metric) -> Words:
    return text("compare.of_side", side=side.name, reason=metric.reason)


def _of_runs(a: Side, b: Side, key: Key, notes: list[Words]) -> Difference:
    """One run each: only what has independent observations within a run can be tested."""
    _values(a, b, key)
    observations = a.observations(key), b.observations(key)
    if not observations[0] or not observations[1]:
        raise _Untested("inconclusive", _ONE_RUN)
    return _of_observations(observations[0], observations[1], notes)


def _of_turns(a: Side, b: Side, key: Key, notes: list[Words]) -> Difference:
    """Turns: tasks are pooled and paired, exact counts pooled; all else rests on the noise between turns.

    Where no pair of turns differs at all, there is no noise to see: what their observations say together decides.
    """
    values = _values(a, b, key)
    if len(values) < MIN_PAIRS:
        raise _Untested("inconclusive", text("compare.few_pairs", pairs=len(values), more=MIN_PAIRS - len(values)))
    observations = a.observations(key), b.observations(key)
    if observations[0] and observations[1]:
        unvaried = all(before == after for before, after in values)
        if observations[0].paired or unpaired.is_exact(observations[0], observations[1]) or unvaried:
            return _of_observations(observations[0], observations[1], notes)
    before, after = zip(*values, strict=True)
    return paired.turns(before, after, shares=_metrics(a, key)[0].unit in _SHARES)


def _of_observations(a: Observations, b: Observations, notes: list[Words]) -> Difference:
    """Paired by task where tasks match, else as two independent samples."""
    if a.paired and b.paired:
        keys = [{observation.key for observation in side.each} for side in (a, b)]
        common = keys[0] & keys[1]
        if common:
            if left := len(keys[0] ^ keys[1]):
                notes.append(text("compare.left_out", left=left, common=len(common)))
            _enough([it for it in a.each if it.key in common], text("compare.common_clusters"))
            return paired.tasks(a, b)
        notes.append(text("compare.no_common_tasks"))
    if not unpaired.is_exact(a, b):
        for side in (a, b):
            _enough(side.each, text("compare.clusters"))
    return unpaired.samples(a, b)


def _enough(observations: Sequence[Observation], what: Words) -> None:
    clusters = len({observation.cluster for observation in observations})
    if clusters < MIN_CLUSTERS:
        raise _Untested("inconclusive", text("compare.few_clusters", clusters=clusters, what=what, least=MIN_CLUSTERS))


def _round(value: float | None) -> float | None:
    """12 significant digits: the last bits of a double differ between machines."""
    return None if value is None else float(f"{value:.12g}")


def family(tested: int) -> int:
    """How many comparisons the p values are corrected for."""
    return max(FAMILY, tested)


def holm(p_values: Sequence[float], family: int) -> list[float]:
    """Adjusted p values (Holm 1979) of some of a ``family`` of tests; the others count as not significant."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (family - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
