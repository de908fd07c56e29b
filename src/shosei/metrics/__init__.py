"""The 15 metrics, each for training and for inference, as pure functions of the log; statistics and grading.

In: events. Out: ``Metric``. Imports only the floor; never a clock, a file or a network.
"""
