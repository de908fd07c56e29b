"""The answers behind the accuracy: which are told, in which order, and how each view shows them."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

import agent_samples
import card_samples
import recorded
from answer_samples import BIDI, ESCAPES, HOSTILE, STEERING, log_of, markup, score
from shosei.card import answers, build, html, markdown, terminal, to_json
from shosei.card.answers import Answer, Answers
from shosei.card.excerpt import one_line
from shosei.card.words import LANGUAGES
from shosei.log import Exec, Log, Score, Verdict, read_log
from verb import Shosei


def rows(log: Log) -> dict[str, Answer]:
    return {answer.item: answer for suite in answers(log).suites for answer in suite.answers}


def printed(told: Answers, language: str = "en") -> str:
    out = io.StringIO()
    card = build(card_samples.log(), card_samples.metrics())
    Console(file=out, width=100, force_terminal=False).print(terminal(card, language, answers=told))
    return out.getvalue()


def page(told: Answers, language: str | None = None) -> str:
    return html(build(card_samples.log(), card_samples.metrics()), language, answers=told)


def report(told: Answers, language: str = "en") -> str:
    return markdown(build(card_samples.log(), card_samples.metrics()), language, answers=told)


def test_the_answers_of_both_phases_are_told_suite_by_suite_and_wrong_ones_first(tmp_path: Path) -> None:
    """Of the recorded exam every eighth answer is wrong, and 6 of 10 programs; of the last checkpoint every third."""
    told = answers(read_log(recorded.write_run(tmp_path) / "log"))
    counted = {(suite.phase, suite.name): (suite.count("wrong"), len(suite.answers)) for suite in told.suites}
    assert counted == {
        ("inference", "functions"): (6, 10),
        ("inference", "intent"): (10, 40),
        ("inference", "sums"): (0, 40),
        ("training", "intent"): (14, 40),
        ("training", "sums"): (13, 40),
    }
    for suite in told.suites:
        standings = [answer.standing for answer in suite.answers]
        assert standings == sorted(standings, reverse=True), "wrong before right"


def test_an_answer_is_told_with_what_was_read_of_it_its_truth_and_its_grade() -> None:
    log = log_of(
        score("number", "I think that it is 8.", grader="number"),
        score("exact", "７", references=["seven"]),
        score("choice", "The answer is (B).", "A", grader="choice", choices=["Osaka", "Kyoto"], question="Which?"),
        score("thought", "<think>7?</think>9"),
        score("unread", "I would rather not.", grader="number"),
    )
    told = rows(log)
    assert {name: (row.extracted, row.truths, row.standing) for name, row in told.items()} == {
        "number": ("8", ["7"], "wrong"),
        "exact": ("７", ["7", "seven"], "wrong"),
        "choice": ("B: Kyoto", ["A: Osaka"], "wrong"),
        "thought": ("9", ["7"], "wrong"),
        "unread": ("", ["7"], "wrong"),
    }
    assert told["thought"].answer == "9", "a thought is no part of what was said"
    assert "no answer could be read" in report(answers(log))


def test_the_overlap_of_free_text_stands_beside_it() -> None:
    """Three of the answer's four words are among the reference's five: F1 is 6/9."""
    log = log_of(score("fox", "quick brown fox jumps", "quick brown fox sleeps here", grader="span"), score("sum", "7"))
    told = rows(log)
    assert told["fox"].overlap == pytest.approx(6 / 9)
    assert told["sum"].overlap is None
    assert "0.67" in page(answers(log))


def test_a_request_that_failed_is_no_wrong_answer_and_a_judge_gives_no_grade() -> None:
    judged = score("essay", "An essay.", grader="judge")
    verdict = Verdict(
        suite="sums",
        item="essay",
        sample=0,
        by="model",
        answer=hashlib.sha256(b"An essay.").hexdigest(),
        said="VERDICT: fail",
        judge="strict",
        identity="1",
        phase="inference",
    )
    log = log_of(score("lost", "", error="timeout"), judged, verdict, score("kept", "7"))
    (suite,) = answers(log).suites
    assert [(row.item, row.standing) for row in suite.answers] == [
        ("lost", "failed"),
        ("essay", "ungraded"),
        ("kept", "right"),
    ]
    assert "strict: does not pass" in page(answers(log))
    assert "0 of 3 wrong" in page(answers(log))
    assert "Wrong answers" not in report(answers(log))


def test_a_program_is_shown_as_it_ran_with_what_became_of_it() -> None:
    ran = Exec(
        suite="sums",
        item="code",
        sample=0,
        backend="wall",
        level="wall",
        oracle="outside",
        outcome="cpu timeout",
        program="def f(): ...",
        phase="inference",
    )
    log = log_of(score("code", "Here:\n```python\ndef f(): ...\n```", grader="python"), ran)
    assert rows(log)["code"].extracted == "def f(): ..."
    assert "CPU timeout" in page(answers(log))


def test_only_the_last_checkpoint_and_the_last_answer_to_a_task_are_told() -> None:
    log = log_of(
        *(score("task", str(epoch), phase="training", epoch=epoch) for epoch in (1, 2)),
        score("again", "8"),
        score("again", "9"),
    )
    assert [(row.item, row.answer) for suite in answers(log).suites for row in suite.answers] == [
        ("again", "9"),
        ("task", "2"),
    ]


def test_tasks_are_told_in_the_order_of_their_numbers() -> None:
    """Whatever a name holds: "12a" lies behind "2", and a number of 5,000 digits is one."""
    items = ["9" * 5000, "t16", "t2", "12a", "11", "1", "2", "t-10", "01", "٣"]
    (suite,) = answers(log_of(*(score(item, "8") for item in items))).suites
    assert [row.item for row in suite.answers] == ["01", "1", "2", "11", "12a", "9" * 5000, "t2", "t16", "t-10", "٣"]


def test_the_tasks_of_an_agent_system_are_among_the_answers(tmp_path: Path) -> None:
    log = read_log(agent_samples.write_run(tmp_path) / "log")
    (suite,) = answers(log).suites
    wrong = {row.item for row in suite.answers if row.standing == "wrong"}
    assert wrong == {f"t{n}" for n in range(agent_samples.TASKS) if not agent_samples.solved(n)}
    assert next(row for row in suite.answers if row.item == "t39").reason, "how the task ended"


def test_a_file_stays_below_a_megabyte_and_says_how_many_are_left_out() -> None:
    """Wrong ones of both suites come before any right one; a long text is cut in the middle, and its end is kept."""
    right = [score(f"r{n:05}", "7", suite="b", question="漢字" * 300) for n in range(4000)]
    wrong = [score(f"w{n:05}", "x" * 900_000 + "END", suite=suite) for n in range(40) for suite in ("a", "b")]
    told = answers(log_of(*right, *wrong))
    source = page(told)
    assert len(source.encode()) < 1_000_000
    assert len(source.encode()) > 900_000, "what fits is shown"
    assert all(source.count(f">w{n:05}</code>") == 2 for n in range(40))
    shown = source.count(">r0")
    assert 0 < shown < 4000
    assert f"and {4000 - shown:,} more" in source
    assert source.count("ENDx") == 0
    assert source.count("xEND") == 80


def test_without_answers_there_is_nothing_of_them() -> None:
    card = build(card_samples.log(), card_samples.metrics())
    log = log_of(score("secret", "8", question="A secret question"))
    assert "A secret question" in html(card, answers=answers(log))
    for view in (html(card), markdown(card), to_json(card)):
        assert "A secret question" not in view
    assert 'class="answers"' not in html(card, answers=answers(log_of()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_wrong_ones_stand_in_report_and_terminal_from_as_many_suites_as_can_be(language: str) -> None:
    many = [score(f"m{n}", "8", suite="many") for n in range(30)]
    told = answers(log_of(*many, score("f1", "9", suite="few"), score("f2", "7", suite="few")))
    for view, most in ((report(told, language), 10), (printed(told, language), 5)):
        assert view.count("few/f1") == 1
        assert view.count("many/m") == most - 1
        assert "shosei card RUN --wrong" in view
        assert "f2" not in view, "it is right"


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_get_out_of_no_view(kind: str) -> None:
    words = HOSTILE[kind]
    told = answers(log_of(score("task", words, question=words, suite=words[:2000], truth=words + "x")))
    source, text, out = page(told), report(told), printed(told)
    for view in (source, text, out):
        assert not STEERING & set(view)
        view.encode()
        assert len(view) < 1_000_000
    assert source.count("<script") == page(answers(log_of(score("tame", "8")))).count("<script")
    assert "<img" not in source
    assert markup(text) <= markup(report(answers(log_of(score("tame", "8")))))
    assert max(map(len, out.splitlines())) <= 100 or kind == "pile", "marks take no room"


def test_markdown_shows_foreign_text_as_code_whatever_quotes_are_in_it() -> None:
    told = answers(log_of(score("task", "```sh\nrm -rf `x`\n``` @team #12 <b>", question="`")))
    (said,) = [line for line in report(told).splitlines() if line.startswith("  - answer: ")]
    assert said == "  - answer: ```` ```sh rm -rf `x` ``` @team #12 <b> ````"


def test_nothing_is_left_out_of_a_line_without_a_mark() -> None:
    """Blanks take no room, however many; a long line is cut in its middle."""
    assert one_line("a" + " " * 1000 + "seven" + "\n" * 1000 + "b", 60) == "a seven b"
    assert one_line("a" * 1_000_000 + "b", 20) == "aaaaaaa … aaaaaaaaab"
    assert one_line("七" * 100, 20) == "七七七 … 七七七七七"
    assert " … " in one_line("a" + "\u0301" * 1000 + "b", 20), "marks of one letter"


def test_line_breaks_are_kept_on_the_page_and_control_characters_are_seen() -> None:
    source = page(answers(log_of(score("task", "one\r\ntwo\n\tthree" + BIDI + ESCAPES))))
    assert "one\ntwo\n\tthreesafe \ufffdevil\ufffd" in source
    assert "\ufffd[31mred\ufffd[0m" in source


def test_a_text_is_in_its_own_language() -> None:
    source = page(answers(log_of(score("task", "八", lang="zh", question="几？"), score("other", "8", lang=""))))
    assert '<div class="said" lang="zh" dir="auto">几？</div>' in source
    assert '<div class="said" lang="" dir="auto">8</div>' in source


def test_card_writes_them_and_leaves_them_out_when_told_to(shosei: Shosei, tmp_path: Path) -> None:
    run = recorded.write_run(tmp_path / "run")
    code, out, _ = shosei("card", run)
    assert code == 0
    assert "Wrong answers 43 of 170" in out
    assert 'class="answers"' in (run / "card.html").read_text(encoding="utf-8")
    before = (run / "card.json").read_bytes()
    code, out, _ = shosei("card", run, "--no-answers")
    assert (code, "Wrong answers" in out) == (0, False)
    assert 'class="answers"' not in (run / "card.html").read_text(encoding="utf-8")
    assert "Wrong answers" not in (run / "card.md").read_text(encoding="utf-8")
    assert (run / "card.json").read_bytes() == before


def test_wrong_prints_every_wrong_answer_of_an_exam(shosei: Shosei, tmp_path: Path) -> None:
    run = recorded.write_run(tmp_path / "run")
    code, out, _ = shosei("card", run, "--wrong")
    assert (code, out.count("✗ ")) == (0, 43)
    assert not (run / "card.json").exists()
    _, out, _ = shosei("card", run, "--wrong", "--json")
    told = [row for suite in json.loads(out)["suites"] for row in suite["answers"]]
    assert len(told) == 43
    assert {row["standing"] for row in told} == {"wrong"}
    code, _, err = shosei("card", run, "--wrong", "--no-answers")
    assert (code, err.count("\n")) == (2, 1)
    assert "leave --no-answers out" in err


def test_wrong_where_nothing_was_asked_is_refused(shosei: Shosei, tmp_path: Path) -> None:
    run = recorded.write_run(tmp_path / "run", (Score,))
    code, _, err = shosei("card", run, "--wrong")
    assert (code, "shosei exam" in err) == (2, True)
