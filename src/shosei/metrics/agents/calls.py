"""What each agent asked of the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from shosei.log import Request
from shosei.metrics.metric import Row, Table
from shosei.metrics.text import Words, text

_UNATTRIBUTED = "unattributed"


def names(made: Iterable[Request]) -> dict[str, Words]:
    """How each agent is called on the card."""
    return {
        call.agent: text("agents.unattributed") if call.agent in ("", _UNATTRIBUTED) else call.agent for call in made
    }


def retries(made: Sequence[Request]) -> int:
    """Of one agent's calls in one task, those that follow on one that failed."""
    return sum(bool(before.error) for before in made[:-1])


def table(tasks: Mapping[str, Sequence[Request]], named: Mapping[str, Words]) -> Table:
    """Each agent's calls, tokens, errors and retries, and how the gateway knew it."""
    rows: list[Row] = []
    for agent in sorted(named):
        per_task = [[call for call in made if call.agent == agent] for made in tasks.values()]
        own = [call for made in per_task for call in made]
        known_by = sorted({call.attribution for call in own if call.attribution and call.attribution != _UNATTRIBUTED})
        rows.append([
            named[agent], len(own), _tokens([call.tokens_in for call in own]),
            _tokens([call.tokens_out for call in own]), sum(bool(call.error) for call in own),
            sum(map(retries, per_task)), ", ".join(known_by) or None,
        ])  # fmt: skip
    columns = [
        text("agents.agent"), text("agents.calls"), text("agents.tokens_in"), text("agents.tokens_out"),
        text("reliability.errors"), text("agents.retries"), text("agents.known_by"),
    ]  # fmt: skip
    return Table(text("agents.agents"), columns, rows)


def unattributed(made: Sequence[Request]) -> list[Words]:
    """A note where nobody knows which agent some calls were of."""
    count = sum(call.agent in ("", _UNATTRIBUTED) for call in made)
    if not count:
        return []
    return [text("agents.unattributed_calls", count=count, calls=len(made), share=f"{count / len(made):.1%}")]


def _tokens(counts: Sequence[int | None]) -> int | None:
    """The sum; None where no call told. A call that failed has none."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
