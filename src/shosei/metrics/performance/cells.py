"""The cells of performance."""

from __future__ import annotations

from shosei.log import Epoch, Fault, HeldOut, ProcExit, Request, Sample, Section, Step, Window
from shosei.metrics.cell import Cell
from shosei.metrics.performance.epoch_time import epoch_time
from shosei.metrics.performance.gpu_utilization import gpu_utilization
from shosei.metrics.performance.request_rate import request_rate
from shosei.metrics.performance.training_rate import training_rate
from shosei.metrics.performance.workload_time import workload_time
from shosei.metrics.series import fact_of_this_machine
from shosei.metrics.service_level import ServiceLevel


def cells(service_level: ServiceLevel) -> list[Cell]:
    """The cells of this group, with goodput counted by ``service_level``."""
    return [
        Cell("training_speed", "training", "s", "lower", (Epoch, Step), epoch_time,
             may_read=(Section, ProcExit, HeldOut),
             command="shosei supervise --run RUN -- shosei train --run RUN"),
        Cell("training_speed", "inference", "s", "lower", (Request,), workload_time,
             command="shosei exam URL --run RUN --suite PATH"),
        Cell("inference_speed", "training", "samples/s", "higher", (Step,), training_rate,
             command="shosei train --run RUN"),
        Cell("inference_speed", "inference", "requests/s", "higher", (Request, Window),
             request_rate(service_level), may_read=(Fault,), command="shosei load URL --run RUN"),
        Cell("gpu_utilization", "training", "", "higher", (),
             fact_of_this_machine("training", gpu_utilization), may_read=(Sample, Step)),
        Cell("gpu_utilization", "inference", "", "higher", (),
             fact_of_this_machine("inference", gpu_utilization), may_read=(Sample,)),
    ]  # fmt: skip
