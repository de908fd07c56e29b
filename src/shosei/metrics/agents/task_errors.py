"""Error rate of an agent system: tasks that it failed to answer, and calls to the model that failed on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shosei.log import Log, Request, Workflow
from shosei.metrics import stats
from shosei.metrics.agents.calls import names, table, unattributed
from shosei.metrics.agents.solved import stopped
from shosei.metrics.agents.tasks import by_task, calls, submitted
from shosei.metrics.agents.tools import tool_success
from shosei.metrics.cell import Value
from shosei.metrics.metric import Figure, Row, Table
from shosei.metrics.reliability.error_rate import failure
from shosei.metrics.text import Words, text
from shosei.metrics.units import Unit, Units, by_cluster, share

_ENDS = {"raised", "timeout", "crashed", "no answer", "flood", "budget", "unused endpoint"}


def task_errors(log: Log) -> Value:
    """Tasks whose system gave no answer in time, per task submitted; a wrong answer is no error."""
    tasks = submitted(log)
    vantage, made = calls(log)
    tried = by_task(made)
    clusters = [[unit.adds["top"] for unit in cluster] for cluster in by_cluster(error_units(log).units)]
    figures, tools = tool_success(tried)
    return Value(
        value=stats.mean([float(bool(task.error)) for task in tasks]), n=len(tasks), clusters=len(clusters),
        unit_of_n=text("accuracy.clusters"), ci=stats.wilson_clustered(clusters),
        ci_method=text("accuracy.wilson_clustered"), detail=text("agents.failed_per_task"),
        figures=_of_calls(tried) | figures,
        notes=[*stopped(tasks), *unattributed(made), *([text("reliability.seen_by", vantage=vantage)] if made else [])],
        breakdown=[_by_type(tasks, made), *([table(tried, names(made))] if made else []), *tools],
    )  # fmt: skip


def error_units(log: Log) -> Units:
    """One unit a task: the share of its samples that failed."""
    samples: dict[tuple[str, str], list[Workflow]] = {}
    for task in submitted(log):
        samples.setdefault((task.suite, task.item), []).append(task)
    return Units(
        [
            Unit(
                f"{suite}/{item}",
                f"{suite}/{tasks[0].cluster}",
                {"top": stats.mean([float(bool(task.error)) for task in tasks]), "bottom": 1.0},
            )
            for (suite, item), tasks in samples.items()
        ],
        share,
        paired=True,
    )


def _of_calls(tried: dict[str, list[Request]]) -> dict[str, Figure]:
    """The share of calls that failed; those of one task are not independent."""
    clusters = [[float(bool(call.error)) for call in made] for made in tried.values()]
    if not clusters:
        return {}
    rate = stats.mean([outcome for task in clusters for outcome in task])
    return {"calls": Figure(rate, "", "lower", stats.wilson_clustered(clusters), len(clusters))}


def _by_type(tasks: Sequence[Workflow], made: Sequence[Request]) -> Table:
    """How tasks ended, and how calls did."""
    rows: list[Row] = []
    for error, count in sorted(Counter(task.error for task in tasks).items()):
        rows.append([text("agents.tasks"), _ended(error), count, count / len(tasks)])
    for error, count in sorted(Counter(call.error for call in made).items()):
        rows.append([text("agents.calls"), failure(error), count, count / len(made)])
    columns: list[Words] = [text("agents.what"), text("reliability.error"), "n", text("term.share")]
    return Table(text("reliability.by_type"), columns, rows)


def _ended(error: str) -> Words:
    if not error:
        return text("reliability.no_error")
    return text("agents.ended." + error.replace(" ", "_")) if error in _ENDS else error
