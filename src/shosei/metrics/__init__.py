"""The 15 metrics, each for training and for inference, as pure functions of the log; statistics and grading.

In: events. Out: ``Metric``. Imports only the floor; never a clock, a file or a network.
"""

from shosei.metrics.compute import compute
from shosei.metrics.metric import METRIC_IDS, Metric, Plot, Table

__all__ = ["METRIC_IDS", "Metric", "Plot", "Table", "compute"]
