"""What noisy trials say together: the gain of every candidate, smoothed, so that no lucky trial is believed.

A Gaussian process whose covariance is a sum over settings, so that all trials say something about each of them, and,
by half its weight, their product, for settings that act together (Duvenaud, Nickisch and Rasmussen 2011). How strong
the settings are, beside the noise, is averaged over by the marginal likelihood, which shrinks gains towards 0 where
trials do not agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shosei.tune.setting import Candidate, Setting, Space, Value

_LENGTHS = (0.3, 1.0)  # of a range: how far apart values say little about each other; a peak, or a slope
_STRENGTHS = (1e-4, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 10.0, 50.0)  # of one setting, in variances of the noise
_TOGETHER = (0.0, 0.5)  # weight of the product beside the sum
_TINY = 1e-300  # what no sum of squares is below, so that it has a logarithm
_NEGLIGIBLE = 1e-4  # weight below which a model says nothing
_PASSES = 4  # over all settings, on the way up
_IDLE = 0.15  # share of the gain that a changed setting must bring


@dataclass(frozen=True, slots=True)
class _Model:
    """One shape and strength of the settings: ``weight`` of its word, mean, and what each trial adds."""

    weight: float
    length: float
    together: float
    mean: float
    adds: np.ndarray


class Surface:
    """The smoothed gain of candidates, after trials of some."""

    def __init__(self, space: Space, candidates: Sequence[Candidate], gains: Sequence[float]) -> None:
        self._space = space
        self._at = self._places(candidates)
        self._models = self._fitted(np.asarray(gains, dtype=float))

    def gains(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """The smoothed gain of each."""
        places, total = self._places(candidates), np.zeros(len(candidates))
        for length in _LENGTHS:
            shared, product = self._covariances(places, length)
            for model in self._models:
                if model.length == length:
                    total += model.weight * (model.mean + (shared + model.together * product) @ model.adds)
        return total

    def peak(
        self, start: Candidate, default: Candidate, allowed: Callable[[Sequence[Candidate]], np.ndarray]
    ) -> Candidate:
        """The best of the ``allowed`` candidates that is reached from ``start`` by changing one setting at a time.

        What differs from ``default`` and brings next to nothing is changed back.
        """
        best = start
        for _ in range(_PASSES):
            before = best
            for name, setting in self._space.items():
                others = [{**best, name: value} for value in levels(setting)]
                best = self._best(
                    [best, *(each for each, is_allowed in zip(others, allowed(others), strict=True) if is_allowed)]
                )
            if best == before:
                break
        return self._without_idle(best, default)

    def _best(self, candidates: Sequence[Candidate]) -> Candidate:
        gains = self.gains(candidates)
        return candidates[int(np.argmax(gains - 1e-9 * np.arange(len(gains))))]

    def _without_idle(self, best: Candidate, default: Candidate) -> Candidate:
        of_default, of_best = self.gains([default, best])
        for name in self._space:
            less = {**best, name: default[name]}
            lost = np.subtract(*self.gains([best, less]))
            if lost < _IDLE * (of_best - of_default):
                best = less
        return best

    def _fitted(self, gains: np.ndarray) -> list[_Model]:
        fits: list[tuple[float, _Model]] = []
        for length in _LENGTHS:
            shared, product = self._covariances(self._at, length)
            for together in _TOGETHER:
                for strength in _STRENGTHS:
                    scale = strength * len(self._space)
                    likelihood, mean, adds = _fit(scale * (shared + together * product), gains)
                    fits.append((likelihood, _Model(0.0, length, together, mean, scale * adds)))
        highest = max(likelihood for likelihood, _ in fits)
        total = math.fsum(math.exp(likelihood - highest) for likelihood, _ in fits)
        weighed = [replace(model, weight=math.exp(likelihood - highest) / total) for likelihood, model in fits]
        return [model for model in weighed if model.weight > _NEGLIGIBLE]

    def _covariances(self, places: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
        """Of ``places`` (n, settings) with those of the trials: mean over settings, and product."""
        apart = places[:, None, :] - self._at[None]
        is_range = np.array([setting.is_range for setting in self._space.values()])
        each = np.where(is_range, np.exp(-0.5 * (apart / length) ** 2), apart == 0)
        return each.mean(axis=-1), each.prod(axis=-1)

    def _places(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """(candidates, settings): where a value lies in its range, or which choice it is."""
        return np.array(
            [[_place(setting, candidate[name]) for name, setting in self._space.items()] for candidate in candidates]
        )


def _fit(covariance: np.ndarray, gains: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Restricted log likelihood of gains whose noise has the unit's variance, up to scale; mean; what each adds."""
    n = len(gains)
    root = np.linalg.cholesky(np.eye(n) + covariance)
    one, gain = np.linalg.solve(root, np.column_stack([np.ones(n), gains])).T
    mean = float(one @ gain / (one @ one))
    rest = gain - mean * one
    likelihood = -0.5 * (n - 1) * math.log(max(float(rest @ rest), _TINY)) - float(np.log(np.diag(root)).sum())
    return likelihood - 0.5 * math.log(one @ one), mean, np.linalg.solve(root.T, rest)


def levels(setting: Setting, most: int = 9) -> list[Value]:
    """Values of a setting, evenly over its range, or its choices."""
    if not setting.is_range:
        return list(setting.choices)
    return list(dict.fromkeys(setting.value_at(place) for place in np.linspace(0, 1, most)))


def _place(setting: Setting, value: Value) -> float:
    return setting.place(value) if setting.is_range else float(setting.choices.index(value))
