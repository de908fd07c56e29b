"""Simulation: how often a 95 % interval holds the truth, 2,000 repetitions each, with the functions of the card."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shosei.log import Log, RunBegin, Score
from shosei.metrics import stats
from shosei.metrics.accuracy.classified import observations_of
from shosei.metrics.cells import compute
from shosei.metrics.stats import MIN_CLUSTERS, Interval
from shosei.metrics.stats.observations import Observation, Observations

REPETITIONS = 2000
LEAST, MOST = 0.93, 0.97


def coverage(truth: float, interval: Callable[[np.random.Generator], Interval]) -> float:
    """How often the interval of newly drawn data holds ``truth``."""
    draw = np.random.default_rng(20261123)
    held = 0
    for _ in range(REPETITIONS):
        low, high = interval(draw)
        held += (low is None or low <= truth) and (high is None or truth <= high)
    return held / REPETITIONS


def beta(draw: np.random.Generator, share: float, icc: float, size: int) -> np.ndarray:
    """Success probabilities of clusters with mean ``share`` and intra-cluster correlation ``icc``."""
    if icc == 0:
        return np.full(size, share)
    return draw.beta(share * (1 - icc) / icc, (1 - share) * (1 - icc) / icc, size)


@pytest.mark.parametrize("n", [30, 40, 50, 100, 200, 1000])
@pytest.mark.parametrize("share", [0.5, 0.65, 0.8, 0.9, 0.95, 0.98])
def test_wilson(n: int, share: float) -> None:
    intervals = [stats.wilson(k, n) for k in range(n + 1)]
    assert coverage(share, lambda draw: intervals[draw.binomial(n, share)]) >= LEAST


@pytest.mark.parametrize("mean", [0.5, 3.0, 12.0, 60.0])
def test_poisson(mean: float) -> None:
    assert coverage(mean, lambda draw: stats.poisson(int(draw.poisson(mean)))) >= LEAST


# Small clusters of tasks that are nearly the same; and batches of requests, in which errors come in bursts.
@pytest.mark.parametrize(
    ("groups", "size", "share", "icc"),
    [
        (30, 1, 0.5, 0.0),
        (30, 5, 0.5, 0.5),
        (30, 5, 0.8, 0.5),
        (60, 2, 0.9, 0.5),
        (100, 5, 0.95, 0.5),
        (40, 20, 0.8, 0.1),
        (40, 20, 0.98, 0.1),
        (40, 20, 0.98, 0.5),
        (300, 3, 0.98, 0.3),
    ],
)
def test_wilson_of_clusters(groups: int, size: int, share: float, icc: float) -> None:
    def interval(draw: np.random.Generator) -> Interval:
        outcomes = draw.random((groups, size)) < beta(draw, share, icc, groups)[:, None]
        return stats.wilson_clustered(outcomes.astype(float).tolist())

    assert coverage(share, interval) >= LEAST


@pytest.mark.parametrize("groups", [30, 40, 100])
@pytest.mark.parametrize("kind", ["normal", "counts"])
def test_student_t(groups: int, kind: str) -> None:
    """Values that are themselves means or counts of a batch, nearly symmetric."""

    def interval(draw: np.random.Generator) -> Interval:
        drawn = draw.normal(10, 2, groups) if kind == "normal" else draw.poisson(10, groups)
        return stats.student_t(drawn.astype(float).tolist())

    assert LEAST <= coverage(10, interval) <= MOST


@pytest.mark.parametrize(("rate", "sigma"), [(3, 0.5), (10, 0.5), (3, 1.0), (10, 1.0)])
def test_ratio_of_skewed_latencies(rate: int, sigma: float) -> None:
    """Poisson arrivals in 40 batches; log-normal latencies, whose p99 is ten times the median at sigma 1."""

    def interval(draw: np.random.Generator) -> Interval:
        counts = np.maximum(1, draw.poisson(rate, stats.BATCHES))
        batches = np.split(draw.lognormal(0, sigma, counts.sum()), counts.cumsum()[:-1])
        return stats.ratio_interval([float(batch.sum()) for batch in batches], counts.astype(float).tolist())

    assert LEAST <= coverage(float(np.exp(sigma**2 / 2)), interval) <= MOST


@pytest.mark.parametrize(("correlation", "size"), [(0.5, 20), (0.8, 20), (0.8, 50), (0.9, 50)])
def test_ratio_of_autocorrelated_latencies(correlation: float, size: int) -> None:
    """Latencies of neighbours that share a queue, in 40 batches longer than the correlation reaches."""
    draw = np.random.default_rng(5)
    count = stats.BATCHES * size
    noise = draw.normal(size=(count + 100, REPETITIONS))
    series = np.zeros_like(noise)
    for moment in range(1, count + 100):
        series[moment] = correlation * series[moment - 1] + noise[moment]
    latencies = np.exp(0.5 * series[100:] * np.sqrt(1 - correlation**2))
    sums = iter(latencies.reshape(stats.BATCHES, size, REPETITIONS).sum(axis=1).T.tolist())
    found = coverage(float(np.exp(0.125)), lambda _: stats.ratio_interval(next(sums), [float(size)] * stats.BATCHES))
    assert LEAST <= found <= MOST


@pytest.mark.parametrize("kind", ["stars", "waits"])
def test_bootstrap_of_skewed_means(kind: str) -> None:
    groups = 30

    def interval(draw: np.random.Generator) -> Interval:
        if kind == "stars":
            values = draw.choice([1.0, 2.0, 3.0, 4.0, 5.0], groups, p=[0.05, 0.05, 0.1, 0.3, 0.5])
        else:
            values = draw.exponential(4.15, groups)
        return stats.cluster_bootstrap(groups, lambda drawn: drawn @ values / drawn.sum(axis=-1))

    assert LEAST <= coverage(4.15, interval) <= MOST


@pytest.mark.parametrize(("groups", "size", "classes", "right"), [(30, 2, 3, 0.8), (40, 3, 4, 0.7), (60, 3, 4, 0.95)])
def test_bootstrap_of_macro_f1(groups: int, size: int, classes: int, right: float) -> None:
    """Phrasings of a few classes, unequally frequent; some phrasings are hard, and their tasks fail together."""
    prior = np.array([0.4, 0.3, 0.2, 0.1][:classes]) / sum([0.4, 0.3, 0.2, 0.1][:classes])
    names = [f'["s","{true}","{said}"]' for true in range(classes) for said in range(classes)]
    f1 = observations_of({}, "f1").statistic

    def confusions(draw: np.random.Generator, groups: int) -> np.ndarray:
        true = np.repeat(draw.choice(classes, groups, p=prior), size)
        hit = draw.random(groups * size) < np.repeat(beta(draw, right, 0.2, groups), size)
        said = np.where(hit, true, (true + draw.integers(1, classes, groups * size)) % classes)
        flat = np.repeat(np.arange(groups), size) * classes**2 + true * classes + said
        return np.bincount(flat, minlength=groups * classes**2).reshape(groups, classes**2).astype(float)

    def interval(draw: np.random.Generator) -> Interval:
        counts = confusions(draw, groups)
        return stats.share_bootstrap(groups, groups * size, lambda drawn: f1(names, drawn @ counts))

    # The expected value of the figure itself: a macro average of a small sample is lower than that of a large one.
    expected = np.random.default_rng(1)
    truth = float(np.mean(f1(names, np.stack([confusions(expected, groups).sum(axis=0) for _ in range(4000)]))))
    assert LEAST <= coverage(truth, interval) <= MOST


@pytest.mark.parametrize(("percent", "icc"), [(50, 0.0), (50, 0.1), (90, 0.1), (95, 0.0)])
def test_percentiles_of_batches(percent: int, icc: float) -> None:
    """Latencies of 40 batches; with a correlation, some batches are slow as a whole."""
    groups, size = 40, 10
    truth = 0.0 if percent == 50 else {90: 1.2815515655446004, 95: 1.6448536269514722}[percent]

    def interval(draw: np.random.Generator) -> Interval:
        shared = draw.normal(0, np.sqrt(icc), groups)[:, None]
        values = shared + draw.normal(0, np.sqrt(1 - icc), (groups, size))
        return stats.percentile_interval(values.tolist(), percent)

    assert coverage(truth, interval) >= LEAST


def test_a_value_and_its_interval_agree_with_the_observations_they_come_from() -> None:
    units = [
        Observation(str(index), str(index % 35), {"top": float(index % 5 > 0), "bottom": 1.0}) for index in range(70)
    ]
    of_them = Observations(units, lambda names, sums: sums[..., 1] / sums[..., 0], paired=True)
    low, high = of_them.share_interval()
    assert of_them.value() == pytest.approx(0.8)
    assert low is not None
    assert high is not None
    assert 0.6 < low < 0.8 < high < 0.92


@pytest.mark.parametrize(("clusters", "status"), [(MIN_CLUSTERS - 1, "insufficient"), (MIN_CLUSTERS, "ok")])
def test_below_thirty_clusters_nothing_is_claimed(clusters: int, status: str) -> None:
    """However many tasks there are: those of one cluster are not independent."""
    scores = [
        Score(
            suite="s",
            item=str(task),
            cluster=str(task % clusters),
            grader="exact",
            truth="1",
            answer=str(task % 3),
            phase="inference",
        )
        for task in range(300)
    ]
    log = Log(1, {RunBegin: [RunBegin(verb="exam", argv=[])], Score: scores})
    cell = next(metric for metric in compute(log) if (metric.id, metric.phase) == ("pass_at_1", "inference"))
    assert (cell.status, cell.n, cell.clusters) == (status, 300, clusters)
