"""``bench/agree.py``: which differences between Shosei and other meters need an explanation, and who is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from documented import ROOT

BENCH = ROOT / "bench"
sys.path.append(str(BENCH))  # last: some of its scripts have the names of packages

import agree  # noqa: E402
from agreement.table import Comparison, Explanation, Row, markdown, unexplained  # noqa: E402


def open_rows(*rows: Row, most: float | None = None) -> list[str]:
    """What is unexplained of rows beside a meter, where the quantity ``time`` may differ by ``most``."""
    explanations = {} if most is None else {"meter: time": Explanation("another clock", most)}
    return unexplained([Comparison("meter", rows)], explanations)


def test_a_difference_over_two_percent_needs_an_explanation() -> None:
    assert open_rows(Row("", "time", 101.9, 100)) == []
    assert open_rows(Row("", "time", 102.1, 100), Row("slow", "time", 97.9, 100)) == ["meter: time", "meter: slow time"]


def test_agreeing_with_a_peer_that_is_wrong_needs_one_too() -> None:
    assert open_rows(Row("", "time", 100, 100, truth=104)) == ["meter: time"]


def test_an_explanation_accounts_for_so_much_and_no_more() -> None:
    assert open_rows(Row("", "time", 105, 100), most=0.06) == []
    assert open_rows(Row("", "time", 107, 100), most=0.06) == ["meter: time"]
    assert open_rows(Row("", "size", 105, 100), most=0.06) == ["meter: size"]


def test_something_where_the_peer_has_nothing_is_no_agreement() -> None:
    assert open_rows(Row("", "errors", 0, 0)) == []
    assert open_rows(Row("", "errors", 1, 0), most=0.06) == ["meter: errors"]


def test_a_value_that_is_missing_is_told_and_needs_a_reason() -> None:
    missing = Row("", "time", None, 100)
    assert open_rows(missing, most=0.06) == ["meter: time"]
    assert open_rows(Row("", "time", None, 100, lacking="no such option")) == []
    assert "| not measured | 100 |" in markdown([Comparison("meter", [missing])], {})


def test_the_table_has_both_values_their_difference_and_its_reason() -> None:
    comparison = Comparison("meter", [Row("", "time", 105, 100, 104, "ms"), Row("", "size", 3, 6)])
    _, _, explained, other = markdown([comparison], {"meter: time": Explanation("another clock", 0.06)}).splitlines()
    assert explained == "|  | time | 105 ms | 100 ms | 104 ms | +5.0% | +1.0% | another clock |"
    assert other == "|  | size | 3 | 6 |  | −50.0% |  | **unexplained** |"


def test_an_unexplained_difference_ends_the_script_with_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["agree.py", "--peers", str(tmp_path), "--only", "time"])
    monkeypatch.setattr(agree.process, "compare", lambda: Comparison("time -v", [Row("", "elapsed", 3, 2)]))
    assert agree.main() == 3
    assert capsys.readouterr().err == "unexplained: time -v: elapsed\n"


def test_peers_that_are_absent_are_not_measured_and_how_to_get_them_is_said(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH / "agree.py"), "--peers", str(tmp_path)]
    only = ["--only", "aiperf", "lm-eval", "squad", "cmrc", "time"]
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([*command, *only], env=environment, capture_output=True, text=True, check=True)
    told = done.stdout.split("\n\n")
    assert [line.split(":")[0] for line in told] == ["AIPerf", "lm-eval", "SQuAD 1.1", "CMRC 2018", "time -v"]
    assert all(": not measured: " in line for line in told)
    assert "pip install aiperf" in told[0]
    assert "apt-get install time" in told[4]
