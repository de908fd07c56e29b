"""The cells of requests where only a gateway recorded a system's calls: what it saw of agents stands beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shosei.log import Log, Request, Window
from shosei.metrics.accuracy.money import money_as_seen
from shosei.metrics.experience.critical_path import agent_times, timing_tables
from shosei.metrics.experience.response_time import times_as_seen
from shosei.metrics.experience.tool_time import tool_times
from shosei.metrics.metric import Figure, Key, Table, Text, text
from shosei.metrics.observed.tasks import as_seen, by_named_task, by_task, calls, in_stretches, names
from shosei.metrics.observed.tool_calls import asked_tools
from shosei.metrics.performance import transfers
from shosei.metrics.prices import Prices
from shosei.metrics.reliability.error_rate import failed_calls, table, unattributed
from shosei.metrics.reliability.tool_success import tool_success
from shosei.metrics.value import Unmeasurable, Value

Function = Callable[[Log], Value]


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a cell's value, or stands there without one."""

    breakdown: Sequence[Table] = ()
    notes: Sequence[Key | Text] = ()
    figures: dict[str, Figure] = field(default_factory=dict)


def with_agents(function: Function, beside: Callable[[Log], Beside]) -> Function:
    """A cell of requests with what is known of agents; a cell without a value keeps its reason and has it, too."""

    def compute(log: Log) -> Value:
        more = beside(log)
        try:
            value = function(log)
        except Unmeasurable as error:
            error.breakdown += more.breakdown
            error.notes += more.notes
            raise
        value.breakdown += more.breakdown
        value.notes = [*value.notes, *more.notes]
        value.figures |= more.figures
        return value

    return compute


def of_load(function: Function) -> Function:
    """A cell that only a load measures: agents ask when they like, which says nothing of what a server can take."""

    def compute(log: Log) -> Value:
        if not log.of(Window):
            raise Unmeasurable("not_measured", "agents.no_load", "shosei load URL --run RUN")
        return function(log)

    return compute


def work(log: Log) -> Beside:
    """How work goes from agent to agent, in the tasks that calls name."""
    made = calls(log)[1]
    return Beside(transfers.tables(by_named_task(made), names(made)), _unnamed(made))


def errors(prices: Prices | None) -> Callable[[Log], Beside]:
    """Each agent's calls and tools, and what they cost by ``prices``.

    Calls that name no task are one stretch: their tool results are known by id.
    """

    def beside(log: Log) -> Beside:
        made = calls(log)[1]
        tried = in_stretches(made)
        figures, tools, undecided = tool_success(asked_tools(tried))
        paid, unknown = money_as_seen(made, prices) if prices else ([], [])
        notes = [*unattributed(made), *undecided, *unknown]
        return Beside([table(tried, names(made)), *paid, *tools], notes, failed_calls(tried) | figures)

    return beside


def times(log: Log) -> Beside:
    """How long each agent's calls, each tool and each named task took, and the critical path of those tasks."""
    made = calls(log)[1]
    named, tasks = names(made), by_named_task(made)
    tools = tool_times(asked_tools(in_stretches(made)))
    if not tasks:
        return Beside([agent_times(by_task(made), named), *tools], _unnamed(made))
    seen = as_seen(tasks)
    on_path = timing_tables(seen, by_task(made), named)
    return Beside([times_as_seen(seen), *on_path, *tools], ["agents.seen_alone", *_unnamed(made)])


def _unnamed(made: Sequence[Request]) -> list[Text]:
    """A note where calls name no task, so that nobody knows what followed what."""
    count = sum(not call.task for call in made)
    share = f"{count / len(made):.1%}"
    return [text("agents.unnamed_tasks", count=count, calls=len(made), share=share)] if count else []
