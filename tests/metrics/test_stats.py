"""Intervals, percentiles and averages against scipy and simulation."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from shosei.metrics import stats


@given(st.integers(2, 500), st.data())
def test_wilson_inverts_the_score_test_but_reaches_the_exact_one_sided_bounds(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    low, high = stats.wilson(k, n)
    assert low is not None
    assert high is not None
    plain = scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
    assert low <= plain.low + 1e-9
    assert high >= plain.high - 1e-9
    t = scipy.stats.t.ppf(0.975, n - 1)
    exact = {
        "greater": scipy.stats.binomtest(k, n, alternative="greater").proportion_ci(method="exact").low,
        "less": scipy.stats.binomtest(k, n, alternative="less").proportion_ci(method="exact").high,
    }
    for end, bound in ((low, exact["greater"]), (high, exact["less"])):
        if 0 < end < 1 and end != pytest.approx(bound, abs=1e-9):
            score = abs(k / n - end) / math.sqrt(end * (1 - end) / n)
            assert score == pytest.approx(t, rel=1e-6)
    assert low <= exact["greater"] + 1e-9
    assert high >= exact["less"] - 1e-9


@given(st.integers(0, 400))
def test_poisson_equals_the_chi_square_form(count: int) -> None:
    low = scipy.stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    assert stats.poisson(count) == pytest.approx((low, scipy.stats.chi2.ppf(0.975, 2 * count + 2) / 2))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_student_t_equals_scipy(values: list[float]) -> None:
    sem = scipy.stats.sem(values)
    if sem < 1e-9:
        return
    expected = scipy.stats.t.interval(0.95, len(values) - 1, loc=statistics.fmean(values), scale=sem)
    assert stats.student_t(values) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.lists(st.floats(0.1, 1e3), min_size=2, max_size=40))
def test_a_symmetric_ratio_without_correlation_has_the_t_interval(values: list[float]) -> None:
    """Each value, then its mirror image, in an order in which neighbours are never alike."""
    centre = statistics.fmean(values)
    mirrored = [side for value in values for side in (value, 2 * centre - value)]
    assert stats.ratio_interval(mirrored, [1.0] * len(mirrored)) == pytest.approx(
        stats.student_t(mirrored), rel=1e-5, abs=1e-5
    )


@given(st.lists(st.floats(0.1, 1e3), min_size=3, max_size=40, unique=True))
def test_both_ends_of_a_ratio_invert_halls_transformation(values: list[float]) -> None:
    """At an end, the studentised distance, taken through Hall's polynomial, is Student's quantile."""
    low, high = stats.ratio_interval(values, [1.0] * len(values))
    assert low is not None
    assert high is not None
    n, centre = len(values), statistics.fmean(values)
    if np.std(values) < 1e-3 * centre:
        return
    g = scipy.stats.skew(values)
    residuals = np.array(values) - centre
    correlation = max(0.0, float(residuals[1:] @ residuals[:-1]) / float(residuals @ residuals))
    error = scipy.stats.sem(values) * math.sqrt(1 + 2 * correlation)
    for end, sign in ((low, 1), (high, -1)):
        x = (centre - end) / error
        polynomial = x + g * x**2 / (3 * math.sqrt(n)) + g**2 * x**3 / (27 * n) + g / (6 * math.sqrt(n))
        assert polynomial == pytest.approx(sign * scipy.stats.t.ppf(0.975, n - 1), rel=1e-4)


def test_a_shared_queue_widens_the_interval() -> None:
    """The same batches, once in runs of alike neighbours and once mixed."""
    values = [1.0, 2.0] * 20
    mixed, runs = (stats.ratio_interval(order, [1.0] * 40) for order in (values, sorted(values)))
    assert (runs[1] or 0) - (runs[0] or 0) > 1.5 * ((mixed[1] or 0) - (mixed[0] or 0))


@pytest.mark.parametrize("percent", [90, 95, 99])
def test_a_percentile_is_refused_one_observation_short(percent: int) -> None:
    least = stats.PERCENTILE_MIN_N[percent]
    assert (percent / 100) ** least <= 0.05 < (percent / 100) ** (least - 1)
    assert stats.percentile(list(range(least - 1)), percent) is None
    assert stats.percentile(list(range(least)), percent) is not None


@given(st.lists(st.floats(0, 1e6), min_size=299, max_size=400), st.sampled_from([50, 90, 95, 99]))
def test_percentile_is_numpys_inverted_cdf(values: list[float], percent: int) -> None:
    assert stats.percentile(values, percent) == np.percentile(values, percent, method="inverted_cdf")


@pytest.mark.parametrize("percent", [50, 90, 95, 99])
def test_equal_values_bound_their_percentiles(percent: int) -> None:
    """A server whose tokens come all at once: 732 times 0.0 ms, or all but one or a sixth."""
    batches = [[0.0] * (19 if index < 12 else 18) for index in range(40)]
    assert sum(map(len, batches)) == 732
    assert stats.percentile_interval(batches, percent) == (0.0, 0.0)
    few = [[5.0, *batch[1:]] if index == 7 else batch for index, batch in enumerate(batches)]
    # Of one exception nobody sees how they come together: it is too little to bound the highest percentiles.
    assert stats.percentile_interval(few, percent) == (0.0, 0.0 if percent <= 90 else None)
    many = [[5.0] * 3 + batch[3:] for batch in batches]  # a sixth
    assert stats.percentile_interval(many, percent)[0] == (0.0 if percent == 50 else 5.0)


def test_clusters_that_agree_count_once() -> None:
    """Ten copies of each outcome carry no more knowledge than one."""
    singles = [[float(index % 3 > 0)] for index in range(60)]
    copies = [cluster * 10 for cluster in singles]
    low, high = stats.wilson_clustered(copies)
    single_low, single_high = stats.wilson_clustered(singles)
    assert low == pytest.approx(single_low, abs=0.01)
    assert high == pytest.approx(single_high, abs=0.01)
    assert stats.wilson_clustered([[1.0] * 10] * 60) == pytest.approx(stats.wilson(60, 60))


def test_cluster_bootstrap_is_fixed_and_near_the_normal_interval() -> None:
    values = np.random.default_rng(5).normal(10, 2, size=200)

    def resampled(drawn: np.ndarray) -> np.ndarray:
        return drawn @ values / drawn.sum(axis=1)

    low, high = stats.cluster_bootstrap(200, resampled)
    assert (low, high) == stats.cluster_bootstrap(200, resampled)
    half = 1.96 * values.std() / math.sqrt(200)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)
    assert stats.cluster_bootstrap(1, resampled) == (None, None)
