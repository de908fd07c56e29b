"""The table of the card's cells: each with its function, what it reads and its command."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shosei.log import (
    Comm,
    Epoch,
    Exec,
    Fault,
    Heartbeat,
    HeldOut,
    Log,
    PassedOn,
    ProcExit,
    ProcStart,
    Rating,
    Request,
    Restart,
    Sample,
    Score,
    Section,
    Step,
    Survey,
    Verdict,
    Window,
    Workflow,
)
from shosei.metrics import gateway_alone
from shosei.metrics.accuracy.classification import classification
from shosei.metrics.accuracy.confusion import MEASURES
from shosei.metrics.accuracy.money import cost_of_tasks
from shosei.metrics.accuracy.pass_at_1 import pass_at_1
from shosei.metrics.accuracy.solved_tasks import solved_tasks
from shosei.metrics.cell import Cell
from shosei.metrics.experience.response_time import response_time, step_latency, task_time
from shosei.metrics.experience.satisfaction import satisfaction
from shosei.metrics.gateway_alone import of_load, with_agents
from shosei.metrics.metric import (
    COST_KEYS,
    Metric,
    Phase,
    text,
)
from shosei.metrics.observed.series import ran_here
from shosei.metrics.observed.tasks import behind_gateway_alone, submitted
from shosei.metrics.performance.gpu_utilization import gpu_utilization
from shosei.metrics.performance.inference_speed import request_rate, task_rate, training_rate
from shosei.metrics.performance.training_speed import epoch_time, task_pass, workload_time
from shosei.metrics.prices import Prices
from shosei.metrics.reliability.crash_rate import crash_rate
from shosei.metrics.reliability.error_rate import request_errors, step_errors, task_errors
from shosei.metrics.reliability.restart_count import restart_count
from shosei.metrics.resources.disk_io import disk_io
from shosei.metrics.resources.memory import memory
from shosei.metrics.resources.network import between_nodes, client_to_server
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.value import Unmeasurable, Value
from shosei.progress import progress

_TRAIN = "shosei train --run RUN"
_EXAM = "shosei exam URL --run RUN --suite PATH"
_LOAD = "shosei load URL --run RUN"
_SERVE = "shosei serve RUN --run RUN"
_SUPERVISE = "shosei supervise --run RUN -- shosei train --run RUN"
_AGENTS = "shosei agents run SYSTEM --tasks SUITE --base-url URL --run RUN"
_RATINGS = "shosei ratings FILE.csv --run RUN"
_OPINIONS = (Rating, Survey, Request)
_AFTER_CRASHES = (Step, Request, Heartbeat, Fault)


def compute(log: Log, service_level: ServiceLevel | None = None, prices: Prices | None = None) -> list[Metric]:
    """The 15 metrics of one attempt, each for training and for inference, in the card's order. A pure function.

    ``service_level`` is what goodput counts by, ``prices`` what tasks cost by.
    """
    measured = cells_of(log, service_level or ServiceLevel(), prices)
    with progress("computing the metrics", len(measured), "cells") as work:
        return [cell.compute(log) for cell in work.over(measured)]


def cells_of(log: Log, service_level: ServiceLevel, prices: Prices | None = None) -> list[Cell]:
    """The 30 cells that fit what an attempt measured.

    Tasks, where there are any, stand before single requests. Calls that only a gateway saw are requests, with what is
    known of agents beside.
    """
    if submitted(log):
        return cells(service_level, task_cells(service_level, prices))
    return cells(service_level, call_cells(service_level, prices) if behind_gateway_alone(log) else ())


def cells(service_level: ServiceLevel, instead: Sequence[Cell] = ()) -> list[Cell]:
    """The 30 cells, in the card's order. ``instead``: those that stand in place of others."""
    chosen = {(cell.id, cell.phase): cell for cell in instead}
    groups = [_performance(service_level), _accuracy(), _resources(), _reliability(), _experience()]
    return [chosen.get((cell.id, cell.phase), cell) for group in groups for cell in group]


def task_cells(service_level: ServiceLevel, prices: Prices | None = None) -> list[Cell]:
    """The cells that an agent system's tasks measure instead of requests."""
    return [
        Cell("training_speed", "inference", "s", "lower", (Workflow,), task_pass, command=_AGENTS),
        Cell(
            "inference_speed",
            "inference",
            "tasks/s",
            "higher",
            (Workflow,),
            task_rate(service_level),
            (Request,),
            command=_AGENTS,
        ),
        Cell(
            "pass_at_1",
            "inference",
            "",
            "higher",
            (Score, Workflow),
            solved_tasks(prices),
            (Exec, Verdict, Request) if prices else (Exec, Verdict),
            command=_AGENTS,
        ),
        Cell("error_rate", "inference", "", "lower", (Workflow,), task_errors, (Request, PassedOn), command=_AGENTS),
        Cell("response_time", "inference", "ms", "lower", (Workflow,), task_time, (Request,), command=_AGENTS),
    ]


def cost_cells(prices: Prices) -> list[Cell]:
    """What an agent system's tasks cost, for a comparison: the card has it as figures of pass@1."""
    return [
        Cell(
            id,
            phase,
            prices.currency,
            "lower",
            (Score, Workflow),
            cost_of_tasks(id.partition(".")[2], prices),
            (Exec, Verdict, Request),
            command=_AGENTS,
        )
        for id, phase in COST_KEYS
    ]


def call_cells(service_level: ServiceLevel, prices: Prices | None = None) -> list[Cell]:
    """The cells of requests where only a gateway recorded an agent system."""
    rate, time = of_load(request_rate(service_level)), of_load(response_time)
    errors, windows = gateway_alone.errors(prices), (Window, Fault)
    return [
        Cell(
            "inference_speed",
            "inference",
            "requests/s",
            "higher",
            (Request,),
            with_agents(rate, gateway_alone.work),
            windows,
            command=_LOAD,
        ),
        Cell(
            "error_rate",
            "inference",
            "",
            "lower",
            (Request,),
            with_agents(request_errors, errors),
            (Fault, PassedOn, Window),
            command=_LOAD,
        ),
        Cell(
            "response_time",
            "inference",
            "ms",
            "lower",
            (Request,),
            with_agents(time, gateway_alone.times),
            windows,
            command=_LOAD,
        ),
    ]


def _performance(service_level: ServiceLevel) -> list[Cell]:
    return [
        Cell(
            "training_speed",
            "training",
            "s",
            "lower",
            (Epoch, Step),
            epoch_time,
            (Section, ProcExit, HeldOut),
            command=_SUPERVISE,
        ),
        Cell("training_speed", "inference", "s", "lower", (Request,), workload_time, command=_EXAM),
        Cell("inference_speed", "training", "samples/s", "higher", (Step,), training_rate, command=_TRAIN),
        Cell(
            "inference_speed",
            "inference",
            "requests/s",
            "higher",
            (Request, Window),
            request_rate(service_level),
            (Fault,),
            command=_LOAD,
        ),
        Cell(
            "gpu_utilization", "training", "", "higher", (), _where_it_ran("training", gpu_utilization), (Sample, Step)
        ),
        Cell("gpu_utilization", "inference", "", "higher", (), _where_it_ran("inference", gpu_utilization), (Sample,)),
    ]


def _accuracy() -> list[Cell]:
    commands: dict[Phase, str] = {"training": _TRAIN, "inference": _EXAM}
    return [
        Cell(measure, phase, "", "higher", (Score,), classification(measure), (Workflow,), command=command)
        for measure in MEASURES
        for phase, command in commands.items()
    ] + [
        Cell("pass_at_1", phase, "", "higher", (Score,), pass_at_1, (Exec, Verdict), command=command)
        for phase, command in commands.items()
    ]


def _resources() -> list[Cell]:
    return [
        Cell("memory", "training", "bytes", "lower", (Sample,), memory, command=_SUPERVISE),
        Cell("memory", "inference", "bytes", "lower", (Sample,), memory, command=_SERVE),
        Cell("disk_io", "training", "MB/s", "lower", (Sample,), disk_io, command=_SUPERVISE),
        Cell("disk_io", "inference", "MB/s", "lower", (Sample,), disk_io, command=_SERVE),
        Cell("network", "training", "Gbps", "higher", (), _where_it_ran("training", between_nodes), (Sample, Comm)),
        Cell("network", "inference", "Gbps", "higher", (), client_to_server, (Request, Window)),
    ]


def _reliability() -> list[Cell]:
    crashes = (ProcStart, ProcExit)
    return [
        Cell("crash_rate", "training", "per start", "lower", crashes, crash_rate, _AFTER_CRASHES, command=_SUPERVISE),
        Cell("crash_rate", "inference", "per start", "lower", crashes, crash_rate, _AFTER_CRASHES, command=_SERVE),
        Cell("restart_count", "training", "restarts", "lower", (Restart,), restart_count, command=_SUPERVISE),
        Cell("restart_count", "inference", "restarts", "lower", (Restart,), restart_count, command=_SERVE),
        Cell("error_rate", "training", "", "lower", (Step,), step_errors, command=_TRAIN),
        Cell(
            "error_rate", "inference", "", "lower", (Request,), request_errors, (Fault, PassedOn, Window), command=_LOAD
        ),
    ]


def _experience() -> list[Cell]:
    return [
        Cell("response_time", "training", "ms", "lower", (Step,), step_latency, (Section, ProcStart), _TRAIN),
        Cell("response_time", "inference", "ms", "lower", (Request, Window), response_time, (Fault,), _LOAD),
        Cell("satisfaction", "training", "", "higher", (), satisfaction, _OPINIONS),
        Cell("satisfaction", "inference", "", "higher", (), satisfaction, _OPINIONS, _RATINGS),
    ]


def _where_it_ran(phase: Phase, function: Callable[[Log], Value]) -> Callable[[Log], Value]:
    """A value of the machine, which holds only if this attempt itself ran or supervised the phase."""

    def compute(log: Log) -> Value:
        if not ran_here(log, phase):
            raise Unmeasurable("not_measured", text("resources.machine_unknown", phase=text(f"phase.{phase}")))
        return function(log)

    return compute
