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


@given(st.integers(1, 500), st.data())
def test_wilson_equals_scipy(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    expected = scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
    assert stats.wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


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
def test_a_ratio_with_unit_denominators_is_a_mean(values: list[float]) -> None:
    assert stats.ratio_interval(values, [1.0] * len(values)) == pytest.approx(
        stats.student_t(values), rel=1e-6, abs=1e-6
    )


@pytest.mark.parametrize("percent", [90, 95, 99])
def test_a_percentile_is_refused_one_observation_short(percent: int) -> None:
    least = stats.PERCENTILE_MIN_N[percent]
    assert (percent / 100) ** least <= 0.05 < (percent / 100) ** (least - 1)
    assert stats.percentile(list(range(least - 1)), percent) is None
    assert stats.percentile(list(range(least)), percent) is not None


@given(st.lists(st.floats(0, 1e6), min_size=299, max_size=400), st.sampled_from([50, 90, 95, 99]))
def test_percentile_is_numpys_inverted_cdf(values: list[float], percent: int) -> None:
    assert stats.percentile(values, percent) == np.percentile(values, percent, method="inverted_cdf")


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
    assert low == pytest.approx(values.mean() - half, abs=0.08)
    assert high == pytest.approx(values.mean() + half, abs=0.08)
    assert stats.cluster_bootstrap(1, resampled) == (None, None)
