"""The cells of reliability."""

from __future__ import annotations

from shosei.log import Fault, Heartbeat, ProcExit, ProcStart, Request, Restart, Step
from shosei.metrics.cell import Cell
from shosei.metrics.reliability.crash_rate import crash_rate, crash_units
from shosei.metrics.reliability.error_rate import request_errors, request_units, step_errors, step_units
from shosei.metrics.reliability.restart_count import restart_count, restart_units

_TRAIN = "shosei supervise --run RUN -- shosei train --run RUN"
_SERVE = "shosei serve RUN --run RUN"
_AFTER_CRASHES = (Step, Request, Heartbeat, Fault)

CELLS = [
    Cell("crash_rate", "training", "per start", "lower", (ProcStart, ProcExit), crash_rate, _AFTER_CRASHES,
         command=_TRAIN, units=crash_units),
    Cell("crash_rate", "inference", "per start", "lower", (ProcStart, ProcExit), crash_rate, _AFTER_CRASHES,
         command=_SERVE, units=crash_units),
    Cell("restart_count", "training", "restarts", "lower", (Restart,), restart_count,
         command=_TRAIN, units=restart_units),
    Cell("restart_count", "inference", "restarts", "lower", (Restart,), restart_count,
         command=_SERVE, units=restart_units),
    Cell("error_rate", "training", "", "lower", (Step,), step_errors,
         command="shosei train --run RUN", units=step_units),
    Cell("error_rate", "inference", "", "lower", (Request,), request_errors, (Fault,),
         command="shosei load URL --run RUN", units=request_units),
]  # fmt: skip
