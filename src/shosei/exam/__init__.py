"""The exam: asks a model server every task of the suites, and runs the programs among its answers.

In: suites (``wire.suite``, or public benchmarks) and a URL. Out: ``request``, raw ``score`` and ``exec`` events. Grades
nothing: that is the metrics' work. Imports the floor, ``metrics`` and ``sandbox``; never the build wing or the card.
"""

from shosei.exam.config import ExamConfig
from shosei.exam.exam import OnProgress, SuiteCount, check, run_exam

__all__ = ["ExamConfig", "OnProgress", "SuiteCount", "check", "run_exam"]
