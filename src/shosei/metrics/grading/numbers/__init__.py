"""The number that an answer gives: ``markup`` folded away, ``forms`` read into exact numbers, one of them chosen.

In: an answer and the truth of its task. Out: the number or why there is none, and whether it is the truth's. The
rules stand in docs/grading.md; ``final`` applies them, with the words of ``cues``.
"""

from shosei.metrics.grading.numbers.final import FinalNumber, extract_number, final_number
from shosei.metrics.grading.numbers.truth import equals_truth, true_number, truth_text, written

__all__ = [
    "FinalNumber",
    "equals_truth",
    "extract_number",
    "final_number",
    "true_number",
    "truth_text",
    "written",
]
