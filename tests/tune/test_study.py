"""A study from its first trial to its verdict, on functions: what it announces, what it never does, how it goes on."""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from scipy import stats

from shosei.errors import InputError, MeasurementInvalid
from shosei.log import Log, TuneTrial, TuneTrialBegin
from shosei.tune.setting import Candidate
from shosei.tune.trial import TrialResult
from tune_functions import SPACE, Function, Simulated

sys.path.append(str(Path(__file__).parents[2] / "bench"))  # last: some of its scripts have the names of packages
from tune import study

DEFAULT = {"slots": 8, "weights": "bf16"}


def noisy(gain: Callable[[Candidate], float], noise: float, seed: int = 5) -> Callable[[TuneTrialBegin], float]:
    chance = random.Random(seed)
    return lambda trial: 10 * math.exp(gain(trial.candidate) + chance.gauss(0, noise))


def int4_is_better(candidate: Candidate) -> float:
    return 0.3 * (candidate["weights"] == "int4")


def test_a_gain_that_is_there_is_announced_with_the_interval_of_the_textbook_test() -> None:
    simulated = Simulated(Function(noisy(int4_is_better, 0.05)))
    verdict = simulated.run()
    assert verdict.verdict == "gain"
    assert verdict.best["weights"] == "int4"
    [best] = [finalist for finalist in verdict.finalists if finalist.candidate == verdict.best]
    rounds: dict[int, dict[bool, float]] = {}
    for event in simulated.log.of(TuneTrial):
        if event.stage == "confirm" and event.candidate in (DEFAULT, verdict.best):
            rounds.setdefault(event.round, {})[event.candidate == DEFAULT] = event.value or 0.0
    ratios = [math.log(values[False] / values[True]) for values in rounds.values()]
    level = 1 - 0.05 / len(verdict.finalists)
    expected = stats.ttest_1samp(ratios, 0)
    low, high = expected.confidence_interval(level)
    assert best.rounds == len(ratios)
    assert best.gain == pytest.approx(math.expm1(math.fsum(ratios) / len(ratios)))
    assert best.interval == pytest.approx((math.expm1(low), math.expm1(high)))
    assert best.p == pytest.approx(expected.pvalue)
    assert (best.interval[0] or 0) < math.expm1(0.3) < (best.interval[1] or 0)


def test_without_any_effect_few_studies_announce_a_gain() -> None:
    null = partial(study, surface="lonely", settings=4, gain=0.0, noise=0.15, kind="normal", trials=60, server=False)
    announced = sum(null(seed).verdict == "gain" for seed in range(100))
    assert announced <= 8  # of an exact test at 2.5 % more than 8 of 100 come once in 750 times


def test_an_effect_of_a_fifth_is_found_in_four_of_five_studies() -> None:
    effect = partial(study, surface="lonely", settings=4, gain=0.2, noise=0.15, kind="normal", trials=60, server=False)
    found = [effect(seed) for seed in range(40)]
    assert sum(each.verdict == "gain" and each.true_gain >= 0.1 for each in found) >= 28
    assert all(each.trials <= 60 for each in found)


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_what_is_to_be_low_is_tuned_as_what_is_to_be_high(direction: str) -> None:
    sign = 1 if direction == "higher" else -1
    simulated = Simulated(Function(noisy(lambda candidate: sign * int4_is_better(candidate), 0.03)))
    simulated.objective = simulated.objective.model_copy(update={"direction": direction})
    verdict = simulated.run()
    gain = next(finalist.gain for finalist in verdict.finalists if not finalist.reason)
    expected = math.expm1(0.3) if sign > 0 else -math.expm1(-0.3)  # a quarter less is a gain of a quarter
    assert (verdict.verdict, verdict.best["weights"]) == ("gain", "int4")
    assert gain == pytest.approx(expected, abs=0.05)


def test_a_real_gain_that_is_not_worth_having_is_not_announced() -> None:
    simulated = Simulated(Function(noisy(lambda candidate: 0.1 * int4_is_better(candidate) / 0.3, 0.005)))
    simulated.objective = simulated.objective.model_copy(update={"gain": 0.2})
    verdict = simulated.run()
    assert verdict.verdict == "keep"
    assert verdict.best == DEFAULT
    assert {finalist.reason for finalist in verdict.finalists} == {"too_small"}


def test_the_confirmation_has_seeds_that_the_search_never_had_one_a_round() -> None:
    simulated = Simulated(Function(noisy(int4_is_better, 0.1)))
    simulated.run()
    taken = simulated.function.taken
    search = {trial.seed for trial in taken if trial.stage == "search"}
    rounds: dict[int, set[int]] = {}
    for trial in taken:
        if trial.stage == "confirm":
            rounds.setdefault(trial.round, set()).add(trial.seed)
    assert all(len(seeds) == 1 for seeds in rounds.values())
    fresh = set.union(*rounds.values())
    assert len(fresh) == len(rounds) > 5
    assert not fresh & search
    first = [next(trial.candidate == DEFAULT for trial in taken if trial.round == round) for round in rounds]
    assert {True, False} == set(first)  # nobody always goes first


@pytest.mark.parametrize("trials", [18, 30, 60, 61, 97, 150])
def test_no_budget_of_trials_is_exceeded(trials: int) -> None:
    simulated = Simulated(Function(noisy(int4_is_better, 0.2)), f"{trials}trials")
    verdict = simulated.run()
    assert verdict.trials == len(simulated.function.taken) <= trials


def test_a_budget_of_time_is_kept_to_within_a_trial_and_leaves_time_to_confirm() -> None:
    chance = random.Random(3)

    def slow(trial: TuneTrialBegin) -> TrialResult:
        return TrialResult(10 * math.exp(int4_is_better(trial.candidate)), seconds=chance.uniform(20, 40))

    simulated = Simulated(Function(slow), "30m")
    verdict = simulated.run()
    longest = max(event.seconds for event in simulated.log.of(TuneTrial))
    assert verdict.verdict == "gain"
    assert verdict.seconds <= 1800 + longest
    assert math.fsum(event.seconds for event in simulated.log.of(TuneTrial)) == pytest.approx(verdict.seconds)


@pytest.mark.parametrize("trials", [*range(13, 25)])
def test_what_the_search_leaves_always_pays_the_shortest_confirmation(trials: int) -> None:
    for seed in range(5):
        simulated = Simulated(Function(noisy(int4_is_better, 0.05, seed)), f"{trials}trials", seed)
        verdict = simulated.run()
        assert verdict.reason != "rounds"
        assert verdict.trials <= trials


def test_a_search_in_which_nobody_looks_better_goes_on_and_keeps_the_defaults_only_after_much_of_its_budget() -> None:
    def worse(trial: TuneTrialBegin) -> float:
        return 10.0 if trial.candidate == DEFAULT else 5.0 + len(trial.candidate["weights"])

    taken = {}
    for trials in (13, 18, 40, 60):
        verdict = Simulated(Function(worse), f"{trials}trials").run()
        assert verdict.reason == "no_candidate"
        taken[trials] = verdict.verdict, verdict.trials
    assert taken == {13: ("insufficient", 3), 18: ("insufficient", 7), 40: ("keep", 30), 60: ("keep", 50)}


@pytest.mark.parametrize(("budget", "taken", "least"), [("12trials", 0, "13trials"), ("40s", 1, "2m")])
def test_a_budget_that_cannot_pay_a_confirmation_is_told_of_at_once(budget: str, taken: int, least: str) -> None:
    simulated = Simulated(Function(lambda trial: TrialResult(1.0, seconds=5.0)), budget)
    verdict = simulated.run()
    assert (verdict.verdict, verdict.reason, len(simulated.function.taken)) == ("insufficient", "budget", taken)
    assert verdict.least_budget == least
    again = Simulated(simulated.function, least)
    assert again.run().reason != "budget"


@pytest.mark.parametrize(("rungs", "least_rounds", "budget"), [(2, 3, "8trials"), (3, 1, "8trials"), (3, 1, "60s")])
def test_the_budget_that_is_named_pays_for_the_defaults_at_every_rung(
    rungs: int, least_rounds: int, budget: str
) -> None:
    def measured(trial: TuneTrialBegin) -> TrialResult:
        return TrialResult(1.0, seconds=5.0 * 3**trial.rung)

    function = Function(measured, rungs=rungs, repeats=False, least_rounds=least_rounds)
    verdict = Simulated(function, budget).run()
    assert (verdict.verdict, verdict.reason) == ("insufficient", "budget")
    assert Simulated(function, verdict.least_budget).run().reason != "budget"


def test_a_default_that_never_works_ends_the_study() -> None:
    simulated = Simulated(Function(lambda trial: TrialResult(None, reason="out of memory", seconds=1.0)))
    with pytest.raises(MeasurementInvalid, match="not one of 3 trials of the default worked: out of memory"):
        simulated.run()
    assert len(simulated.function.taken) == 3


def test_what_crashes_or_misses_a_limit_is_a_result_and_never_a_finalist() -> None:
    def measured(trial: TuneTrialBegin) -> TrialResult:
        slots, weights = trial.candidate["slots"], trial.candidate["weights"]
        if weights == "int4":
            return TrialResult(None, reason="exit code 1", seconds=1.0)
        limit = "missed" if slots > 16 else "pass"  # type: ignore[operator]
        return TrialResult(10 + math.log2(slots), limits={"error_rate": limit}, seconds=1.0)  # type: ignore[arg-type]

    simulated = Simulated(Function(measured))
    verdict = simulated.run()
    confirmed = [trial.candidate for trial in simulated.function.taken if trial.stage == "confirm"]
    assert verdict.verdict == "gain"
    assert all(candidate["slots"] <= 16 and candidate["weights"] != "int4" for candidate in confirmed)
    assert {event.state for event in simulated.log.of(TuneTrial)} == {"done", "failed"}


def test_a_finalist_that_fails_in_the_confirmation_is_not_confirmed() -> None:
    def measured(trial: TuneTrialBegin) -> TrialResult:
        fails = trial.stage == "confirm" and trial.round > 2 and trial.candidate["weights"] == "int4"
        return TrialResult(None if fails else 10 * math.exp(int4_is_better(trial.candidate)), seconds=1.0)

    verdict = Simulated(Function(measured)).run()
    assert {finalist.reason for finalist in verdict.finalists if finalist.candidate["weights"] == "int4"} == {"failed"}
    assert verdict.best["weights"] != "int4"


def test_a_finalist_that_misses_a_limit_again_and_again_is_not_confirmed() -> None:
    def measured(trial: TuneTrialBegin) -> TrialResult:
        missed = trial.stage == "confirm" and trial.candidate["weights"] == "int4"
        said = {"response_time.p95": "missed" if missed else "pass"}
        return TrialResult(10 * math.exp(int4_is_better(trial.candidate)), limits=said, seconds=1.0)

    verdict = Simulated(Function(measured)).run()
    assert {finalist.reason for finalist in verdict.finalists if finalist.candidate["weights"] == "int4"} == {"limits"}


def test_a_confirmation_that_cannot_succeed_any_more_ends_early() -> None:
    chance = random.Random(8)

    def lucky_in_the_search(trial: TuneTrialBegin) -> float:
        gain = int4_is_better(trial.candidate) if trial.stage == "search" else -int4_is_better(trial.candidate)
        return 10 * math.exp(gain + chance.gauss(0, 0.1))

    simulated = Simulated(Function(lucky_in_the_search))
    verdict = simulated.run()
    assert verdict.verdict == "keep"
    assert verdict.finalists[0].reason == "futile"
    assert verdict.finalists[0].rounds < 10
    assert verdict.trials < 50


def cut(log: Log, ended: int) -> Log:
    """The log of a search that was killed in its trial after ``ended``."""
    begun = [event for event in log.of(TuneTrialBegin) if event.number <= ended + 1]
    return Log(1, {TuneTrialBegin: begun, TuneTrial: [event for event in log.of(TuneTrial) if event.number <= ended]})


@pytest.mark.parametrize("ended", [0, 1, 7, 19, 23, 24, 25, 40])
def test_a_study_that_was_killed_goes_on_to_the_same_end(ended: int) -> None:
    def measured(trial: TuneTrialBegin) -> float:  # the same again for the same trial
        return noisy(int4_is_better, 0.1, trial.number)(trial)

    whole = Simulated(Function(measured))
    expected = whole.run()
    resumed = Simulated(Function(measured))
    verdict = resumed.run(cut(whole.log, ended))
    assert verdict == expected
    assert [trial.number for trial in resumed.function.taken] == list(range(ended + 1, expected.trials + 1))


def test_a_search_over_what_stays_true_goes_on_wherever_it_was_killed() -> None:
    """Proposals of what is known, and those after which it goes on with more of its budget, leave no trials."""

    def measured(trial: TuneTrialBegin) -> TrialResult:
        known = random.Random(f"0 {trial.candidate} {trial.stage} {trial.rung} {trial.round}")
        is_better = known.random() < 0.1 and trial.number > 20
        value = 11.0 if is_better else 10.0 if trial.candidate == {"x": 1, "y": 1} else known.uniform(5, 9.9)
        return TrialResult(value, seconds=1.0)

    axis = SPACE["slots"].model_copy(update={"low": 1, "high": 5, "log": False, "default": 1})
    function = partial(Function, measured, rungs=2, repeats=False, least_rounds=2, most_rounds=3)
    whole = Simulated(function(), space={"x": axis, "y": axis}, seed=0)
    expected = whole.run()
    for ended in [*range(0, expected.trials, 6), expected.trials]:
        resumed = Simulated(function(), space=whole.space, seed=0)
        verdict = resumed.run(cut(whole.log, ended))
        numbers = [trial.number for trial in resumed.function.taken]
        assert numbers == list(range(ended + 1, verdict.trials + 1))
    assert (verdict, numbers) == (expected, [])


@pytest.mark.parametrize(("budget", "ended"), [("12trials", 0), ("20trials", 8), ("20trials", 5)])
def test_a_search_goes_on_under_a_larger_budget_with_all_that_it_knows(budget: str, ended: int) -> None:
    def measured(trial: TuneTrialBegin) -> float:
        return noisy(int4_is_better, 0.1, trial.number)(trial)

    smaller = Simulated(Function(measured), budget)
    smaller.run()
    raised = Simulated(Function(measured))
    verdict = raised.run(cut(smaller.log, ended), [budget])
    trials = [*cut(smaller.log, ended).of(TuneTrial), *raised.log.of(TuneTrial)]
    searched = [event for event in trials if event.stage == "search"]
    assert (verdict.verdict, verdict.best["weights"]) == ("gain", "int4")
    assert verdict.trials == len(trials) == ended + len(raised.function.taken) <= 60
    assert len(searched) > 8
    assert len({event.seed for event in searched}) >= len(searched) - 8, "but for turns, each has a seed of its own"
    again = Simulated(Function(measured))
    whole = Log(
        1, {TuneTrial: trials, TuneTrialBegin: [*smaller.log.of(TuneTrialBegin), *raised.log.of(TuneTrialBegin)]}
    )
    assert again.run(cut(whole, 30), [budget]) == verdict, "as a search that is killed after that goes on"


def test_a_larger_budget_announces_no_more_gains_that_are_none() -> None:
    announced = 0
    for seed in range(60):
        smaller = Simulated(Function(noisy(lambda _: 0.0, 0.15, seed)), "20trials", seed)
        smaller.run()
        begun = cut(smaller.log, 8)
        assert {event.stage for event in begun.of(TuneTrial)} == {"search"}
        raised = Simulated(Function(noisy(lambda _: 0.0, 0.15, seed + 1000)), seed=seed)
        announced += raised.run(begun, ["20trials"]).verdict == "gain"
    assert announced <= 6  # of an exact test at 2.5 % more than 6 of 60 come once in 1000 times


def test_a_log_of_another_search_is_refused() -> None:
    whole = Simulated(Function(noisy(int4_is_better, 0.1)))
    whole.run()
    other = Simulated(Function(noisy(int4_is_better, 0.1)), seed=2)
    with pytest.raises(InputError, match="holds another search, from trial 1 on"):
        other.run(whole.log)


def test_tasks_are_paired_and_a_challenger_is_dropped_over_them() -> None:
    """Of an agent system: rungs and confirmation have tasks of their own; style b solves a third more."""
    space = {"style": SPACE["weights"].model_copy(update={"choices": ["a", "b", "c"], "default": "a"})}

    def measured(trial: TuneTrialBegin) -> TrialResult:
        group = f"{trial.stage}{trial.rung}"
        style, units = trial.candidate["style"], {}
        for task in range(40):
            chance = random.Random(f"{group} {task} {trial.seed}").random()
            hardness = random.Random(f"{group} {task}").random()
            skill = {"a": 0.5, "b": 0.85, "c": 0.2}[str(style)]
            units[f"{group} {task}"] = float(0.7 * hardness + 0.3 * chance < skill)
        return TrialResult(sum(units.values()) / len(units), units=units, seconds=1.0)

    simulated = Simulated(Function(measured, repeats=False, least_rounds=1, most_rounds=3), "30trials", space=space)
    simulated.objective = simulated.objective.model_copy(update={"figure": "pass_at_1"})
    verdict = simulated.run()
    rungs = Counter(event.candidate["style"] for event in simulated.log.of(TuneTrial) if event.stage == "search")
    assert verdict.verdict == "gain"
    assert verdict.best == {"style": "b"}
    assert rungs["c"] < 3 == rungs["b"]
    assert verdict.saved_trials > 0
    assert verdict.finalists[0].rounds == 40  # tasks
    low, high = verdict.finalists[0].interval
    assert 0 < (low or 0) < (verdict.finalists[0].gain or 0) < (high or 0)
