"""How often a comparison is wrong, and how often it finds what is there; fixed seeds.

The thousand comparisons of equals go through the comparison of the card with simulated values and units of each run
or turn, because a thousand pairs of full logs would take many minutes; thirty more go all the way, from events.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compared import SPEEDS, classified, measured, outcomes, turn_log
from shosei.compare.comparison import Comparison, compare, compare_logs
from shosei.compare.sides import Measured, Side, pairs_of_turns
from shosei.metrics.service_level import ServiceLevel
from shosei.metrics.stats import Burstiness
from shosei.metrics.stats.observations import Observations

TASKS, PHRASINGS, TURNS = 120, 40, 7


def wrong(comparison: Comparison) -> bool:
    """Whether any cell of two equal sides has a verdict of better or worse."""
    return any(cell.verdict in ("better", "worse") for cell in comparison.cells)


def verdicts(comparison: Comparison) -> dict[tuple[str, str], str]:
    return {(cell.id, cell.phase): cell.verdict for cell in comparison.cells}


def noise(draw: np.random.Generator, spread: float) -> float:
    return float(np.exp(draw.normal(0, spread)))


def phrasings(draw: np.random.Generator) -> np.ndarray:
    """How hard each phrasing is, for any model: its three tasks share that."""
    return np.repeat(draw.beta(4, 1, PHRASINGS), TASKS // PHRASINGS)


def answers(draw: np.random.Generator, easy: np.ndarray) -> dict[tuple[str, str], Observations]:
    """One model's answers to the same tasks: it is lucky or not with a whole phrasing."""
    clusters = np.arange(TASKS) // (TASKS // PHRASINGS)
    luck = draw.normal(0, 0.15, PHRASINGS)[clusters]
    hit = draw.random(TASKS) < np.clip(easy + luck, 0, 1)
    true = np.arange(TASKS) % 4
    said = np.where(hit, true, (true + 1 + draw.integers(0, 3, TASKS)) % 4)
    return {
        ("pass_at_1", "inference"): outcomes(hit, clusters, paired=True),
        ("pass_at_1", "training"): outcomes(draw.random(TASKS) < easy, np.arange(TASKS), paired=True),
        ("f1", "inference"): classified(true, said, clusters),
    }


def errors(draw: np.random.Generator, stretches: int = 40, size: int = 6) -> Observations:
    """Requests in stretches of time: one error in a hundred, and bursts in which half of them fail."""
    failing = np.where(draw.random(stretches) < 0.04, 0.5, 0.01)
    failed = draw.random((stretches, size)) < failing[:, None]
    units = outcomes(failed.ravel(), np.repeat(np.arange(stretches), size), paired=False)
    return replace(units, bursts=Burstiness.of([failed.astype(float)]))


def run(draw: np.random.Generator, easy: np.ndarray, speed: float = 1.0) -> Measured:
    """A run or a turn whose speeds, times and sizes carry 15 % of noise of their own."""
    units = answers(draw, easy) | {
        ("error_rate", "inference"): errors(draw),
        ("satisfaction", "inference"): outcomes(draw.random(60) < 0.7, np.arange(60) // 2, paired=False),
        ("crash_rate", "inference"): outcomes(draw.random(5) < 0.1, np.arange(5), paired=False),
    }
    values = {key: 100 * speed * noise(draw, 0.15) for key in SPEEDS}
    for key, own in units.items():
        values[key] = float(np.mean([unit.adds.get("top", 0.0) for unit in own.each]))
    return measured(values, units)  # type: ignore[arg-type]


def turn(draw: np.random.Generator, spread: float, speed: float = 1.0) -> Measured:
    """A turn: noisy speeds, and an error rate with bad turns."""
    values = {key: 100 * speed * noise(draw, spread) for key in SPEEDS}
    values["error_rate", "inference"] = float(draw.binomial(240, draw.choice([0.01, 0.2], p=[0.9, 0.1])) / 240)
    return measured(values)


# How many comparisons, and in how many of them a difference may be found: five in a hundred, and 2 standard errors.
WRONG = pytest.mark.parametrize(("comparisons", "most"), [(100, 9), pytest.param(1000, 64, marks=pytest.mark.long)])


@WRONG
def test_few_comparisons_of_equals_by_turns_find_a_difference(comparisons: int, most: int) -> None:
    draw = np.random.default_rng(1)
    false = 0
    for _ in range(comparisons):
        sides = [Side(name, [turn(draw, 0.15) for _ in range(TURNS)]) for name in "ab"]
        false += wrong(compare(*sides, by_turns=True))
    assert false <= most


@WRONG
def test_few_comparisons_of_two_equal_runs_find_a_difference(comparisons: int, most: int) -> None:
    """Different models that are equally good at the same tasks, and fail together at the hard phrasings."""
    draw = np.random.default_rng(2)
    false = 0
    for _ in range(comparisons):
        easy = phrasings(draw)
        false += wrong(compare(*(Side(name, [run(draw, easy)]) for name in "ab")))
    assert false <= most


@pytest.mark.long
def test_from_events_to_verdict_equals_stay_equal() -> None:
    """Thirty folders as alternate writes them, of five pairs of turns each, through reading, computing, comparing."""
    draw = np.random.default_rng(2)
    false = 0
    for _ in range(30):
        order = "abbaabbaab"
        logs = [turn_log(number, name, noise(draw, 0.15), draw) for number, name in enumerate(order, 1)]
        comparison = compare_logs(*pairs_of_turns(logs), ServiceLevel(), {}, by_turns=True)
        assert comparison.pairs == 5
        tested = {cell.id for cell in comparison.cells if cell.p is not None}
        assert tested == {"training_speed", "inference_speed", "response_time", "pass_at_1", "error_rate"}
        false += wrong(comparison)
    assert false <= 4  # of 1.5 expected at most


def test_a_slowdown_of_a_fifth_is_found_in_seven_repeats() -> None:
    draw = np.random.default_rng(3)
    found = 0
    for _ in range(300):
        a = Side("a", [turn(draw, 0.05) for _ in range(TURNS)])
        b = Side("b", [turn(draw, 0.05, 1.2) for _ in range(TURNS)])
        found += verdicts(compare(a, b, by_turns=True))["response_time", "inference"] == "worse"
    assert found >= 0.8 * 300


def test_a_slowdown_of_a_fifth_is_found_from_events() -> None:
    draw = np.random.default_rng(4)
    found = 0
    for _ in range(10):
        logs = [
            turn_log(number, name, noise(draw, 0.05) * (1.2 if name == "b" else 1.0), draw, requests=150)
            for number, name in enumerate("abbaabbaabbaab", 1)
        ]
        comparison = compare_logs(*pairs_of_turns(logs), ServiceLevel(), {}, by_turns=True)
        found += verdicts(comparison)["training_speed", "inference"] == "worse"
    assert found >= 8


@pytest.mark.parametrize("size", [1, 2])
def test_a_drop_of_five_points_is_found_among_a_thousand_tasks(size: int) -> None:
    """A tenth of the tasks change: 75 are lost and 25 gained on average. Single tasks, and pairs of alike tasks."""
    draw = np.random.default_rng(5)
    found = 0
    repetitions = 200 if size == 1 else 40
    clusters = np.arange(1000) // size
    for _ in range(repetitions):
        change = np.repeat(draw.choice([-1, 0, 1], 1000 // size, p=[0.075, 0.9, 0.025]), size)
        before = np.where(change == 0, draw.random(1000) < 0.8, change < 0)
        after = np.where(change == 0, before, change > 0)
        sides = []
        for right in (before, after):
            units = outcomes(right, clusters, paired=True)
            key = ("pass_at_1", "inference")
            sides.append(Side("ab"[len(sides)], [measured({key: float(right.mean())}, {key: units})]))  # type: ignore[dict-item]
        found += verdicts(compare(*sides))["pass_at_1", "inference"] == "worse"
    assert found >= 0.8 * repetitions
