"""The exam: asks a model server every task of the suites, and runs the programs among its answers.

In: suites (``wire.suite``, or public benchmarks) and a URL. Out: ``request``, raw ``score`` and ``exec`` events. Grades
nothing: that is the metrics' work. Imports the floor and ``metrics``; never the build wing, the card, or what is heavy.
"""

from shosei.exam.config import ExamConfig
from shosei.exam.exam import Progress, SuiteCount, check, run_exam
from shosei.exam.proof import choose
from shosei.exam.sandbox import available

__all__ = ["ExamConfig", "Progress", "SuiteCount", "available", "check", "choose", "run_exam"]
