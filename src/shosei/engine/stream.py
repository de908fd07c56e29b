"""A request on its way: its tokens, which of them the cache holds, and what may come next."""

from __future__ import annotations

import random

from shosei.engine.blocks import extend_names
from shosei.engine.grammar import Constraint
from shosei.engine.lookup import PromptLookup
from shosei.engine.protocol import Submit, TokenScore
from shosei.engine.sampling import Adjuster
from shosei.spec.generation import BLOCK_TOKENS


class TokenStream:
    """``turn`` numbers the requests in the order in which they came."""

    def __init__(
        self,
        request: Submit,
        turn: int,
        constraint: Constraint | None = None,
        adjuster: Adjuster | None = None,
        lookup: PromptLookup | None = None,
    ) -> None:
        self.request, self.turn = request, turn
        self.constraint, self.adjuster, self.lookup = constraint, adjuster, lookup
        self.tokens = list(request.prompt)  # and the answer
        self.blocks: list[int] = []
        self.stored = 0  # tokens whose keys and values are in the blocks
        self.reused = 0  # of the prompt's, those that were there before the request came
        self.preempted = 0  # times since the last token
        self._stops = frozenset(request.stop_ids)  # of which a request may have as many as fit its message
        self.scores: list[TokenScore] = []  # of the prompt's tokens from the second on, if they are asked for
        self._names: list[bytes] = []
        # Python takes a seed and its negative for the same.
        self._random = random.Random(None if request.seed is None else request.seed % 2**64)
        self._uniform: float | None = None

    @property
    def missing(self) -> int:
        """Tokens that must be computed before the next one can be drawn."""
        return len(self.tokens) - self.stored

    @property
    def answered(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def scoring(self) -> bool:
        """Whether tokens of the prompt are yet to be scored."""
        return self.request.score_prompt and len(self.scores) < len(self.request.prompt) - 1

    @property
    def uniform(self) -> float:
        """The random number in [0, 1) by which the next token is drawn, the same until one is taken."""
        if self._uniform is None:
            self._uniform = self._random.random()
        return self._uniform

    def names(self) -> list[bytes]:
        """The names of its full blocks that others may have computed for it: not of the last token's block, since the
        logits after that token are wanted, nor of those in which tokens are yet to be scored."""
        known = len(self.scores) if self.scoring else len(self.tokens) - 1
        return self._first_names(known // BLOCK_TOKENS)

    def store(self, count: int) -> list[tuple[int, bytes]]:
        """The next ``count`` tokens are in the cache: the blocks that this has filled, with their names."""
        filled = range(self.stored // BLOCK_TOKENS, (self.stored + count) // BLOCK_TOKENS)
        self.stored += count
        names = self._first_names(filled.stop)
        return [(self.blocks[place], names[place]) for place in filled]

    def _first_names(self, count: int) -> list[bytes]:
        extend_names(self._names, self.tokens, count)
        return self._names[:count]

    def take(self, token: int, max_length: int) -> str:
        """Append ``token``; say whether and why the answer ends with it, as in ``protocol.Token``."""
        self.tokens.append(token)
        self._uniform, self.preempted = None, 0
        for observer in (self.constraint, self.adjuster, self.lookup):
            if observer:
                observer.take(token)
        if token in self._stops:
            return "stop"
        full = len(self.tokens) >= max_length
        return "length" if full or self.answered >= self.request.max_tokens else ""
