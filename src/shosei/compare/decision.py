"""What a comparison comes to: the cells that decide, and the exit code."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from shosei.compare.comparison import KEYS, UNDECIDABLE, Compared, Comparison
from shosei.compare.sides import Key
from shosei.errors import EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_OK, EXIT_REGRESSION
from shosei.profile.profile import Profile


@dataclass(frozen=True, slots=True)
class Decision:
    """A comparison with the ``cells`` that decide. ``left_out``: single runs cannot decide them, and nobody asked."""

    comparison: Comparison
    cells: list[Compared]
    left_out: list[Compared]

    @classmethod
    def of(cls, comparison: Comparison, metrics: Collection[str] = (), profile: Profile | None = None) -> Decision:
        """Let ``metrics`` decide, else what the profile requires, else all that the two sides can decide.

        A metric that is named counts in the phases that both sides have; in both where it cannot be compared at all.
        """
        compared = [cell for cell in comparison.cells if cell.verdict != "not_compared"]
        if metrics:
            known = {cell.id for cell in compared}
            own = [cell for cell in comparison.cells if cell.id in metrics]
            return cls(comparison, [cell for cell in own if cell in compared or cell.id not in known], [])
        if profile:
            return cls(comparison, [cell for cell in comparison.cells if _requires(profile, cell)], [])
        left_out = [cell for cell in compared if not comparison.pairs and cell.reason in UNDECIDABLE]
        return cls(comparison, [cell for cell in compared if cell not in left_out], left_out)

    @property
    def exit_code(self) -> int:
        """3 if a cell is worse; else 5 if one is invalid, 4 if one is not decided or there is none; else 0.

        4 also where both sides are the same log: they would be equal whatever the candidate is.
        """
        verdicts = {cell.verdict for cell in self.cells}
        if "worse" in verdicts:
            return EXIT_REGRESSION
        if "invalid" in verdicts:
            return EXIT_INVALID
        is_open = self.comparison.same_log or not verdicts or verdicts & {"inconclusive", "not_compared"}
        return EXIT_INCONCLUSIVE if is_open else EXIT_OK


def margins(profile: Profile) -> dict[Key, float]:
    """The margins that a profile sets for metrics' own values."""
    required = {key: profile.requirements(key[1]).get(key[0]) for key in KEYS}
    return {key: found.margin for key, found in required.items() if found and found.margin}


def _requires(profile: Profile, compared: Compared) -> bool:
    requirements = profile.requirements(compared.phase)
    return any(own.required and key.partition(".")[0] == compared.id for key, own in requirements.items())
