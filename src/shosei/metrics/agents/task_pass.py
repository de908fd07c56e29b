"""Training speed's row in inference, for an agent system: the time of one pass over its tasks."""

from __future__ import annotations

from shosei.log import Log
from shosei.metrics.agents.tasks import sessions, submitted
from shosei.metrics.bins import SECOND_NS
from shosei.metrics.cell import Unmeasurable, Value
from shosei.metrics.metric import Table
from shosei.metrics.text import text


def task_pass(log: Log) -> Value:
    """Seconds from the first submission to the last end, failed tasks among them, pauses between sessions apart."""
    tasks = submitted(log)
    seconds = sum(end - begin for begin, end in sessions(tasks)) / SECOND_NS
    if seconds <= 0:
        raise Unmeasurable("not_measured", text("performance.no_time"))
    columns = [text("agents.tasks"), text("term.seconds"), text("agents.failed")]
    return Value(
        value=seconds, n=len(tasks), clusters=1, unit_of_n=text("term.passes"), detail=text("agents.pass"),
        ci_method=text("performance.one_pass"),
        breakdown=[Table(text("performance.pass_table"), columns, [
            [len(tasks), seconds, sum(bool(task.error) for task in tasks)],
        ])],
    )  # fmt: skip
