"""Tool success: the share of an agent system's tool calls that were answered without an error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shosei.metrics import stats
from shosei.metrics.metric import Figure, Row, Table, Words, text
from shosei.metrics.observed.tool_calls import ANSWERED, ENDED_THERE, ERROR, UNANSWERED, UNDECIDED, AskedTool

# The ends of a tool call, in the order of the table's columns. What is undecided or ended there counts for nothing.
_COUNTED = (ANSWERED, "unknown tool", "invalid arguments", UNANSWERED, ERROR)
_ENDS = (*_COUNTED, UNDECIDED, ENDED_THERE)


def tool_success(asked: Sequence[AskedTool]) -> tuple[dict[str, Figure], list[Table], list[Words]]:
    """The figure, a table of every tool, and a note on what could not be judged; nothing where no tool was called.

    The calls of a task are not independent of each other: the interval is over tasks. The figure has no value where no
    request carried a result that could be judged.
    """
    if not asked:
        return {}, [], []
    tools = sorted({call.tool for call in asked})
    rows: list[Row] = [[tool, *_line([call for call in asked if call.tool == tool])] for tool in tools]
    if len(tools) > 1:
        rows.append([text("term.total"), *_line(asked)])
    ends = ["agents.tool." + end.replace(" ", "_") for end in _ENDS]
    columns = ["agents.tool.tool", "agents.calls", *ends, "agents.tool.success", "term.low_95", "term.high_95"]
    return {"tool_success": _figure(asked)}, [Table.of("agents.tool.tools", columns, rows)], _notes(asked)


def _figure(asked: Sequence[AskedTool]) -> Figure:
    clusters = _outcomes(asked)
    if not _judged(asked):
        return Figure(None, "", "higher", n=len(clusters))
    share, interval = _success(asked)
    return Figure(share, "", "higher", interval, len(clusters))


def _judged(asked: Sequence[AskedTool]) -> bool:
    """Whether any result was read and judged."""
    return any(call.end in (ANSWERED, ERROR) for call in asked)


def _notes(asked: Sequence[AskedTool]) -> list[Words]:
    counts = Counter(call.end for call in asked)
    results = counts[ANSWERED] + counts[ERROR] + counts[UNDECIDED]
    notes: list[Words] = []
    if not _judged(asked):
        notes.append(text("agents.tool.not_measured", calls=len(asked)))
    if counts[UNDECIDED]:
        share = f"{counts[UNDECIDED] / results:.1%}"
        notes.append(text("agents.tool.undecided_results", count=counts[UNDECIDED], results=results, share=share))
    return notes


def _line(asked: Sequence[AskedTool]) -> Row:
    counts = Counter(call.end for call in asked)
    share, (low, high) = _success(asked)
    return [len(asked), *(counts[end] for end in _ENDS), share, low, high]


def _success(asked: Sequence[AskedTool]) -> tuple[float | None, stats.Interval]:
    clusters = _outcomes(asked)
    if not clusters:
        return None, (None, None)
    return stats.mean([outcome for task in clusters for outcome in task]), stats.wilson_clustered(clusters)


def _outcomes(asked: Sequence[AskedTool]) -> list[list[float]]:
    """1 for a call that was answered, 0 for one that was not, by task."""
    outcomes: dict[str, list[float]] = {}
    for call in asked:
        if call.end in _COUNTED:
            outcomes.setdefault(call.task, []).append(float(call.end == ANSWERED))
    return list(outcomes.values())
