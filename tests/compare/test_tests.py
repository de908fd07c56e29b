"""Tests of difference and their correction, against scipy, closed forms and simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from compared import classified, measured, outcomes
from shosei.card.words import translated
from shosei.compare.comparison import compare, compare_logs
from shosei.compare.sides import Side
from shosei.log import Event, Log, ProcExit, Rating, Restart, RunBegin, Survey
from shosei.metrics.metric import CellKey
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.stats.difference import (
    Difference,
    decide,
    family_size,
    fisher,
    holm,
    independent_samples,
    is_exact,
    mcnemar,
    paired_t_test,
    paired_tasks,
    poisson_counts,
)
from shosei.metrics.stats.observations import Observation, Observations, share, total

OUTCOMES = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(OUTCOMES)
def test_mcnemar_is_the_exact_sign_test_of_what_changed(pairs: list[tuple[bool, bool]]) -> None:
    found = mcnemar([before for before, _ in pairs], [after for _, after in pairs])
    lost = sum(before and not after for before, after in pairs)
    gained = sum(after and not before for before, after in pairs)
    expected = scipy.stats.binomtest(lost, lost + gained, 0.5).pvalue if lost + gained else 1.0
    assert found.p == pytest.approx(expected)
    assert found.value == pytest.approx((gained - lost) / len(pairs))
    assert found.ci[0] is not None
    assert found.ci[1] is not None
    assert -1 <= found.ci[0] < found.ci[1] <= 1


@pytest.mark.parametrize(
    ("n", "size", "verdict"), [(148, 1, "inconclusive"), (149, 1, "equivalent"), (447, 3, "equivalent")]
)
@pytest.mark.parametrize("id", ["pass_at_1", "f1"])
def test_equal_outcomes_of_enough_independent_tasks_are_equivalent(id: str, n: int, size: int, verdict: str) -> None:
    """No task of n differs: the exact bound of the share that does, near 3 / n, against a margin of two points."""
    true = np.arange(n) % 2
    clusters = np.arange(n) // size
    said = np.where(np.arange(n) % 5, true, 1 - true)
    units = classified(true, said, clusters) if id == "f1" else outcomes(true == said, clusters, paired=True)
    key: CellKey = (id, "inference")
    sides = [Side(name, [measured({key: 0.8}, {key: units})]) for name in "ab"]
    cell = next(cell for cell in compare(*sides).cells if (cell.id, cell.phase) == key)
    upper = scipy.stats.binomtest(0, n // size).proportion_ci(0.9).high  # Clopper and Pearson, each end 95 %
    assert (cell.verdict, cell.difference, cell.p, cell.n) == (verdict, 0, 1, n)
    assert cell.ci == pytest.approx((-upper, upper))
    assert "rule of three" in translated(cell.method)
    assert ("149 would show equality" in translated(cell.reason)) == (verdict == "inconclusive")


@given(st.integers(0, 60), st.integers(0, 60))
def test_counts_are_compared_by_the_exact_conditional_test(a: int, b: int) -> None:
    expected = scipy.stats.binomtest(a, a + b, 0.5).pvalue if a + b else 1.0
    assert poisson_counts(a, b).p == pytest.approx(expected)
    low, high = poisson_counts(a, b).ci
    assert low is not None
    assert high is not None
    assert low < b - a < high


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_single_outcomes_are_compared_by_fishers_test(n: int, m: int, data: st.DataObject) -> None:
    k, j = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    found = independent_samples(single_outcomes(k, n), single_outcomes(j, m))
    assert found.p == pytest.approx(scipy.stats.fisher_exact([[k, n - k], [j, m - j]]).pvalue)
    assert found.value == pytest.approx(j / m - k / n)


def of_outcomes(outcomes: Sequence[float], size: int = 1, *, paired: bool = False) -> Observations:
    """Shares of right samples, task by task, ``size`` tasks a cluster."""
    units = [
        Observation(str(index), str(index // size), {"top": float(outcome), "bottom": 1.0})
        for index, outcome in enumerate(outcomes)
    ]
    return Observations(units, share, paired)


def single_outcomes(right: int, n: int) -> Observations:
    return of_outcomes([index < right for index in range(n)])


def test_the_interval_of_two_shares_is_newcombes() -> None:
    """Newcombe 1998, table II, example (a): 56/70 and 48/80 by method 10 is [0.0524, 0.3339].

    Ours is a little wider: Student's quantile stands for the normal one.
    """
    low, high = independent_samples(single_outcomes(48, 80), single_outcomes(56, 70)).ci
    assert low == pytest.approx(0.0524, abs=0.004)
    assert high == pytest.approx(0.3339, abs=0.004)
    assert low is not None
    assert high is not None
    assert low < 0.0524
    assert high > 0.3339


@given(st.lists(st.tuples(st.floats(1, 1e4), st.floats(1, 1e4)), min_size=5, max_size=20, unique=True))
def test_turns_are_compared_by_the_paired_t_test_of_logarithms(pairs: list[tuple[float, float]]) -> None:
    a, b = [before for before, _ in pairs], [after for _, after in pairs]
    changes = np.log(b) - np.log(a)
    if np.std(changes) < 1e-3:
        return
    found, expected = paired_t_test(a, b), scipy.stats.ttest_rel(np.log(b), np.log(a))
    assert found.relative
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    low, high = expected.confidence_interval(0.95)
    assert found.ci == pytest.approx((math.expm1(low), math.expm1(high)), rel=1e-6, abs=1e-9)
    assert found.value == pytest.approx(math.expm1(changes.mean()), rel=1e-6, abs=1e-9)


def test_turns_with_a_zero_are_compared_by_their_difference() -> None:
    a, b = [0.0, 1.0, 2.0, 1.5, 0.5], [1.0, 2.5, 2.0, 3.0, 1.0]
    found = paired_t_test(a, b)
    assert not found.relative
    assert found.p == pytest.approx(scipy.stats.ttest_rel(b, a).pvalue)


def test_shares_are_compared_by_their_difference_as_their_margin_is() -> None:
    """An error rate of 1.0 % or 1.2 % differs by a fifth, and by less than the two points that matter."""
    key: CellKey = ("error_rate", "inference")
    shares = [(0.010, 0.012), (0.012, 0.011), (0.011, 0.013), (0.009, 0.012), (0.010, 0.012), (0.011, 0.012)]
    sides = [Side(name, [measured({key: pair[place]}) for pair in shares]) for place, name in enumerate("ab")]
    cell = next(cell for cell in compare(*sides, by_turns=True).cells if (cell.id, cell.phase) == key)
    assert (cell.verdict, cell.relative, cell.margin) == ("equivalent", False, 0.02)
    a, b = zip(*shares, strict=True)
    assert cell.p == pytest.approx(scipy.stats.ttest_rel(b, a).pvalue)


def test_turns_without_any_spread_are_certain() -> None:
    assert (paired_t_test([4.0] * 5, [4.0] * 5).p, paired_t_test([4.0] * 5, [5.0] * 5).p) == (1.0, 0.0)
    assert paired_t_test([0.0] * 5, [0.0] * 5).p == 1.0


def test_the_paired_bootstrap_of_independent_means_is_the_paired_t_test() -> None:
    draw = np.random.default_rng(4)
    a = draw.random(200)
    b = np.clip(a + draw.normal(0.02, 0.1, 200), 0, 1)
    sides = [of_outcomes(values.tolist(), paired=True) for values in (a, b)]
    found, expected = paired_tasks(*sides), scipy.stats.ttest_rel(b, a)
    assert found.value == pytest.approx(np.mean(b - a))
    assert found.p == pytest.approx(expected.pvalue, rel=0.3)  # 2,000 resamples tell the error within 3 %
    assert found.error == pytest.approx(scipy.stats.sem(b - a), rel=0.05)


def test_tasks_that_fail_together_count_less() -> None:
    """The same changed outcomes, once each on its own and once ten to a cluster."""
    outcomes = [(True, index < 30) for index in range(40)] + [(True, True)] * 360
    for size, significant in ((1, True), (10, False)):
        sides = [of_outcomes([pair[side] for pair in outcomes], size, paired=True) for side in (0, 1)]
        found = paired_tasks(*sides)
        assert found.value == pytest.approx(-10 / 400)
        assert (found.p < 0.05) == significant


def test_the_smallest_detectable_difference_is_found_four_times_in_five() -> None:
    draw = np.random.default_rng(8)
    alpha = 0.05 / 15
    error = 0.05 * math.sqrt(2 / 7)
    detectable = Difference(0, (None, None), 1, error, 7, "", 6, relative=True).detectable(alpha)
    hits = 0
    for _ in range(1500):
        a, b = np.exp(draw.normal(0, 0.05, 7)), (1 + detectable) * np.exp(draw.normal(0, 0.05, 7))
        hits += paired_t_test(a.tolist(), b.tolist()).p < alpha
    assert hits / 1500 == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(("burst", "rate"), [(0.0, 0.1), (0.05, 0.0), (0.05, 0.02), (0.2, 0.02)])
def test_bursts_of_errors_raise_no_false_alarm(burst: float, rate: float) -> None:
    """Forty stretches of eight requests; in some, half of the requests fail together."""
    draw = np.random.default_rng(11)

    def side() -> list[list[float]]:
        failing = np.where(draw.random(40) < burst, 0.5, rate)
        return (draw.random((40, 8)) < failing[:, None]).astype(float).tolist()

    alarms = sum(fisher(side(), side()).p < 0.05 for _ in range(500))
    assert alarms <= 0.05 * 500


def test_a_burst_is_no_regression_but_steady_errors_are() -> None:
    fine = [[0.0] * 30 for _ in range(40)]
    burst = [[1.0] * 30, *fine[1:]]
    steady = [[1.0] + [0.0] * 29 for _ in range(40)]
    assert fisher(fine, burst).p > 0.5
    assert fisher(fine, steady).p < 1e-6


def test_a_count_of_restarts_is_no_share() -> None:
    units = Observations(
        [Observation("a", "a", {"top": 0.0, "bottom": 1.0}), Observation("b", "b", {"top": 1.0, "bottom": 1.0})],
        total,
        False,
    )
    assert is_exact(units, units)
    assert independent_samples(units, units).p == 1.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005], 4) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01], 15) == pytest.approx([0.15])
    assert holm([0.004, 0.001], 15) == pytest.approx([0.056, 0.015])
    assert holm([], 15) == []
    assert (family_size(3), family_size(22)) == (15, 22)


def lost_and_gained(lost: int, gained: int, tasks: int) -> list[Side]:
    """Two sides that answered ``tasks``: so many only the first, so many only the second, and half of the rest both."""
    before = np.arange(tasks) < lost
    after = (lost <= np.arange(tasks)) & (np.arange(tasks) < lost + gained)
    both = (np.arange(tasks) >= lost + gained) & (np.arange(tasks) % 2 == 0)
    sides = []
    for name, right in (("a", before | both), ("b", after | both)):
        values: dict[CellKey, float] = {
            ("pass_at_1", phase): float(right.mean()) for phase in ("training", "inference")
        }
        units = dict.fromkeys(values, outcomes(right, np.arange(tasks), paired=True))
        sides.append(Side(name, [measured(values, units)]))
    return sides


@pytest.mark.parametrize(
    ("asked", "family", "factors"),
    [
        ([("pass_at_1", "inference")], 1, (15, 1)),
        ([("pass_at_1", "inference"), ("pass_at_1", "training")], 2, (2, 2)),
        ([("pass_at_1", "inference"), ("memory", "training")], 1, (15, 1)),  # nobody measured memory
        ([("memory", "training")], 1, (15, 15)),
        ([], 15, (15, 15)),
    ],
)
def test_p_is_corrected_for_what_was_asked_for(asked: list[CellKey], family: int, factors: tuple[int, int]) -> None:
    """50 tasks of 400 lost and 30 gained: by scipy the exact p is .033, and one comparison that was named is one."""
    p = scipy.stats.binomtest(30, 80).pvalue
    assert p == pytest.approx(0.0330, abs=0.0005)
    comparison = compare(*lost_and_gained(50, 30, 400), asked=asked)
    cells = [cell for cell in comparison.cells if cell.id == "pass_at_1"]
    assert comparison.family == family
    assert [cell.p for cell in cells] == pytest.approx([p, p])
    assert [cell.p_adjusted for cell in cells] == pytest.approx([factor * p for factor in factors])
    assert [cell.verdict for cell in cells] == ["worse" if factor == 1 else "inconclusive" for factor in factors]


def test_what_is_named_can_be_detected_where_it_is_smaller() -> None:
    sides = lost_and_gained(50, 30, 400)
    detectable = [
        next(cell.detectable for cell in compare(*sides, asked=asked).cells if cell.id == "pass_at_1")
        for asked in ([], [("pass_at_1", "training")])
    ]
    assert detectable == pytest.approx([0.0846, 0.0626], abs=0.0005)


@given(P_VALUES)
def test_holm_lies_between_no_correction_and_bonferronis_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values, len(p_values))
    for p, corrected in zip(p_values, adjusted, strict=True):
        assert p <= corrected <= min(1.0, len(p_values) * p) + 1e-12
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[index] for index in order] == sorted(adjusted)


@given(P_VALUES, st.floats(0.001, 0.2))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float], alpha: float) -> None:
    rejected = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - rank) > alpha:
            break
        rejected.add(index)
    adjusted = holm(p_values, len(p_values))
    assert {index for index, p in enumerate(adjusted) if p <= alpha} == rejected


@pytest.mark.parametrize(
    ("value", "ci", "p", "direction", "verdict"),
    [
        (0.10, (0.05, 0.15), 0.001, "higher", "better"),
        (0.10, (0.05, 0.15), 0.001, "lower", "worse"),
        (-0.10, (-0.15, -0.05), 0.001, "lower", "better"),
        (0.10, (0.05, 0.15), 0.2, "higher", "inconclusive"),
        (0.01, (0.005, 0.015), 0.001, "higher", "equivalent"),
        (0.00, (-0.03, 0.03), 1.0, "higher", "inconclusive"),
        (0.00, (None, None), 1.0, "higher", "inconclusive"),
    ],
)
def test_a_verdict_by_hand(
    value: float, ci: tuple[float | None, float | None], p: float, direction: str, verdict: str
) -> None:
    assert decide(Difference(value, ci, p, 0.01, 40, ""), p, 0.02, direction) == verdict


def watched(hours: float, restarts: int) -> Log:
    """One process, watched for so long and started again so often."""
    events: dict[type[Event], list[Any]] = {
        RunBegin: [RunBegin(verb="supervise:train", argv=[], phase="training")],
        Restart: [Restart(child="train", failure=restarts, phase="training")],
        ProcExit: [
            ProcExit(
                child="train",
                child_pid=1,
                start=1,
                planned=True,
                cause="done",
                duration_ns=round(hours * 3.6e12),
                phase="training",
            )
        ],
    }
    return Log(1, events)


@pytest.mark.parametrize(("hours", "verdict"), [(10.0, "inconclusive"), (1.1, "worse")])
def test_restarts_are_compared_only_over_equal_times(hours: float, verdict: str) -> None:
    targets = ("a", [watched(1.0, 0)]), ("b", [watched(hours, 40)])
    comparison = compare_logs(*targets, ServiceLevel(), {}, by_turns=False)
    cell = next(cell for cell in comparison.cells if (cell.id, cell.phase) == ("restart_count", "training"))
    assert cell.verdict == verdict


def test_surveys_are_not_compared_with_ratings() -> None:
    """Nor are they with a run that nobody rated, for another reason: it has no value."""
    rated: Event = Rating(rater="a", rater_kind="person", scale="stars", value=5, request="r", phase="inference")
    filled: Event = Survey(rater="a", request="r", csat=2, phase="inference")
    judged: Event = Rating(rater="j", rater_kind="model", scale="stars", value=5, request="r", phase="inference")
    told = []
    for events in ([rated, filled], [filled, judged], [judged]):
        kinds = {kind: [event for event in events if type(event) is kind] for kind in (Rating, Survey)}
        logs = Log(1, {Rating: [rated]}), Log(1, kinds)
        compared = compare_logs(("a", [logs[0]]), ("b", [logs[1]]), ServiceLevel(), {}, by_turns=False)
        cell = next(cell for cell in compared.cells if (cell.id, cell.phase) == ("satisfaction", "inference"))
        told.append((cell.verdict, "of surveys" in translated(cell.reason)))
    assert told[0][1] is told[2][1] is False
    assert told[1] == ("inconclusive", True)
    assert told[2][0] == "not_compared"
