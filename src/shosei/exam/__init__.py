"""The exam: puts every task of the suites to a subject, and runs the programs among its answers.

In: suites (``wire.suite``, or public benchmarks) and a URL; ``systems`` brings a subject of its own. Out: ``request``,
raw ``score``, ``exec`` and, of judges, ``verdict`` events. Grades nothing: that is the metrics' work. Imports the
floor, ``metrics`` and ``sandbox``; never the build wing or the card.
"""

from shosei.exam.config import ExamConfig
from shosei.exam.counts import Counts, SuiteCount
from shosei.exam.served_model import check, run_exam

__all__ = ["Counts", "ExamConfig", "SuiteCount", "check", "run_exam"]
