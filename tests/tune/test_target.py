"""What a user writes: targets, settings, budgets; and what is said where they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.errors import InputError
from shosei.profile.profile import read_profile
from shosei.tune.budget import Budget
from shosei.tune.setting import Setting, are_alike, candidate_id, default_of
from shosei.tune.target import Objective, asked, read_target, shipped
from tune_servers import SLOTS, WEIGHTS
from tune_targets import target

OBJECTIVE = {"figure": "inference_speed.goodput"}
SERVE = {"command": ["x"]}


def of(folder: Path, **tables: Any) -> Any:
    return target(folder, "serve", **({"objective": OBJECTIVE, "space": {"slots": SLOTS}, "serve": SERVE} | tables))


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"objectiv": {}}, "unknown key 'target.objectiv'; did you mean 'objective'"),
        ({"objective": {"figure": "goodput"}}, "objective: no metric 'goodput'"),
        ({"objective": {"figure": "pass_at1"}}, "no metric 'pass_at1'; did you mean 'pass_at_1'"),
        ({"objective": OBJECTIVE | {"gain": 0}}, "objective.gain: Input should be greater than 0"),
        (
            {"objective": {"figure": "pass_at_1", "gain": 5}},
            "objective.gain: nothing can gain 5 here: 0.05 is five points",
        ),
        ({"objective": {"figure": "response_time.p95", "gain": 1}}, "objective.gain: nothing can gain 1 here"),
        ({"objective": OBJECTIVE | {"second": "x.y"}}, "objective: no metric 'x'"),
        ({"space": {}}, r"space: name a setting that may change, as a table \[space.NAME\]"),
        ({"space": {"slots": 3}}, "space.slots: write it as a table"),
        ({"space": {"slots": {"type": "int"}}}, "space.slots.default is missing"),
        ({"space": {"slots": SLOTS | {"default": 65}}}, "space.slots: the default 65 is not within 1 and 64"),
        ({"space": {"slots": SLOTS | {"low": 64}}}, "space.slots: a range needs low and high, the first one below"),
        ({"space": {"slots": SLOTS | {"log": True, "low": 0}}}, "space.slots: .* begins above 0 and has no step"),
        ({"space": {"w": WEIGHTS | {"default": "int2"}}}, "space.w: the default 'int2' is none of the choices"),
        ({"space": {"w": WEIGHTS | {"choices": ["bf16"]}}}, "space.w: a choice needs two choices at least"),
        ({"space": {"w": WEIGHTS | {"chioces": []}}}, "unknown key 'space.w.chioces'; did you mean 'choices'"),
        ({"space": {"w": WEIGHTS | {"choices": ["bf16", "int4", "int4"]}}}, "space.w: each choice stands once"),
        ({"space": {"slots": SLOTS | {"low": 1.5}}}, "space.slots: low, high, step and default of an int are whole"),
        ({"space": {"slots": SLOTS | {"high": 1e24}}}, r"are whole numbers, up to 1e\+15"),
        (
            {"space": {"x": {"type": "float", "high": 1, "step": 0.25, "default": 0.3}}},
            r"space.x: the default 0.3 is no whole number of steps \(0.25\) above 0",
        ),
        ({"server": {}}, "unknown key 'target.server'; did you mean 'serve'"),
        ({"space": {"p": {"type": "file", "default": "a", "choices": ["a", "b"]}}}, "space.p: no file .*/a"),
    ],
)
def test_a_wrong_target_is_told_in_a_line_that_names_the_file(tmp_path: Path, tables: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        of(tmp_path, **tables)
    assert str(error.value).startswith(f"{tmp_path / 'target.toml'}: ")


def test_the_default_of_a_range_is_written_as_all_of_its_values_are(tmp_path: Path) -> None:
    space = {"slots": SLOTS | {"default": 8.0}, "share": {"type": "float", "high": 1, "default": 0}}
    read = of(tmp_path, space=space).space
    assert {name: str(value) for name, value in default_of(read).items()} == {"slots": "8", "share": "0.0"}
    assert candidate_id(default_of(read)) == candidate_id({"slots": 8, "share": 0.0})


def test_a_target_of_another_kind_says_which_verb_takes_it(tmp_path: Path) -> None:
    of(tmp_path)
    with pytest.raises(InputError, match="it is a target of 'shosei tune serve', as its table"):
        read_target(str(tmp_path / "target.toml"), "train")
    with pytest.raises(InputError, match=r"no target 'vlm' of 'shosei tune serve' .*did you mean 'vllm'"):
        read_target("vlm", "serve")
    assert [*shipped("train"), *shipped("agent")] == ["train", "agent"]


def test_overrides_have_the_last_word(tmp_path: Path) -> None:
    of(tmp_path)
    overrides = ["space.slots.high=32", "serve.model=runs/a", "objective.gain=0.1", "serve.load.rate=3"]
    read = read_target(str(tmp_path / "target.toml"), "serve", overrides)
    assert read.space["slots"].high == 32
    assert read.objective.gain == 0.1
    assert read.settings == SERVE | {"model": "runs/a", "load": {"rate": 3}}
    assert read_target(str(tmp_path / "target.toml"), "serve", ["objective.gain=2"]).objective.gain == 2  # twice more
    for wrong in ("gain=0.1", "objective.gain"):
        with pytest.raises(InputError, match=f"--set {wrong}: write it as section.key=value"):
            read_target(str(tmp_path / "target.toml"), "serve", [wrong])


@pytest.mark.parametrize(
    ("figure", "phase", "is_higher", "is_relative"),
    [
        ("inference_speed.goodput", "inference", True, True),
        ("response_time.p95", "inference", False, True),
        ("pass_at_1", "inference", True, False),
        ("error_rate", "inference", False, False),
        ("training_speed.bits_per_character", "training", False, True),
        ("memory", "inference", False, True),
        ("pass_at_1.tokens_per_solved", "inference", True, True),
        ("inference_speed.achieved_over_offered", "inference", True, False),
        ("crash_rate.per_1000h", "inference", False, True),
        ("f1.exact_match", "inference", True, False),
    ],
)
def test_direction_and_kind_of_a_gain_are_the_metrics(
    figure: str, phase: Any, is_higher: bool, is_relative: bool
) -> None:
    objective = Objective(figure=figure, phase=phase)
    assert (objective.better == "higher", objective.is_relative) == (is_higher, is_relative)
    assert objective.model_copy(update={"direction": "lower", "relative": True}).better == "lower"


def test_all_that_is_asked_is_in_the_hash(tmp_path: Path) -> None:
    mine, chatbot, pretrain = of(tmp_path), read_profile("chatbot"), read_profile("pretrain")
    budget = "60trials"
    variants = [
        asked(mine, chatbot, budget, 1),
        asked(mine, chatbot, budget, 2),
        asked(mine, None, budget, 1),
        asked(mine, pretrain, budget, 1),
        asked(mine, chatbot, "61trials", 1),
        asked(of(tmp_path, space={"slots": SLOTS | {"high": 63}}), chatbot, budget, 1),
        asked(of(tmp_path, objective=OBJECTIVE | {"gain": 0.06}), chatbot, budget, 1),
        asked(of(tmp_path, serve={"command": ["y"]}), chatbot, budget, 1),
    ]
    assert len({begin.target_hash for begin in variants}) == len(variants)
    again = asked(of(tmp_path), chatbot, budget, 1)
    assert again == variants[0]
    assert again.limits["response_time.p95"] == {"max": 10000.0}
    assert again.default == {"slots": 8}


def test_a_header_may_be_a_secret_and_is_not_logged(tmp_path: Path) -> None:
    serve = SERVE | {"load": {"header": ["X-Key: abc"], "rate": 3}}
    begin = asked(of(tmp_path, serve=serve), None, "60trials", 1)
    assert begin.settings == SERVE | {"load": {"rate": 3}}
    assert begin.target_hash != asked(of(tmp_path), None, "60trials", 1).target_hash

    words = ["--set", 'serve.load.header=["X-Key: abc"]', "tune"]
    read = of(tmp_path, serve=serve)
    assert read.recordable_words(words) == ["--set", 'serve.load.header=["X-Key: …"]', "tune"]
    assert of(tmp_path).recordable_words(words) == words


@pytest.mark.parametrize(
    ("said", "total", "is_time"),
    [("60trials", 60, False), ("1 trial", 1, False), ("30m", 1800, True), ("2h", 7200, True), ("90s", 90, True)],
)
def test_a_budget_is_trials_or_time(said: str, total: float, is_time: bool) -> None:
    budget = Budget.parse(said)
    assert (budget.total, budget.is_time) == (total, is_time)


@pytest.mark.parametrize(
    "said", ["", "many", "-3trials", "1.5trials", "0s", "trials", "3 days", "30", "0trials", "1e3"]
)
def test_what_is_no_budget_is_told(said: str) -> None:
    with pytest.raises(InputError, match=f"--budget {said}: write it as 60trials, or as a time such as 30m or 2h"):
        Budget.parse(said)


@given(st.booleans(), st.floats(0.001, 50), st.floats(1.01, 1000), st.floats(0, 1), st.sampled_from(["int", "float"]))
def test_values_of_a_range_lie_in_it_where_they_are_asked_for(
    log: bool, low: float, factor: float, place: float, kind: Any
) -> None:
    low, high = (round(low) + 1, round(low + factor) + 3) if kind == "int" else (low, low * factor)
    setting = Setting(type=kind, low=low, high=high, log=log, default=low)
    value = setting.value_at(place)
    assert low <= value <= high  # type: ignore[operator]
    assert isinstance(value, int if kind == "int" else float)
    tolerance = 1.0 / (high - low) if kind == "int" else 0.002 * high / (high - low)
    if not log:
        assert setting.place(value) == pytest.approx(place, abs=tolerance + 1e-6)


def test_the_last_step_may_end_below_the_range() -> None:
    setting = Setting(type="float", low=0, high=1.1, step=0.4, default=0.8)
    assert {setting.value_at(place / 100) for place in range(101)} == {0, 0.4, 0.8}


def test_a_step_is_kept() -> None:
    setting = Setting(type="float", low=0, high=1, step=0.25, default=0)
    assert {setting.value_at(place / 100) for place in range(101)} == {0, 0.25, 0.5, 0.75, 1}


def test_candidates_that_are_near_each_other_are_alike() -> None:
    space = {"slots": Setting(**SLOTS), "weights": Setting(**WEIGHTS)}
    default = default_of(space)
    assert are_alike(space, default, default | {"slots": 12})
    assert not are_alike(space, default, default | {"slots": 40})
    assert not are_alike(space, default, default | {"weights": "int4"})
    assert (
        candidate_id(default) == candidate_id({"weights": "bf16", "slots": 8}) != candidate_id(default | {"slots": 9})
    )
