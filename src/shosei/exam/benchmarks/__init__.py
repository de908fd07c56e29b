"""Readers of public benchmark formats: a file in, ``wire.suite.Task`` out. Formats, not benchmarks, are known here.

``humaneval``: JSON Lines of programming tasks (HumanEval, MBPP, JHumanEval, HumanEval-XL). ``table``: JSON Lines, CSV
or TSV of questions with answers, choices or labels (GSM8K, MGSM, CMMLU, sentiment and intent sets). ``squad``: JSON of
paragraphs with questions and answer spans (SQuAD, CMRC 2018, JaQuAD). ``shosei``: this project's own suites.
"""

from shosei.exam.benchmarks.read import FORMATS, Schema, benchmark_files, read_benchmark, read_benchmarks

__all__ = ["FORMATS", "Schema", "benchmark_files", "read_benchmark", "read_benchmarks"]
