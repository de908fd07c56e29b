"""A run whose answers were graded by older rules: its card says what the rules of today change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from shosei.log import read_log
from shosei.metrics.accuracy.items import items
from shosei.metrics.grading.grade import GRADING_VERSION
from verb import Shosei

FROZEN = Path(__file__).parents[1] / "frozen" / "quickstart"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FROZEN, tmp_path / "quickstart"))


def listed(run: Path, **changed: Any) -> list[dict[str, Any]]:
    """The run's answers as a list of another version has them; ``changed`` stands for all."""
    return [json.loads(line) | changed for line in items(read_log(run / "log")).splitlines()]


def write(run: Path, answers: list[dict[str, Any]]) -> None:
    (run / "items.jsonl").write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in answers), "utf-8")


def warnings(shosei: Shosei, run: Path) -> list[str]:
    code, _, _ = shosei("card", run)
    assert code == 0
    return [line for line in json.loads((run / "card.json").read_bytes())["warnings"] if "items.jsonl" in line]


def test_the_card_counts_the_marks_that_have_changed(shosei: Shosei, run: Path) -> None:
    answers = listed(run)
    for answer in answers:  # as the first version wrote them
        del answer["grading_version"], answer["thought"], answer["choices"]
    right = [answer for answer in answers if answer["right"]]
    wrong = [answer for answer in answers if answer["right"] is False]
    for answer in [*right[:2], *wrong[:3]]:
        answer["right"] = not answer["right"]
    wrong[3]["right"], wrong[3]["answer"] = True, "an answer of another attempt"
    write(run, answers)
    (warning,) = warnings(shosei, run)
    assert f"version {GRADING_VERSION}" in warning
    assert "version 1" in warning
    assert "has 3 as right that are wrong now, 2 as wrong that are right now, 0 changed" in warning
    changes = [json.loads(line) for line in (run / "regraded.jsonl").read_text("utf-8").splitlines()]
    assert {(each["before"]["right"], each["after"]["right"]) for each in changes} == {(True, False), (False, True)}
    assert {each["after"]["item"] for each in changes} == {each["item"] for each in [*right[:2], *wrong[:3]]}


def test_the_same_rules_change_nothing(shosei: Shosei, run: Path) -> None:
    write(run, listed(run, right=True))
    assert warnings(shosei, run) == []
    assert not (run / "regraded.jsonl").exists()


def test_other_rules_that_change_no_mark_are_not_worth_a_word(shosei: Shosei, run: Path) -> None:
    write(run, listed(run, grading_version=GRADING_VERSION - 1))
    assert warnings(shosei, run) == []
    assert not (run / "regraded.jsonl").exists()


def test_a_list_that_is_none_is_left_alone(shosei: Shosei, run: Path) -> None:
    (run / "items.jsonl").write_text("not a list of answers\n")
    assert warnings(shosei, run) == []
