"""The 15 metrics, each for training and for inference, as pure functions of the log; ``cells`` is their table.

In: events. Out: ``Metric``. ``observed`` makes facts of events, ``grading`` judges answers, ``stats`` knows numbers
alone, and the five groups have a module a metric. Imports only the floor; never a clock, a file or a network.
To name a metric costs no import of what computes it.
"""

from shosei.metrics.metric import METRIC_IDS, Metric, Plot, Table

__all__ = ["METRIC_IDS", "Metric", "Plot", "Table"]
