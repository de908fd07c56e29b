"""Statistics that know nothing of logs or metrics: intervals, bootstrap, and the difference of two measurements.

In: numbers, outcomes, ``Observations``. Out: intervals, a ``Difference`` and what it comes to. Imports no other part of
``metrics`` but ``text``.
"""

from shosei.metrics.stats.bootstrap import RESAMPLES, bootstrap_error, cluster_bootstrap, share_bootstrap
from shosei.metrics.stats.bursts import Burstiness, share_in_time, time_batches_of
from shosei.metrics.stats.intervals import (
    BATCHES,
    MIN_CLUSTERS,
    PERCENTILE_MIN_N,
    Interval,
    design_effect,
    mean,
    percentile,
    percentile_interval,
    poisson,
    ratio_interval,
    student_quantile,
    student_t,
    variance,
    wilson,
    wilson_clustered,
)

__all__ = [
    "BATCHES",
    "MIN_CLUSTERS",
    "PERCENTILE_MIN_N",
    "RESAMPLES",
    "Burstiness",
    "Interval",
    "bootstrap_error",
    "cluster_bootstrap",
    "design_effect",
    "mean",
    "percentile",
    "percentile_interval",
    "poisson",
    "ratio_interval",
    "share_bootstrap",
    "share_in_time",
    "student_quantile",
    "student_t",
    "time_batches_of",
    "variance",
    "wilson",
    "wilson_clustered",
]
