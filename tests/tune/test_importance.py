"""The importance of settings, against textbook formulas and a simulation."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import stats

import tuned
from shosei.tune.importance import Importance, importances
from shosei.tune.setting import Candidate, Setting

SPACE = {name: Setting(**fields) for name, fields in tuned.SPACE.items()}
WEIGHTS = {"weights": SPACE["weights"]}


def one_way(groups: dict[str, list[float]]) -> Importance:
    candidates: list[Candidate] = [{"weights": name} for name, values in groups.items() for _ in values]
    (importance,) = importances(WEIGHTS, candidates, [value for values in groups.values() for value in values])
    return importance


def random_candidates(chance: random.Random, count: int) -> list[Candidate]:
    return [
        {
            "slots": 2 ** chance.randint(0, 6),
            "threads": chance.randint(1, 4),
            "weights": chance.choice(["bf16", "int4", "int8"]),
            "context": chance.choice([2048, 4096, 8192]),
        }
        for _ in range(count)
    ]


def test_the_share_of_one_choice_is_omega_squared_of_its_anova_and_the_interval_inverts_the_noncentral_f() -> None:
    groups = {
        "bf16": [1.0, 1.3, 0.8, 1.1, 1.2],
        "int4": [1.9, 1.6, 2.2, 1.5, 1.8],
        "int8": [1.2, 1.5, 1.1, 1.4, 1.6],
    }
    importance = one_way(groups)
    ratio = float(stats.f_oneway(*groups.values()).statistic)
    assert importance.share == pytest.approx(2 * (ratio - 1) / (2 * (ratio - 1) + 15))
    for end, chance in zip(importance.ci, (0.975, 0.025), strict=True):
        assert end is not None
        assert stats.ncf.cdf(ratio, 2, 12, 15 * end / (1 - end)) == pytest.approx(chance, abs=1e-4)


def test_a_setting_that_does_all_has_all_and_one_that_does_nothing_has_none() -> None:
    candidates = random_candidates(random.Random(3), 40)
    gains = [0.3 if candidate["weights"] == "int4" else 0.0 for candidate in candidates]
    told = importances(SPACE, candidates, gains)
    assert told[0] == Importance("weights", 3, 1.0, (1.0, 1.0))
    assert {importance.setting: importance.share for importance in told[1:]} == dict.fromkeys(
        ["slots", "threads", "context"], 0.0
    )


def test_too_few_trials_or_a_setting_that_never_changed_say_nothing() -> None:
    few = importances(SPACE, random_candidates(random.Random(3), 9), [0.1 * place for place in range(9)])
    assert [importance.share for importance in few] == [None] * 4
    assert one_way({"bf16": [1.0, 2.0, 1.5, 1.2, 1.1, 1.3, 1.7]}) == Importance("weights", 1)
    assert importances(SPACE, [], []) == [Importance(name, 0) for name in SPACE]


def test_intervals_hold_the_true_share_and_noise_is_seldom_taken_for_an_effect() -> None:
    """300 searches of 36 trials, in which only slots matters; its true share is known of every design."""
    chance, draws = random.Random(11), np.random.default_rng(11)
    held = mistaken = 0
    for _ in range(300):
        candidates = random_candidates(chance, 36)
        others = np.column_stack(
            [np.ones(36)]
            + [[float(it[name] == value) for it in candidates] for name, value in OTHERS]
            + [[float(it["threads"]) ** power for it in candidates] for power in (1, 2)]
        )
        effect = np.array([0.05 * (SPACE["slots"].place(it["slots"]) - 0.5) / 0.15 for it in candidates])
        alone = effect - others @ np.linalg.lstsq(others, effect, rcond=None)[0]
        noncentrality = float(alone @ alone) / 0.15**2
        told = {it.setting: it for it in importances(SPACE, candidates, list(effect + draws.normal(0, 0.15, 36)))}
        low, high = told["slots"].ci
        assert low is not None
        assert high is not None
        held += low <= noncentrality / (noncentrality + 36) <= high
        mistaken += (told["weights"].ci[0] or 0.0) > 0
    assert held >= 276  # of 300 at 95 %: less than this has a chance below 1 in 100
    assert mistaken <= 15  # at 2.5 %, likewise


OTHERS = [("weights", "int4"), ("weights", "int8"), ("context", 2048), ("context", 8192)]
