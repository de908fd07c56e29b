"""``shosei compare`` as a user runs it: on run folders, and on folders of turns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import card_samples
import recorded
from compared import turn_log, write_logs

Shosei = Callable[..., tuple[int, str, str]]


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return recorded.write_changed(tmp_path / "a")


# Another run in which everything went alike: the same log on both sides would say nothing.
REPEATED = ('"host":"', '"host":"other-')
WRONG = (('"answer":"ja-kana"', '"answer":"?"'), ('"answer":"zh-kana"', '"answer":"?"'))


def cells(out: str) -> dict[tuple[str, str], dict[str, object]]:
    return {(cell["id"], cell["phase"]): cell for cell in json.loads(out)["cells"]}


def test_every_cell_gets_a_verdict_and_single_runs_none_for_speed(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    code, out, _ = shosei("compare", a, recorded.write_changed(tmp_path / "b", REPEATED), "--json")
    found = cells(out)
    assert (code, len(found)) == (4, 30)
    assert ["training_speed", "training"] in json.loads(out)["left_out"]
    assert ["training_speed", "training"] not in json.loads(out)["considered"]
    for id in ("training_speed", "inference_speed", "memory", "disk_io", "response_time"):
        for phase in ("training", "inference"):
            cell = found[id, phase]
            assert (cell["verdict"], cell["p"]) == ("inconclusive", None)
            assert "shosei alternate" in str(cell["reason"])
    assert found["network", "training"]["verdict"] == "not_compared"
    assert "nothing is sent between nodes" in str(found["network", "training"]["reason"])
    assert found["error_rate", "inference"]["verdict"] == "equivalent"
    assert found["pass_at_1", "inference"]["verdict"] == "inconclusive"  # 90 tasks cannot show equality within 2 points
    assert not any(cell["verdict"] in ("better", "worse") for cell in found.values())


def test_lost_tasks_are_a_regression_and_won_ones_are_not(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b = recorded.write_changed(tmp_path / "b", *WRONG)
    code, out, _ = shosei("compare", a, b, "--metric", "pass_at_1")
    assert code == 3
    assert "b is worse than a: pass@1 (training, inference)" in out
    code, out, _ = shosei("compare", b, a, "--metric", "pass_at_1")
    assert code == 0
    assert "a is better than b" in out
    code, out, _ = shosei("compare", a, b, "--metric", "error_rate", "--metric", "memory", "--json")
    assert (code, json.loads(out)["considered"][0]) == (4, ["memory", "training"])


def test_an_invalid_measurement_has_no_verdict(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b = recorded.write_changed(tmp_path / "b", ('"verb":"serve"', '"verb":"exam","config":{"answers":1396}'))
    code, out, _ = shosei("compare", a, b, "--metric", "f1", "--json")
    assert (code, cells(out)["f1", "inference"]["verdict"]) == (5, "invalid")
    assert "answers are recorded" in str(cells(out)["f1", "inference"]["reason"])
    assert cells(out)["f1", "inference"]["p"] is None


def test_only_tasks_with_the_same_truth_are_paired(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    """Ten of the forty sums of each phase have another truth: their tasks are others."""
    other = [(f'"item":"s{index}",', f'"item":"new{index}",') for index in range(1, 21, 2)]
    code, out, _ = shosei("compare", a, recorded.write_changed(tmp_path / "b", *other), "--json")
    cell = cells(out)["pass_at_1", "inference"]
    assert (code, cell["n"]) == (4, 80)
    assert cell["notes"] == ["paired on the 80 tasks that both have; 20 tasks of one side only are left out"]
    none = [(f'"item":"{kind}{index}",', f'"item":"new{kind}{index}",') for kind in "sif" for index in range(80)]
    present = [pair for pair in none if pair[0] in next((a / "log").glob("*.jsonl")).read_text()]
    cell = cells(shosei("compare", a, recorded.write_changed(tmp_path / "c", *present), "--json")[1])[
        "pass_at_1", "inference"
    ]
    assert "no task is common" in str(cell["notes"])
    assert "Fisher" in str(cell["method"])


def test_what_differs_besides_is_named(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b = recorded.write_changed(
        tmp_path / "b",
        ('"cores":2', '"cores":64'),
        ('"model":{"name":"nano"}', '"model":{"name":"tiny"}'),
    )
    _, out, _ = shosei("compare", a, b)
    assert "Not the same on both sides, machine: cores" in out
    assert "Not the same on both sides, model: name" in out
    assert "Not the same" not in shosei("compare", a, recorded.write_changed(tmp_path / "c"))[1]


@pytest.mark.parametrize(("temperatures", "compared"), [(("0.0", "0.7"), False), (("0.0", "0.0"), True)])
def test_another_score_identity_is_named_and_other_settings_are_no_verdict_on_the_model(
    shosei: Shosei, tmp_path: Path, temperatures: tuple[str, str], compared: bool
) -> None:
    """Where the settings are the same, the tasks themselves were changed: those with the same truth are paired."""
    folders = []
    for name, temperature in zip("ab", temperatures, strict=True):
        exam = f'"verb":"exam","config":{{"temperature":{temperature},"samples":1}}'
        identity = ('"grader":"exact"', f'"grader":"exact","identity":"{name}"')
        folders.append(recorded.write_changed(tmp_path / name, ('"verb":"serve"', exam), identity))
    _, out, _ = shosei("compare", *folders, "--json")
    cell = cells(out)["pass_at_1", "inference"]
    assert (cell["p"] is not None) == compared
    assert ("other settings (temperature)" in str(cell["reason"])) != compared
    assert any("score identity: sums (inference)" in warning for warning in json.loads(out)["warnings"])


def test_a_profile_names_what_decides_and_its_margins(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b = recorded.write_changed(tmp_path / "b", REPEATED)
    profile = tmp_path / "mine.toml"
    profile.write_text('name = "mine"\n[inference]\npass_at_1 = { margin = 0.05 }\n')
    code, out, _ = shosei("compare", a, b, "--profile", profile, "--json")
    assert code == 0
    assert json.loads(out)["considered"] == [["pass_at_1", "inference"]]
    assert (cells(out)["pass_at_1", "inference"]["verdict"]) == "equivalent"
    profile.write_text('name = "mine"\n[inference]\nsatisfaction = { min = 0.8 }\n')
    assert shosei("compare", a, b, "--profile", profile)[0] == 4  # required, and not measured


def test_markdown_is_short_and_safe(shosei: Shosei, tmp_path: Path) -> None:
    a = recorded.write_changed(tmp_path / "a")
    hostile = card_samples.HOSTILE.replace('"', "").replace("/", "")
    b = recorded.write_changed(tmp_path / hostile, *WRONG)
    report = tmp_path / "report.md"
    code, _, _ = shosei("compare", a, b, "--markdown", report)
    text = report.read_text()
    assert code == 3
    assert text.startswith("**▼ ")
    before, folded = text.split("<details>", 1)
    assert "pass@1" in before
    assert "Memory" not in before
    assert "Memory" in folded
    assert "<script" not in text.replace("\\<script", "")
    code, out, _ = shosei("compare", a, b, "--markdown", "-", "--lang", "ja")
    assert (code, out.startswith("**▼ ")) == (3, True)
    assert "推論時の" in out
    assert "（推論）" not in out


def test_what_single_runs_cannot_decide_counts_only_if_asked_for(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b = recorded.write_changed(tmp_path / "b", REPEATED)
    code, out, _ = shosei("compare", a, b)
    headline, table = out.split("\n\n")[:2]
    assert "results do not count, as single runs cannot decide them" in " ".join(headline.split())
    counted, others = table.split("Do not count:")
    assert "Error rate (inference)" in counted
    assert "Memory (inference)" in others
    assert "Memory" not in counted
    assert code == 4  # accuracy is open: more tasks would decide it
    assert shosei("compare", a, b, "--metric", "memory")[0] == 4


def test_the_same_log_on_both_sides_is_said_and_never_passes(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    copy = recorded.write_changed(tmp_path / "copy")
    for arguments in ((a, copy), (a, a), (a, copy, "--metric", "error_rate")):
        code, out, _ = shosei("compare", *arguments)
        assert (code, out.startswith("△ Both sides are the same log: a")) == (4, True)
    assert "同一份日志" in shosei("compare", a, copy, "--lang", "zh-CN")[1]
    assert "Both sides are the same log" in shosei("compare", a, copy, "--markdown", "-")[1].splitlines()[0]


@pytest.mark.parametrize(
    ("lang", "one", "several", "all_of_them"),
    [
        ("en", "p is not corrected: one comparison", "p is corrected for 4 comparisons", "no metric was named"),
        ("zh-CN", "p 值未作校正", "p 值按 4 项比较校正", "没有指定指标"),
        ("ja", "p 値は補正していません", "p 値は 4 件の比較について補正", "指標の指定がなく"),
    ],
)
def test_it_is_said_for_how_many_comparisons_p_is_corrected_and_why(
    shosei: Shosei, a: Path, tmp_path: Path, lang: str, one: str, several: str, all_of_them: str
) -> None:
    b = recorded.write_changed(tmp_path / "b", *WRONG)

    def printed(*options: str) -> str:
        return " ".join(shosei("compare", a, b, "--lang", lang, *options)[1].split())

    assert one in printed("--metric", "satisfaction")
    assert several in printed("--metric", "pass_at_1", "--metric", "error_rate", "--metric", "memory")
    assert all_of_them in printed()


def test_only_rows_that_count_stand_before_the_fold(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    """Accuracy is worse, but only the error rate and the speed of training were asked for."""
    b = recorded.write_changed(tmp_path / "b", *WRONG)
    asked = ("--metric", "error_rate", "--metric", "training_speed")
    code, out, _ = shosei("compare", a, b, *asked, "--markdown", "-")
    before, folded = out.split("<details>")[:2]
    equal, uncounted = folded.split("Do not count:")
    assert code == 4
    assert "Training speed" in before
    assert "pass@1" not in before + equal
    assert "Error rate" in equal
    assert "worse" in uncounted
    assert "pass@1" not in shosei("compare", a, b, *asked)[1].split("Do not count:")[0]


def test_what_was_asked_for_and_measured_by_nobody_is_in_the_table_with_its_reason(
    shosei: Shosei, a: Path, tmp_path: Path
) -> None:
    code, out, _ = shosei("compare", a, recorded.write_changed(tmp_path / "b", REPEATED), "--metric", "network")
    assert (code, "– not compared" in out) == (4, True)
    assert "nothing is sent between nodes" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{a}", "{a}", "--markdown", "nowhere/report.md"), "the folder nowhere does not exist"),
        (("{a}", "nowhere"), "not a run folder"),
        (("{a}",), "shosei alternate"),
        (("{a}", "{a}", "--metric", "pass_at_2"), "unknown metric 'pass_at_2'; did you mean 'pass_at_1'?"),
        (("{a}", "{a}", "--attempt-b", "7"), "attempt 7 is not in"),
        (("{a}", "--attempt-a", "1"), "for two runs"),
        (("{a}", "{a}", "--profile", "chatbt"), "did you mean 'chatbot'?"),
        (("{a}", "{a}", "--lang", "fr"), "unknown language 'fr'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    shosei: Shosei, a: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = shosei("compare", *(argument.format(a=a) for argument in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def turns(folder: Path, order: str, slower: float, ended: dict[int, int] | None = None) -> Path:
    draw = np.random.default_rng(9)
    logs = [
        turn_log(
            number,
            f"target {name}",
            float(np.exp(draw.normal(0, 0.02))) * (slower if name == "b" else 1.0),
            draw,
            requests=60,
            ended=(ended or {}).get(number, 0),
        )
        for number, name in enumerate(order, 1)
    ]
    return write_logs(folder, logs)


def test_turns_give_a_verdict_on_speed(shosei: Shosei, tmp_path: Path) -> None:
    folder = turns(tmp_path / "slower", "abbaabbaabbaab", 1.3)
    code, out, _ = shosei("compare", folder, "--json")
    found = cells(out)
    speed = found["training_speed", "inference"]
    assert (code, json.loads(out)["pairs"], speed["n"]) == (3, 7, 7)
    assert (speed["verdict"], speed["relative"]) == ("worse", True)
    assert speed["difference"] == pytest.approx(0.3, abs=0.05)
    assert found["pass_at_1", "inference"]["n"] == 40  # tasks, over all turns
    code, out, _ = shosei("compare", folder, "--metric", "training_speed")
    assert code == 3
    assert "target b is worse than target a: Training speed (inference)" in out
    equal = turns(tmp_path / "equal", "abbaabbaabbaab", 1.0)
    assert shosei("compare", equal, "--metric", "training_speed")[0] == 0


def test_a_phase_that_neither_side_measured_is_one_line(shosei: Shosei, tmp_path: Path) -> None:
    folder = turns(tmp_path / "turns", "abbaabbaab", 1.0)
    out = shosei("compare", folder)[1]
    (of_training,) = [line for line in out.splitlines() if "training" in line]
    assert of_training == "- nothing was measured on either side in training"
    assert out.count("no value on either side") == 1
    assert "events" not in out
    assert "no epoch was recorded in training" in str(
        cells(shosei("compare", folder, "--json")[1])["training_speed", "training"]
    )


def test_the_baseline_is_who_began_also_if_its_first_turn_broke_off(shosei: Shosei, tmp_path: Path) -> None:
    folder = turns(tmp_path / "broken", "abbaabba", 2.0, ended={1: 130})
    assert json.loads(shosei("compare", folder, "--json")[1])["a"] == "target a"
    none = turns(tmp_path / "none", "ab", 2.0, ended={1: 130})
    code, _, err = shosei("compare", none)
    assert (code, "no pair of turns has ended well" in err) == (2, True)


def test_too_few_turns_say_how_many_are_missing(shosei: Shosei, tmp_path: Path) -> None:
    """Three pairs of four are whole: a turn of the second was broken off."""
    folder = turns(tmp_path / "few", "abbaabba", 2.0, ended={3: 130})
    code, out, _ = shosei("compare", folder, "--metric", "training_speed", "--json")
    assert code == 4
    assert "3 pairs of turns: 2 more are needed" in str(cells(out)["training_speed", "inference"]["reason"])
