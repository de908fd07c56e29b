"""What a task may spend, what each has spent, and when it has spent enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

BUDGET_CODE = "budget_exceeded"  # of the error that a client is told


class TaskBudget(msgspec.Struct, frozen=True):
    """What one task may spend; None: as much as it likes. Streams that are under way when tokens run out are cut."""

    calls: int | None = None
    tokens: int | None = None  # of prompts and of answers


@dataclass(slots=True)
class Spent:
    """What one task has asked for so far. Tokens are those that the upstream counted, or else estimated.

    Those of a call under way are an estimate, which its end corrects.
    """

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

    def charge(self, task: str) -> Charge:
        """The account of one call."""
        return Charge(self, task)

    def is_left(self, task: str) -> bool:
        """Whether the task has spent no more tokens than it may; where it has, its calls under way are to end."""
        spent, most = self.account(task), self._budget.tokens
        over = most is not None and spent.tokens_in + spent.tokens_out > most
        if over and not spent.exceeded:
            spent.exceeded = "tokens"
            self._on_exceeded(task)
        return not over and spent.exceeded != "tokens"

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


class Charge:
    """What one call costs its task: what is known of it while it runs, and in the end all of it."""

    def __init__(self, budgets: TaskBudgets, task: str) -> None:
        self._budgets, self._task = budgets, task
        self._tokens_in = self._tokens_out = 0

    def grow(self, tokens_in: int, tokens_out: int) -> bool:
        """Count so many tokens of the call until now; whether the task may go on."""
        self.settle(tokens_in, tokens_out)
        return self._budgets.is_left(self._task)

    def settle(self, tokens_in: int, tokens_out: int) -> None:
        """Count so many tokens of the call in all. Nobody is told if those are too many: the next call is."""
        spent = self._budgets.account(self._task)
        spent.tokens_in += tokens_in - self._tokens_in
        spent.tokens_out += tokens_out - self._tokens_out
        self._tokens_in, self._tokens_out = tokens_in, tokens_out


def words_over(task: str) -> str:
    """What whoever calls for a task is told when its budget is spent."""
    whose = f"task '{task}'" if task else "the calls that name no task"
    return f"The budget of {whose} is spent"
