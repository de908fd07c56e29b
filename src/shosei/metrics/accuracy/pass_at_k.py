"""pass@k and pass^k from n samples of a task, c of them right."""

from __future__ import annotations

from math import comb


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that of ``k`` samples drawn from ``n`` at least one is right: 1 - C(n-c, k) / C(n, k) (Chen et al. 2021).

    An unbiased estimate of what ``k`` samples achieve. Raises ValueError unless 1 <= k <= n.
    """
    _check(n, c, k)
    return (comb(n, k) - comb(n - c, k)) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Chance that all of ``k`` samples drawn from ``n`` are right: C(c, k) / C(n, k) (Yao et al. 2024).

    Raises ValueError unless 1 <= k <= n.
    """
    _check(n, c, k)
    return comb(c, k) / comb(n, k)


def ks(n: int) -> list[int]:
    """Which k are told of n samples: the powers of two, and n."""
    return sorted({n, *(1 << power for power in range(n.bit_length()) if 1 << power <= n)})


def _check(n: int, c: int, k: int) -> None:
    if not 1 <= k <= n or not 0 <= c <= n:
        raise ValueError(f"{k} of {n} samples with {c} right: needs 1 <= k <= n and 0 <= c <= n")
