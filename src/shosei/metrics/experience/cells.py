"""The cells of user experience."""

from __future__ import annotations

from shosei.log import Fault, ProcStart, Rating, Request, Section, Step, Window
from shosei.metrics.cell import Cell
from shosei.metrics.experience.response_time import response_time
from shosei.metrics.experience.satisfaction import satisfaction, satisfaction_units
from shosei.metrics.experience.step_latency import step_latency
from shosei.metrics.text import text

_TRAIN = "shosei train --run RUN"
_LOAD = "shosei load URL --run RUN"
_RATINGS = "shosei ratings FILE.csv --run RUN"
_UNRATED = text("experience.nobody_rated")

CELLS = [
    Cell("response_time", "training", "ms", "lower", (Step,), step_latency, (Section, ProcStart), _TRAIN),
    Cell("response_time", "inference", "ms", "lower", (Request, Window), response_time, (Fault,), _LOAD),
    Cell("satisfaction", "training", "", "higher", (Rating,), satisfaction, (Request,), absent=_UNRATED,
         units=satisfaction_units),
    Cell("satisfaction", "inference", "", "higher", (Rating,), satisfaction, (Request,), _RATINGS, _UNRATED,
         units=satisfaction_units),
]  # fmt: skip
