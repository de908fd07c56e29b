"""Readers of public benchmark formats: a file in, ``wire.suite.Task`` out. Formats, not benchmarks, are known here.

``humaneval``: programming tasks (HumanEval, MBPP, JHumanEval, HumanEval-XL). ``table``: questions with answers, choices
or labels (GSM8K, MGSM, CMMLU, sentiment and intent sets), also in CSV and TSV. Both in JSON Lines or a JSON array.
``squad``: JSON of paragraphs with questions and answer spans (SQuAD, CMRC 2018, JaQuAD). ``shosei``: this project's own
suites.
"""

from shosei.exam.benchmarks.entries import ANSWER_IS, FORMATS, Schema
from shosei.exam.benchmarks.read import (
    benchmark_files,
    benchmark_hashes,
    read_benchmark,
    read_benchmarks,
    unused_columns,
)

__all__ = [
    "ANSWER_IS",
    "FORMATS",
    "Schema",
    "benchmark_files",
    "benchmark_hashes",
    "read_benchmark",
    "read_benchmarks",
    "unused_columns",
]
