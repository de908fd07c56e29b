"""The smoothed gains of a search: what they believe, and what they do not."""

from __future__ import annotations

import math
import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from shosei.errors import InputError
from shosei.tune import surface as module
from shosei.tune.proposer import Proposer, connected, spread
from shosei.tune.setting import Setting, Space
from shosei.tune.surface import Surface, levels

SPACE: Space = {
    "slots": Setting(type="int", low=1, high=256, log=True, default=8),
    "share": Setting(type="float", low=0, high=1, default=0.5),
    "weights": Setting(type="choice", choices=["a", "b", "c"], default="a"),
}
DEFAULT = {"slots": 8, "share": 0.5, "weights": "a"}


def all_allowed(candidates: Any) -> np.ndarray:
    return np.ones(len(candidates), dtype=bool)


def test_one_model_of_a_range_is_the_gaussian_process_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Independent oracle, with the mean that it does not have taken out of the data."""
    for name, value in {"_STRENGTHS": (1.6,), "_TOGETHER": (0.0,), "_LENGTHS": (0.3,)}.items():
        monkeypatch.setattr(module, name, value)
    space = {"share": SPACE["share"]}
    at = [0.0, 0.2, 0.35, 0.6, 0.95]
    gains = np.array([0.1, -0.05, 0.2, 0.3, 0.1])
    mine = Surface(space, [{"share": place} for place in at], gains)
    column = np.array(at)[:, None]
    covariance = 1.6 * np.exp(-0.5 * ((column - column.T) / 0.3) ** 2) + np.eye(5)
    ones = np.linalg.solve(covariance, np.ones(5))
    mean = ones @ gains / ones.sum()  # generalised least squares
    theirs = GaussianProcessRegressor(ConstantKernel(1.6) * RBF(0.3) + WhiteKernel(1.0), alpha=0.0, optimizer=None).fit(
        column, gains - mean
    )
    new = np.linspace(0, 1, 7)[:, None]
    expected = theirs.predict(new) + mean
    assert mine.gains([{"share": float(place)} for place in new[:, 0]]) == pytest.approx(expected, abs=1e-9)


def test_what_is_only_noise_is_believed_to_be_next_to_nothing() -> None:
    believed = []
    for seed in range(20):
        chance = random.Random(seed)
        candidates = [DEFAULT] * 3 + spread(SPACE, 21, seed)
        gains = [chance.gauss(0, 0.15) for _ in candidates]
        smooth = Surface(SPACE, candidates, gains).gains(candidates)
        believed.append(float(max(smooth) - smooth[0]))
        assert max(gains) > 0.15
    assert sum(believed) / len(believed) < 0.12


def test_the_peak_of_a_known_surface_is_found_through_noise() -> None:
    chance, found = random.Random(1), []
    for seed in range(20):
        candidates = [DEFAULT] * 3 + spread(SPACE, 30, seed)

        def truth(candidate: Any) -> float:
            return 0.4 - 0.05 * math.log2(candidate["slots"] / 64) ** 2 + 0.2 * (candidate["weights"] == "b")

        surface = Surface(SPACE, candidates, [truth(each) + chance.gauss(0, 0.05) for each in candidates])
        found.append(surface.peak(DEFAULT, DEFAULT, all_allowed))
    assert all(peak["weights"] == "b" for peak in found)
    assert all(24 <= peak["slots"] <= 128 for peak in found)  # type: ignore[operator]
    assert sum(peak["share"] == 0.5 for peak in found) >= 15  # it does nothing, and stays as it is


def test_a_peak_lies_where_it_is_allowed() -> None:
    candidates = spread(SPACE, 30, 3)
    surface = Surface(SPACE, candidates, [math.log2(each["slots"]) for each in candidates])  # type: ignore[arg-type]
    free = surface.peak(DEFAULT, DEFAULT, all_allowed)
    kept = surface.peak(DEFAULT, DEFAULT, lambda each: np.array([candidate["slots"] <= 64 for candidate in each]))
    assert (free["slots"], kept["slots"]) == (256, 64)


def test_a_spread_has_every_level_about_as_often() -> None:
    for name, setting in SPACE.items():
        values = [candidate[name] for candidate in spread(SPACE, 27, 5)]
        assert {values.count(level) for level in levels(setting)} == {27 // len(levels(setting))}


def test_what_optuna_proposes_lies_in_the_space_and_learns_from_what_it_is_told() -> None:
    space: Space = {**SPACE, "steps": Setting(type="int", low=10, high=50, step=20, default=10)}
    proposer, told = Proposer(space, seed=4), []
    proposer.spread(10)
    for _ in range(60):
        candidate = proposer.propose()
        for name, setting in space.items():
            inside = candidate[name] in setting.choices or setting.low <= candidate[name] <= setting.high  # type: ignore[operator]
            assert inside
        gain = -abs(math.log2(candidate["slots"] / 100)) - 2 * (candidate["weights"] != "c")  # type: ignore[operator]
        proposer.tell(candidate, gain, {"error_rate": "missed" if candidate["steps"] == 30 else "pass"})
        told.append((candidate, gain))
    assert [candidate for candidate, _ in told[:10]] == spread(space, 10, 4)
    early, late = (sum(gain for _, gain in part) / len(part) for part in (told[:10], told[-20:]))
    assert late > early
    assert {candidate["steps"] for candidate, _ in told} == {10, 30, 50}
    proposer.tell(told[0][0], 0.0, {})  # measured again


def test_a_proposal_that_the_log_has_is_proposed_again() -> None:
    logged = {"slots": 77, "share": 0.123, "weights": "c"}
    proposer = Proposer(SPACE, seed=4)
    assert proposer.propose(logged) == logged
    proposer.spread(3)
    assert proposer.propose(logged) == logged


def test_machines_that_share_a_storage_learn_from_each_other(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    first, second = (Proposer(SPACE, seed=seed, storage=storage, name="one search") for seed in (1, 2))
    for proposer in (first, second):
        proposer.spread(4)
    for proposer in (first, second, first, second):
        for _ in range(12):
            candidate = proposer.propose()
            proposer.tell(candidate, float(candidate["weights"] == "c"), {"error_rate": "pass"})
    third = Proposer(SPACE, seed=3, storage=storage, name="one search")
    proposed = [third.propose() for _ in range(10)]
    assert sum(candidate["weights"] == "c" for candidate in proposed) >= 8
    other = Proposer(SPACE, seed=3, storage=storage, name="another search")
    assert len({str(other.propose()["weights"]) for _ in range(20)}) == 3


def test_a_machine_that_goes_on_from_its_log_tells_the_storage_nothing_twice(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    killed, told = Proposer(SPACE, seed=1, storage=storage, name="one search"), []
    killed.spread(3)
    for gain in (0.1, 0.2, 0.3, 0.4):
        candidate = killed.propose()
        told.append((candidate, gain))
        killed.tell(candidate, gain, {})
    again = Proposer(SPACE, seed=1, storage=storage, name="one search")
    for candidate, gain in [*told, (DEFAULT, 0.0)]:
        again.tell(again.propose(candidate), gain, {})
    known = optuna.load_study(study_name="one search", storage=storage).get_trials()
    assert sorted(trial.value for trial in known) == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_a_storage_that_is_lost_while_it_searches_is_told_in_a_line(tmp_path: Path) -> None:
    proposer = Proposer(SPACE, seed=1, storage=f"sqlite:///{tmp_path / 'shared.db'}", name="one search")
    proposer.tell(proposer.propose(), 0.1, {})
    with sqlite3.connect(tmp_path / "shared.db") as database:
        database.execute("DROP TABLE trials")
    with pytest.raises(
        InputError, match=r"^--storage: .*no such table: trials: once it is back, the same command goes on"
    ):
        proposer.propose()
    with pytest.raises(InputError, match=r"^--storage: .*no such table: trials"):
        proposer.tell(DEFAULT, 0.1, {})


@pytest.mark.parametrize("storage", ["nonsense", "sqlite:////no/such/folder/shared.db", "postgresql://me:secret@h/x"])
def test_a_storage_that_cannot_be_used_is_told_in_a_line_without_its_password(storage: str) -> None:
    with pytest.raises(InputError, match="--storage: Optuna cannot use it: ") as error:
        connected(storage)
    assert "secret" not in str(error.value)


def test_machines_that_begin_at_the_same_time_on_a_new_storage_all_reach_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    begin = f"from shosei.tune.proposer import connected; input(); connected({url!r})"
    machines = [subprocess.Popen([sys.executable, "-c", begin], stdin=subprocess.PIPE) for _ in range(4)]
    for machine in machines:
        assert machine.stdin
        machine.stdin.write(b"\n")
        machine.stdin.flush()
    assert [machine.wait(60) for machine in machines] == [0] * 4
