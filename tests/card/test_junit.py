"""``shosei card --junit``: each requirement a test case that a CI system can read, red where the exit code is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import card_samples
import recorded
from junit_reader import Read, properties, read_junit
from shosei.card import Scorecard, build, exit_code_of_judgements, junit
from shosei.card.junit import Case, document
from shosei.profile.profile import Profile, Requirement
from verb import Shosei


def judged(inference: dict[str, Requirement], training: dict[str, Requirement] | None = None, **cell: Any) -> Scorecard:
    profile = Profile(name="mine", inference=inference, training=training or {})
    return build(card_samples.log(), card_samples.metrics(**cell), profile)


def cases(card: Scorecard) -> dict[str, Read]:
    return {case.name: case for case in read_junit(junit(card))}


def test_a_missed_limit_is_a_failure_that_says_limit_value_interval_and_n() -> None:
    card = judged({"response_time.p95": Requirement(max=500), "pass_at_1": Requirement(min=0.9)})
    read = cases(card)
    missed, kept = read["response_time.p95"], read["pass_at_1"]
    assert (missed.classname, missed.result, missed.type) == ("mine.inference", "failure", "missed")
    for part in ("≤ 500 ms", "812 ms [770, 900]", "n = 40", "missed", "the whole 95 % interval breaks the limit"):
        assert part in missed.message
    assert (kept.result, kept.message) == ("passed", "")
    assert "94.3 % [91.1, 96.8]" in kept.text
    assert properties(junit(card))["run"] == "quickstart"


@pytest.mark.parametrize(
    ("requirement", "cell", "result", "code"),
    [
        ({"pass_at_1": Requirement(min=0.9)}, {}, "passed", 0),
        ({"pass_at_1": Requirement(min=0.99)}, {}, "failure", 3),
        ({"pass_at_1": Requirement(min=0.99, required=False)}, {}, "failure", 3),
        ({"pass_at_1": Requirement(min=0.95)}, {}, "skipped", 4),  # within the interval
        ({"pass_at_1": Requirement(min=0.9, min_n=1000)}, {}, "skipped", 4),
        ({"satisfaction": Requirement()}, {}, "skipped", 4),
        ({"gpu_utilization": Requirement()}, {}, "skipped", 4),
        ({"pass_at_1.unheard_of": Requirement()}, {}, "skipped", 4),
        ({"error_rate": Requirement(max=0.9)}, {}, "error", 5),  # the sample's is invalid
        ({"error_rate": Requirement(max=0.9, required=False)}, {}, "skipped", 0),
        ({"satisfaction": Requirement(required=False)}, {}, "skipped", 0),
    ],
)
def test_a_report_is_red_just_where_the_exit_code_says_that_something_is_wrong(
    requirement: dict[str, Requirement], cell: dict[str, Any], result: str, code: int
) -> None:
    card = judged(requirement, **cell)
    [case] = read_junit(junit(card))
    assert (case.result, exit_code_of_judgements(card.judgements)) == (result, code)
    assert (case.result in ("failure", "error")) == (code in (3, 5))
    assert case.result == "passed" or case.message


def test_what_is_not_measured_says_why_and_which_command_measures_it() -> None:
    case = cases(judged({"satisfaction": Requirement(min=0.7)}))["satisfaction"]
    assert "no 'rating' events in this attempt" in case.message
    assert "shosei serve RUN" in case.text


def test_both_phases_have_their_own_cases() -> None:
    card = judged({"memory": Requirement(min_n=1)}, {"memory": Requirement(min_n=1)})
    assert [case.classname for case in read_junit(junit(card))] == ["mine.training", "mine.inference"]


@given(st.text(st.characters(codec=None, exclude_categories=()), min_size=1, max_size=40))
def test_foreign_text_gets_out_of_no_place_and_is_always_xml(foreign: str) -> None:
    """Also NUL, escapes, lone surrogates, quotes, ends of sections: all that XML can hold comes through."""
    case = Case("group", foreign, "failure", foreign, foreign, [foreign])
    [read] = read_junit(document(foreign, [case], {"name": foreign}))
    held = "".join(character if _in_xml(character) else "\ufffd" for character in foreign)
    assert (read.name, read.type, read.message) == (held, held, held)
    assert read.text == held.replace("\r\n", "\n").replace("\r", "\n")  # as every XML reader reads lines


def _in_xml(character: str) -> bool:
    """XML 1.0, production 2."""
    code = ord(character)
    return code in (9, 10, 13) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code >= 0x10000


def test_hostile_reasons_are_text() -> None:
    hostile = card_samples.HOSTILE + "\x1b[31m\x00]]>"
    card = judged({"pass_at_1": Requirement()}, status="not_measured", value=None, reason=hostile)
    [case] = read_junit(junit(card))
    assert card_samples.HOSTILE in case.message
    assert "�[31m�]]>" in case.message


def test_the_verb_writes_it_beside_its_verdict(shosei: Shosei, tmp_path: Path) -> None:
    run, file = recorded.write_changed(tmp_path / "run"), tmp_path / "card.xml"
    profile = tmp_path / "mine.toml"
    profile.write_text('name = "mine"\n[inference]\npass_at_1 = { min = 0.99 }\nerror_rate = { max = 0.5 }\n')
    code, _, _ = shosei("card", run, "--profile", profile, "--junit", file, "--lang", "ja")
    read = {case.name: case for case in read_junit(file.read_text(encoding="utf-8"))}
    assert code == 3
    assert {name: case.result for name, case in read.items()} == {"pass_at_1": "failure", "error_rate": "passed"}
    assert "missed" in read["pass_at_1"].message, "in English, whatever the card speaks"


def test_what_cannot_be_written_is_one_line_before_any_work(shosei: Shosei, tmp_path: Path) -> None:
    run = recorded.write_changed(tmp_path / "run")
    for options, said in (
        (("--junit", tmp_path / "card.xml"), "--junit needs --profile"),
        (("--profile", "chatbot", "--junit", tmp_path / "none/card.xml"), "does not exist"),
        (("--openmetrics", tmp_path / "none/card.prom"), "does not exist"),
        (("--profile", "chatbot", "--junit", tmp_path), "this is a folder"),
        (("--openmetrics", "/dev/null"), "a link or a device"),
        (("--openmetrics", tmp_path / ("x" * 300)), "File name too long"),
        (("--profile", "chatbot", "--junit", "x", "--openmetrics", "./x"), "name the same file"),
        (("--wrong", "--openmetrics", tmp_path / "card.prom"), "--wrong writes nothing"),
    ):
        code, out, err = shosei("card", run, *options)
        assert (code, out, err.count("\n")) == (2, "", 1), options
        assert said in err
    assert not (run / "card.json").exists()
    code, _, err = shosei("card", run, "--openmetrics", tmp_path / ("x" * 255))  # no room for a temporary name
    assert (code, "File name too long" in err, "bug" in err) == (2, True, False)
