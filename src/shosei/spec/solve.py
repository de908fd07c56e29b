"""The largest model of a shape within a budget, with one dimension free."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace

from shosei.errors import InputError, nearest
from shosei.spec.model import ModelSpec

# Free dimension -> its field, and what its values are multiples of: matrix products are fastest in tiles of 64 to 128
# (NVIDIA, "Matrix Multiplication Background User's Guide").
FREE = {
    "width": ("d_model", 64),
    "depth": ("n_layers", 1),
    "feed-forward": ("intermediate_size", 128),
    "vocabulary": ("vocab_size", 64),
}
_MOST_MULTIPLES = 1 << 16


@dataclass(frozen=True, slots=True)
class CostLimit:
    """At most ``most`` of what ``cost`` counts; ``shown`` says such an amount with its unit."""

    most: float
    cost: Callable[[ModelSpec], float]
    shown: Callable[[float], str]


def solve(like: ModelSpec, free: str, limit: CostLimit) -> ModelSpec:
    """``like`` with the greatest value of ``free`` that keeps the limit; the cost must rise with it.

    Raises InputError: ``free`` is not a key of ``FREE``, the smallest value already costs more, or no value tried does.
    """
    if free not in FREE:
        raise InputError(f"--free {free}: unknown dimension{nearest(free, FREE)}", param="free")
    field, multiple = FREE[free]

    def shape(count: int) -> ModelSpec:
        return replace(like, name=f"{like.name}-{free}-{count * multiple}", **{field: count * multiple})  # type: ignore[arg-type]

    count = bisect_right(range(1, _MOST_MULTIPLES), limit.most, key=lambda count: limit.cost(shape(count)))
    if not count:
        raise InputError(
            f"no {free} is small enough: at {multiple}, the least, a model like {like.name} needs "
            f"{limit.shown(limit.cost(shape(1)))}, and the budget is {limit.shown(limit.most)}; raise it, or free "
            f"another dimension: {', '.join(other for other in FREE if other != free)}"
        )
    if count == _MOST_MULTIPLES - 1:
        raise InputError(
            f"the budget of {limit.shown(limit.most)} is more than a model like {like.name} uses at a {free} of "
            f"{count * multiple:,}, the most that is tried; lower it, or free another dimension"
        )
    return shape(count)
