"""What Shosei and another meter say of the same work, side by side, and which differences nobody has explained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

TOLERANCE = 0.02
SHOWN = 0.0005  # a smaller difference is shown as none
UNEXPLAINED = 3  # exit code


@dataclass(frozen=True)
class Explanation:
    """Why a quantity differs, and by how much at most: a larger difference has another cause."""

    why: str
    most: float  # share of the peer's value, or of the truth


@dataclass(frozen=True)
class Row:
    """One quantity. ``truth`` is what the work itself recorded, or how it was made; None where it is not known."""

    case: str
    quantity: str
    ours: float | None
    peers: float | None
    truth: float | None = None
    unit: str = ""
    lacking: str = ""  # why one of both meters has no value, where that is as it should be

    @property
    def from_peer(self) -> float | None:
        return difference(self.ours, self.peers)

    @property
    def from_truth(self) -> float | None:
        return difference(self.ours, self.truth)

    @property
    def largest(self) -> float:
        """Of both differences, whatever their signs."""
        return max((abs(share) for share in (self.from_peer, self.from_truth) if share is not None), default=0.0)


@dataclass(frozen=True)
class Comparison:
    """What one peer was asked: its rows or, where it was not asked, why and what would change that."""

    peer: str
    rows: Sequence[Row] = ()
    not_measured: str = ""


Explanations = Mapping[str, Explanation]  # by "peer: quantity", for all cases of it


def difference(ours: float | None, other: float | None) -> float | None:
    """As a share of ``other``; None where one of them is not known."""
    if ours is None or other is None:
        return None
    if not other:
        return 0.0 if not ours else math.inf
    return (ours - other) / abs(other)


def why(peer: str, row: Row, explanations: Explanations) -> str | None:
    """Why a row differs by more than ``TOLERANCE``: empty if it does not, None if nobody has explained as much."""
    if row.ours is None or row.peers is None:
        return row.lacking or None
    if row.largest <= TOLERANCE:
        return ""
    explanation = explanations.get(f"{peer}: {row.quantity}")
    return explanation.why if explanation and row.largest <= explanation.most else None


def unexplained(comparisons: Iterable[Comparison], explanations: Explanations) -> list[str]:
    """The names of the rows that differ and have no explanation."""
    return [
        " ".join(filter(None, [f"{comparison.peer}:", row.case, row.quantity]))
        for comparison in comparisons
        for row in comparison.rows
        if why(comparison.peer, row, explanations) is None
    ]


def markdown(comparisons: Iterable[Comparison], explanations: Explanations) -> str:
    """A table a peer."""
    return "\n\n".join(_table(comparison, explanations) for comparison in comparisons)


def _table(comparison: Comparison, explanations: Explanations) -> str:
    if comparison.not_measured:
        return f"{comparison.peer}: not measured: {comparison.not_measured}"
    columns = ["", "quantity", "Shosei", comparison.peer, "truth", "from the peer", "from the truth", "why"]
    lines = [columns, ["---"] * len(columns)]
    for row in comparison.rows:
        numbers = [_number(value, row.unit) for value in (row.ours, row.peers)]
        truth = "" if row.truth is None else _number(row.truth, row.unit)
        shares = [_percent(share) for share in (row.from_peer, row.from_truth)]
        reason = why(comparison.peer, row, explanations)
        lines.append(
            [row.case, row.quantity, *numbers, truth, *shares, "**unexplained**" if reason is None else reason]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g} {unit}".strip() if abs(value) < 1000 else f"{value:,.0f} {unit}".strip()


def _percent(share: float | None) -> str:
    if share is None:
        return ""
    return f"{share:+.1%}".replace("-", "−") if abs(share) >= SHOWN else "0"
