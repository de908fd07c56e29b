"""The largest model of a shape within a budget, with one dimension free."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

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


def solve(like: ModelSpec, free: str, cost: Callable[[ModelSpec], float], budget: float) -> ModelSpec:
    """``like`` with the greatest value of ``free`` at which ``cost`` is at most ``budget``; cost must rise with it.

    Raises InputError: ``free`` is not a key of ``FREE``, or the smallest value already costs more.
    """
    if free not in FREE:
        raise InputError(f"--free {free}: unknown dimension{nearest(free, FREE)}", param="free")
    field, multiple = FREE[free]

    def shape(count: int) -> ModelSpec:
        return replace(like, name=f"{like.name}-{free}-{count * multiple}", **{field: count * multiple})  # type: ignore[arg-type]

    count = bisect_right(range(1, _MOST_MULTIPLES), budget, key=lambda count: cost(shape(count)))
    if not count:
        raise InputError(
            f"no {free} fits: with the smallest, {multiple}, a model like {like.name} needs {cost(shape(1)):.3g} "
            f"of a budget of {budget:.3g}; raise the budget, or free another dimension"
        )
    return shape(count)
