"""RoPE stretched beyond the context that a model was first trained with.

Named and keyed as in ``config.json``. Each kind divides the frequency of every pair of values by a number from 1 (kept
as it was trained) to ``factor``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RopeScaling(ABC):
    """``theta`` is RoPE's base; pair i turns by ``theta ** (-2i / head_dim)`` a position before it is stretched."""

    factor: float

    @property
    def magnitude(self) -> float:
        """What cosines and sines are multiplied by."""
        return 1.0

    @abstractmethod
    def divisors(self, theta: float, head_dim: int) -> list[float]:
        """What the frequency of each pair is divided by; head_dim / 2 numbers."""


@dataclass(frozen=True, slots=True)
class LinearScaling(RopeScaling):
    """Every frequency over ``factor`` (Chen et al. 2023, arXiv 2306.15595)."""

    rope_type: str = field(default="linear", init=False)

    def divisors(self, theta: float, head_dim: int) -> list[float]:
        return [self.factor] * (head_dim // 2)


@dataclass(frozen=True, slots=True)
class Llama3Scaling(RopeScaling):
    """Llama 3.1's: pairs that turn less than ``low_freq_factor`` times within the original context are stretched,
    those that turn more than ``high_freq_factor`` times are kept (Llama models' reference code, ``apply_scaling``)."""

    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int
    rope_type: str = field(default="llama3", init=False)

    def divisors(self, theta: float, head_dim: int) -> list[float]:
        turns = (
            self.original_max_position_embeddings / (2 * math.pi * theta ** (2 * pair / head_dim))
            for pair in range(head_dim // 2)
        )
        span = self.high_freq_factor - self.low_freq_factor
        return [_divisor((turn - self.low_freq_factor) / span, self.factor) for turn in turns]


@dataclass(frozen=True, slots=True)
class YarnScaling(RopeScaling):
    """YaRN (Peng et al. 2023, arXiv 2309.00071): pairs that turn more than ``beta_fast`` times within the original
    context are kept, those that turn less than ``beta_slow`` times are stretched, a ramp over the pairs between them.

    ``truncate`` makes the ends of the ramp whole pairs. ``attention_factor`` None: 0.1 ln(factor) + 1, the paper's.
    """

    original_max_position_embeddings: int
    attention_factor: float | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    rope_type: str = field(default="yarn", init=False)

    @property
    def magnitude(self) -> float:
        if self.attention_factor is not None:
            return self.attention_factor
        return 0.1 * math.log(self.factor) + 1 if self.factor > 1 else 1.0

    def divisors(self, theta: float, head_dim: int) -> list[float]:
        first, last = (self._pair(turns, theta, head_dim) for turns in (self.beta_fast, self.beta_slow))
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, head_dim - 1)
        span = last - first or 0.001
        return [_divisor(1 - (pair - first) / span, self.factor) for pair in range(head_dim // 2)]

    def _pair(self, turns: float, theta: float, head_dim: int) -> float:
        """The pair, as a real number, that turns so often within the original context."""
        positions = self.original_max_position_embeddings / (turns * 2 * math.pi)
        return head_dim * math.log(positions) / (2 * math.log(theta))


def _divisor(kept: float, factor: float) -> float:
    """Of the mean of a frequency as it is, by the share ``kept``, and over ``factor``."""
    kept = min(max(kept, 0.0), 1.0)
    return 1 / (kept + (1 - kept) / factor)
