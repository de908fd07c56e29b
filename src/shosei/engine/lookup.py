"""Guessing an answer's next tokens from what its prompt and the answer itself have said before."""

from __future__ import annotations

_GRAM = 3  # tokens that must have come before in the same order


class PromptLookup:
    """Foretells tokens of one stream: those that followed when its last few tokens came before (prompt look-up
    decoding, Saxena 2023). It is trusted no further than it has just been right, which costs nothing to find out."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, ...], int] = {}  # where each gram ended last, its successor known
        self._indexed = _GRAM - 1  # up to this end
        self._guesses: list[int] = []
        self._right = 0  # guesses in a row

    def take(self, token: int) -> None:
        """``token`` came next."""
        self._right = self._right + 1 if self._guesses[:1] == [token] else 0
        self._guesses = self._guesses[1:] if self._right else []

    def draft(self, tokens: list[int], most: int) -> list[int]:
        """At most ``most`` tokens that may come after ``tokens``: as many as the last guesses that were right."""
        for end in range(self._indexed + 1, len(tokens)):
            self._ends[tuple(tokens[end - _GRAM : end])] = end
        self._indexed = max(self._indexed, len(tokens) - 1)
        begin = self._ends.get(tuple(tokens[-_GRAM:]))
        if begin is None:
            return []
        self._guesses = tokens[begin : begin + max(most, 1)]
        while len(self._guesses) < most:  # what repeats itself may go on doing so
            self._guesses.append(self._guesses[begin - len(tokens)])
        return self._guesses[: min(self._right, most)]
