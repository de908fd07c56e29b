"""How much better one measurement is than another, and who is behind in a race."""

from __future__ import annotations

import math
import random

import pytest
from scipy import stats

from shosei.log import TuneTrial
from shosei.tune.confirm import Finalist, detectable, enough, finalists_for, is_futile
from shosei.tune.gain import HALF, Scale, spread_within
from tune_functions import ended

SPEED, TIME, SHARE = Scale(True, True), Scale(False, True), Scale(True, False)


def results(*values: float) -> list[TuneTrial]:
    return [ended(value) for value in values]


@pytest.mark.parametrize(
    ("scale", "value", "baseline", "shown"),
    [(SPEED, 12, 10, 0.2), (SPEED, 8, 10, -0.2), (TIME, 8, 10, 0.2), (TIME, 12, 10, -0.2), (SHARE, 0.7, 0.5, 0.2)],
)
def test_a_gain_is_read_as_people_read_it(scale: Scale, value: float, baseline: float, shown: float) -> None:
    assert scale.shown(scale.gain(value, baseline)) == pytest.approx(shown)


def test_a_cliff_is_no_deeper_than_half() -> None:
    assert SPEED.gain(0.001, 10) == SPEED.gain(0, 10) == -HALF == -math.log(2)
    assert SPEED.gain(0, 0) == 0
    assert TIME.gain(1000, 10) == -HALF


@pytest.mark.parametrize("family", [1, 2, 3])
@pytest.mark.parametrize("is_higher", [True, False])
def test_a_confirmed_gain_is_the_paired_t_test_of_the_logarithms(family: int, is_higher: bool) -> None:
    chance = random.Random(family)
    before = [math.exp(chance.gauss(2, 0.1)) for _ in range(9)]
    after = [value * math.exp(chance.gauss(0.1, 0.1)) for value in before]
    gain = Scale(is_higher, True).confirmed(list(zip(results(*before), results(*after), strict=True)), family)
    ratios = [math.log(now / was) for was, now in zip(before, after, strict=True)]
    test = stats.ttest_1samp(ratios, 0)
    ends = [math.expm1(end) for end in test.confidence_interval(1 - 0.05 / family)]
    sign = 1 if is_higher else -1
    assert gain.value == pytest.approx(sign * math.expm1(sum(ratios) / 9))
    assert sorted(gain.interval) == pytest.approx(sorted(sign * end for end in ends))  # type: ignore[type-var]
    assert gain.interval[0] < gain.value < gain.interval[1]  # type: ignore[operator]
    assert (gain.p, gain.n) == (pytest.approx(test.pvalue), 9)


def test_a_gain_with_a_zero_in_it_is_a_part_of_the_defaults_mean() -> None:
    before, after = [10.0, 10.0, 0.0, 12.0], [12.0, 13.0, 1.0, 14.0]
    gain = SPEED.confirmed(list(zip(results(*before), results(*after), strict=True)), 1)
    assert gain.value == pytest.approx((40 - 32) / 32)


def test_a_gain_over_nothing_is_at_least_all_of_it_in_whatever_unit() -> None:
    for unit in (1.0, 1000.0):
        before, after = results(0, 0, 0), results(*(unit * value for value in (0.03, 0.04, 0.05)))
        assert SPEED.confirmed(list(zip(before, after, strict=True)), 1).value == pytest.approx(1)
        assert TIME.confirmed(list(zip(before, after, strict=True)), 1).value == pytest.approx(-1)


def test_a_confirmed_gain_of_tasks_counts_tasks_not_rounds() -> None:
    chance = random.Random(2)
    pairs = []
    for round in range(3):
        units = {f"{round} {task}": float(chance.random() < 0.5) for task in range(30)}
        better = {key: max(value, float(chance.random() < 0.4)) for key, value in units.items()}
        pairs.append(tuple(ended(sum(side.values()) / 30, units=side) for side in (units, better)))
    gain = SHARE.confirmed(pairs, 1)  # type: ignore[arg-type]
    lost_or_won = sum(pair[1].value - pair[0].value for pair in pairs) * 30  # type: ignore[operator]
    assert gain.n == 90
    assert gain.value == pytest.approx(lost_or_won / 90)
    assert gain.p == pytest.approx(2 * 0.5**lost_or_won)  # exact McNemar: all changes are for the better
    assert enough(pairs, 1)  # type: ignore[arg-type]
    few = [tuple(ended(1.0, units={"a": 1.0, "b": 0.0}) for _ in range(2))]
    assert not enough(few, 1)  # type: ignore[arg-type]


def test_one_pair_without_tasks_has_no_spread_and_is_not_tested() -> None:
    pairs = [(ended(800.0), ended(700.0))]
    assert not enough(pairs, 1)
    assert enough(pairs * 2, 1)


def test_the_noise_is_the_spread_within_repeated_candidates() -> None:
    assert spread_within([[1.0], [2.0]]) is None
    assert spread_within([[1.0, 3.0], [10.0, 14.0, 12.0], [5.0]]) == pytest.approx(math.sqrt((2 + 8) / 3))


def test_who_fails_misses_a_limit_or_is_plainly_worse_is_behind() -> None:
    [good, bad, better] = results(10, 7, 13)
    missed = ended(20, limits={"error_rate": "missed"})
    assert SPEED.is_behind([(good, ended(None))], 0.1)
    assert SPEED.is_behind([(good, missed)], 0.1)
    assert SPEED.is_behind([(good, bad)], 0.1)
    assert not SPEED.is_behind([(good, better)], 0.1)
    assert TIME.is_behind([(good, better)], 0.1)
    assert not SPEED.is_behind([(good, ended(9.8))], 0.1)  # that may be noise


def test_who_does_the_same_tasks_plainly_worse_is_behind() -> None:
    units = {str(task): float(task < 20) for task in range(30)}
    worse = {str(task): float(task < 14) for task in range(30)}
    before, after = (ended(sum(side.values()) / 30, units=side) for side in (units, worse))
    assert SHARE.is_behind([(before, after)], None)
    assert not SHARE.is_behind([(after, before)], None)


def test_successive_halving_lets_the_best_third_go_on() -> None:
    others = results(1, 2, 3, 4, 5, 6, 7, 8)
    assert [SPEED.is_left_behind(each, others) for each in results(0, 4.5, 6.5, 9)] == [True, True, False, False]
    assert SPEED.is_left_behind(ended(None), others)
    assert not SPEED.is_left_behind(ended(1), [ended(0.5)])


def test_the_detectable_gain_is_found_with_a_power_of_four_fifths() -> None:
    chance, gain, found = random.Random(3), detectable(0.15, 12, 1), 0
    for _ in range(1000):
        ratios = [gain + chance.gauss(0, 0.15) - chance.gauss(0, 0.15) for _ in range(12)]
        found += bool(stats.ttest_1samp(ratios, 0).pvalue < 0.05)
    assert 750 <= found <= 850


def test_more_finalists_stand_only_where_the_rounds_suffice_for_all() -> None:
    assert finalists_for(36, [0.3, 0.3, 0.3], 0.15, 5) == 1
    assert finalists_for(36, [0.3, 0.3, 0.3], 0.02, 5) == 3
    assert finalists_for(36, [0.3, 0.01, 0.01], 0.02, 5) == 1
    assert finalists_for(14, [0.3, 0.3, 0.3], 0.02, 5) == 1
    assert finalists_for(36, [0.3, 0.3], None, 5) == 1


def test_a_finalist_is_given_up_only_where_nothing_would_help() -> None:
    def after(*gains: float) -> bool:
        pairs = [(ended(10.0), ended(10 * math.exp(gain))) for gain in gains]
        return is_futile(Finalist({}, 0.15, pairs), SPEED, 18, 1)

    assert after(*[-0.2, -0.1, -0.3, -0.2] * 3)
    assert not after(*[0.2, 0.1, -0.05, 0.2] * 3)
    assert not after(-0.5, 0.1)  # too soon to tell
