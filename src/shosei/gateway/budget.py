"""What a task may spend, what each has spent, and when it has spent enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec


class TaskBudget(msgspec.Struct, frozen=True):
    """What one task may spend; None: as much as it likes. Calls that are under way when tokens run out still end."""

    calls: int | None = None
    tokens: int | None = None  # of prompts and of answers


@dataclass(slots=True)
class Spent:
    """What one task has asked for so far. Tokens are those that the upstream counted."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    exceeded: str = ""  # "" | calls | tokens: the limit that the last call would have gone over


class TaskBudgets:
    """Counts what tasks spend. Calls that name no task share one account, whose name is empty."""

    def __init__(self, budget: TaskBudget, on_exceeded: Callable[[str], None]) -> None:
        self._budget, self._on_exceeded = budget, on_exceeded
        self._accounts: dict[str, Spent] = {}

    def account(self, task: str) -> Spent:
        return self._accounts.setdefault(task, Spent())

    def charge(self, task: str, tokens_in: int, tokens_out: int) -> None:
        """Count what one call has spent."""
        spent = self.account(task)
        spent.tokens_in += tokens_in
        spent.tokens_out += tokens_out

    def admit(self, task: str) -> bool:
        """Count one more call, unless that would exceed the task's budget."""
        spent, budget = self.account(task), self._budget
        if spent.exceeded:
            return False
        if budget.calls is not None and spent.calls >= budget.calls:
            spent.exceeded = "calls"
        elif budget.tokens is not None and spent.tokens_in + spent.tokens_out >= budget.tokens:
            spent.exceeded = "tokens"
        else:
            spent.calls += 1
            return True
        self._on_exceeded(task)
        return False
