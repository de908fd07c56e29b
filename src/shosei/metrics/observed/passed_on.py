"""What a gateway passed on without measuring it: no calls to a chat model, so in no rate of calls."""

from __future__ import annotations

from collections import defaultdict

from shosei.log import Log, PassedOn
from shosei.metrics.metric import Row, Table, text


def passed_on(log: Log) -> list[Table]:
    """A table of how many there were by path and status, with the tokens that their answers counted; none of none."""
    groups: defaultdict[tuple[str, int], list[PassedOn]] = defaultdict(list)
    for request in log.of(PassedOn):
        groups[request.path, request.status or 0].append(request)
    rows: list[Row] = []
    for (path, status), requests in sorted(groups.items()):
        counted = [request.tokens for request in requests if request.tokens is not None]
        ended = str(status) if status else text("agents.no_answer")
        rows.append([path, ended, len(requests), sum(counted) if counted else None])
    columns = ["agents.path", "agents.status", "reliability.requests", "agents.tokens"]
    return [Table.of("agents.passed_on", columns, rows)] if rows else []
