"""What was observed, as facts: tasks, answers, requests, steps, starts, counters and windows of time.

In: a log. Out: facts for the metrics' modules to count. Makes no tables and no values of cells.
"""
