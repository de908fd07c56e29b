"""pass@k, pass^k and the share that flips against enumeration, and against the product that others compute."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.metrics.accuracy.pass_at_1 import flips, ks, pass_at_k, pass_hat_k


@pytest.mark.parametrize("n", range(1, 8))
def test_they_are_shares_of_all_draws(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            draws = list(combinations([True] * c + [False] * (n - c), k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))
            assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, draws)) / len(draws))
            assert flips(n, c, k) == pytest.approx(sum(len({*draw}) == 2 for draw in draws) / len(draws))


@given(st.integers(1, 400), st.data())
def test_pass_at_k_is_the_numerically_stable_product(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    stable = 1.0 if n - c < k else 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))
    assert pass_at_k(n, c, k) == pytest.approx(stable, abs=1e-9)
    assert pass_hat_k(n, c, k) == pytest.approx(1 - pass_at_k(n, n - c, k), abs=1e-12)


@given(st.integers(1, 60), st.data())
def test_one_sample_is_the_share_of_right_ones(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n))
    assert pass_at_k(n, c, 1) == pass_hat_k(n, c, 1) == c / n


def test_ks_are_the_powers_of_two_and_n() -> None:
    assert [ks(n) for n in (1, 2, 5, 8)] == [[1], [1, 2], [1, 2, 4, 5], [1, 2, 4, 8]]


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 0), (3, 1, 4), (3, 4, 1), (0, 0, 1)])
def test_what_cannot_be_is_refused(n: int, c: int, k: int) -> None:
    for estimator in (pass_at_k, pass_hat_k, flips):
        with pytest.raises(ValueError, match="samples"):
            estimator(n, c, k)
