"""How much a search may cost: trials, or time; and how it is shared between search and confirmation."""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass
from typing import cast

from shosei.errors import InputError
from shosei.quantity import parse_seconds
from shosei.tune.record import Record
from shosei.tune.trial import Stage, Subject

# Few rounds find no gain however good the search was. Of 60 trials with 15 % noise, 24 find a setting worth 20 % in
# 19 of 20 searches, and the 18 rounds of the rest confirm it in nine of ten: bench/tune.py.
SEARCH_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Budget:
    """``said`` as it was written. ``total``: trials, or seconds where ``is_time``."""

    said: str
    total: float
    is_time: bool

    @classmethod
    def parse(cls, said: str) -> Budget:
        """``60trials``, or a time such as ``30m``. Raises InputError for anything else."""
        if match := re.fullmatch(r"0*([1-9]\d{0,5}) ?trials?", said.strip()):
            return cls(said, float(match[1]), is_time=False)
        with contextlib.suppress(InputError):
            if said.strip()[-1:].isalpha():  # 30 could be either
                return cls(said, parse_seconds(said, "--budget"), is_time=True)
        raise InputError(f"--budget {said}: write it as 60trials, or as a time such as 30m or 2h")


@dataclass(slots=True)
class Purse:
    """What of a budget is spent, by the record, and what is left for what."""

    budget: Budget
    record: Record
    subject: Subject
    share: float = SEARCH_SHARE  # of the budget, that the search may spend

    @property
    def spent(self) -> float:
        """Trials or seconds."""
        tried = self.record.tried
        return math.fsum(trial.seconds for trial in tried) if self.budget.is_time else float(len(tried))

    @property
    def left(self) -> float:
        """Likewise."""
        return self.budget.total - self.spent

    @property
    def for_search(self) -> float:
        """What the search may spend: its share of the budget, if that leaves enough for the shortest confirmation."""
        return min(self.share * self.budget.total, self.budget.total - self._shortest) - self.spent

    @property
    def _shortest(self) -> float:
        """What the shortest confirmation costs, of one finalist."""
        return 2 * self.subject.least_rounds * self.price()

    def least(self, others: int) -> str:
        """The smallest budget, as it is written, that pays for the default, so many others and a confirmation."""
        rungs = range(1 if self.subject.repeats else self.subject.rungs)
        default = self.spent or math.fsum(self.price("search", rung) for rung in rungs)
        search = default + others * self.price("search")
        total = max(search / SEARCH_SHARE, search + self._shortest)
        return f"{math.ceil(total / 60)}m" if self.budget.is_time else f"{math.ceil(total)}trials"

    def price(self, stage: Stage = "confirm", rung: int = 0) -> float:
        """What a trial costs; of time, by the trials so far, and nothing before the first."""
        if not self.budget.is_time:
            return 1.0
        costs = math.fsum(self.subject.cost(cast(Stage, trial.stage), trial.rung) for trial in self.record.tried)
        return self.spent / costs * self.subject.cost(stage, rung) if costs else 0.0

    def searches(self, rung: int = 0, trials: int = 1) -> bool:
        """Whether so many trials more of the search can be paid, and the confirmation all the same."""
        return self.for_search >= trials * self.price("search", rung)

    def rounds(self, finalists: int) -> int:
        """How many rounds of the default and so many finalists can be paid."""
        return int(self.left / (self.price() * (finalists + 1)))
