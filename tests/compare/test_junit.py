"""``shosei compare --junit``: each cell that decides is a test case."""

from __future__ import annotations

from pathlib import Path

import pytest

import card_samples
import recorded
from junit_reader import Read, properties, read_junit
from verb import Shosei

REPEATED = ('"host":"', '"host":"other-')
WRONG = (('"answer":"ja-kana"', '"answer":"?"'), ('"answer":"zh-kana"', '"answer":"?"'))


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return recorded.write_changed(tmp_path / "a")


def compared(shosei: Shosei, a: Path, b: Path, *options: str) -> tuple[int, str, list[Read]]:
    file = b.parent / "compare.xml"
    code, _, _ = shosei("compare", a, b, "--junit", file, *options)
    source = file.read_text(encoding="utf-8")
    return code, source, read_junit(source)


def test_lost_tasks_are_a_failure_with_both_values_and_p(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b = recorded.write_changed(tmp_path / "b", *WRONG)
    code, source, cases = compared(shosei, a, b, "--metric", "pass_at_1", "--lang", "ja")
    assert (code, {case.classname for case in cases}) == (3, {"compare.training", "compare.inference"})
    for case in cases:
        assert (case.name, case.result, case.type) == ("pass_at_1", "failure", "worse")
        assert " → " in case.message
        assert "points" in case.message
        assert "p = < 0.001" in case.message
        assert "exact McNemar by task" in case.text
    assert (properties(source)["a"], properties(source)["b"]) == ("a", "b")
    code, _, cases = compared(shosei, b, a, "--metric", "pass_at_1")
    assert (code, {case.result for case in cases}) == (0, {"passed"})


def test_undecided_is_skipped_with_its_reason_and_equal_passes(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b = recorded.write_changed(tmp_path / "b", REPEATED)
    code, _, cases = compared(shosei, a, b, "--metric", "memory", "--metric", "error_rate")
    read = {(case.name, case.classname): case for case in cases}
    assert code == 4
    assert read["error_rate", "compare.inference"].result == "passed"
    assert read["memory", "compare.inference"].result == "skipped"
    assert "shosei alternate" in read["memory", "compare.inference"].message


def test_an_invalid_measurement_is_an_error(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    b = recorded.write_changed(tmp_path / "b", ('"verb":"serve"', '"verb":"exam","config":{"answers":1396}'))
    code, _, cases = compared(shosei, a, b, "--metric", "f1")
    assert (code, [case.result for case in cases if case.classname == "compare.inference"]) == (5, ["error"])


def test_the_cells_that_do_not_count_are_no_test_cases(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    _, _, cases = compared(shosei, a, recorded.write_changed(tmp_path / "b", REPEATED))
    assert "memory" not in {case.name for case in cases}
    assert len(cases) > 5


def test_a_run_compared_with_itself_passes_no_test(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    code, _, cases = compared(shosei, a, recorded.write_changed(tmp_path / "b"))
    assert (code, [case.result for case in cases]) == (4, ["skipped"])
    assert "same log" in cases[0].message


def test_sides_with_hostile_names_are_text(shosei: Shosei, a: Path, tmp_path: Path) -> None:
    hostile = card_samples.HOSTILE.replace("/", "") + "\x1b]]>&"
    code, source, _ = compared(shosei, a, recorded.write_changed(tmp_path / hostile, *WRONG), "--metric", "pass_at_1")
    assert (code, properties(source)["b"]) == (3, hostile.replace("\x1b", "�"))
