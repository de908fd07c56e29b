"""The answers that changed between two sides: which are lost and won, and how each view shows them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

import recorded
from answer_samples import HOSTILE, STEERING, log_of, markup, score
from changed_samples import A, B, decision
from shosei.card.words import LANGUAGES
from shosei.compare import Decision, html, markdown, terminal
from shosei.compare.answers import ChangedAnswer, ChangedAnswers, changed_answers
from shosei.log import Log
from verb import Shosei


def changed(a: Sequence[Log], b: Sequence[Log]) -> ChangedAnswers:
    found = changed_answers(a, b)
    assert isinstance(found, ChangedAnswers)
    return found


def by_item(found: ChangedAnswers) -> dict[str, ChangedAnswer]:
    return {answer.item: answer for suite in found.suites for answer in suite.answers}


def printed(made: Decision, language: str = "en") -> str:
    out = io.StringIO()
    Console(file=out, width=160, force_terminal=False).print(terminal(made, language))
    return out.getvalue()


def test_lost_comes_before_won_and_won_before_what_is_wrong_otherwise() -> None:
    (suite,) = changed([log_of(*A)], [log_of(*B)]).suites
    assert [(answer.item, answer.change) for answer in suite.answers] == [
        ("lost", "lost"),
        ("won", "won"),
        ("other", "other"),
    ]
    assert (suite.paired, suite.lost, suite.won) == (5, 1, 1)
    lost = suite.answers[0]
    assert (lost.question, lost.truths, lost.a.answer, lost.b.answer) == ("Question lost?", ["7"], "7", "9")


def test_only_the_same_task_with_the_same_truth_is_paired_and_failed_requests_are_not() -> None:
    a = [score("one", "7"), score("truth", "7"), score("failed", "7"), score("mine", "7"), score("both", "7")]
    b = [score("one", "8"), score("truth", "7", "8"), score("failed", "", error="timeout"), score("both", "7")]
    (suite,) = changed([log_of(*a)], [log_of(*b)]).suites
    assert (suite.paired, suite.lost, suite.won) == (2, 1, 0)
    assert changed_answers([log_of(score("a", "7"))], [log_of(score("b", "7"))]) is msgspec.UNSET


def test_of_repeated_samples_it_counts_how_many_are_right() -> None:
    """Three samples on one side, two on the other: 2 of 3 is more than 1 of 2, and 2 of 2 is as good as 3 of 3."""
    a = [score("fewer", said, sample=n) for n, said in enumerate(("7", "8", "7"))]
    b = [score("fewer", said, sample=n) for n, said in enumerate(("7", "9"))]
    a += [score("all", "7", sample=n) for n in range(3)]
    b += [score("all", "7", sample=n) for n in range(2)]
    found = by_item(changed([log_of(*a)], [log_of(*b)]))
    fewer = found["fewer"]
    assert found.keys() == {"fewer"}
    assert (fewer.change, fewer.a.right, fewer.a.of, fewer.b.right, fewer.b.of) == ("lost", 2, 3, 1, 2)
    assert (fewer.a.answer, fewer.b.answer) == ("7", "9"), "one that was right, and one that no longer is"
    made = decision(a, b)
    for view in (printed(made), markdown(made), html(made)):
        assert "2 of 3 right" in view
        assert "1 of 2 right" in view


def test_the_turns_of_a_target_are_samples() -> None:
    turns = [[log_of(score("task", said)) for said in of_side] for of_side in (("7", "7"), ("7", "8"))]
    task = by_item(changed(*turns))["task"]
    assert (task.change, task.a.right, task.a.of, task.b.right, task.b.of) == ("lost", 2, 2, 1, 2)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_view_tells_how_many_and_shows_the_texts(language: str) -> None:
    made = decision(A, B)
    for view in (printed(made, language), markdown(made, language), html(made, language)):
        assert "Question lost?" in view
        assert "Question won?" in view
        assert "Question kept?" not in view
        assert view.index("Question lost?") < view.index("Question won?")
    assert "1 lost, 1 won" in printed(made)
    assert "**Of 5 tasks that both were asked: 1 lost, 1 won**" in markdown(made).partition("<details>")[0]


def test_a_comment_stays_short_and_says_where_the_rest_is() -> None:
    words = "漢字" * 5000
    made = decision(
        [score(f"t{n}", "7", question=words) for n in range(900)],
        [score(f"t{n}", words, question=words) for n in range(900)],
    )
    text = markdown(made)
    assert len(text) < 65_536, "as much as a comment holds"
    assert text.count("- ▼ lost") == 20
    assert "and 880 more" in text
    assert "and 895 more" in printed(made)
    source = html(made)
    assert 900_000 < len(source.encode()) < 1_000_000
    assert "left out to keep this file small" in source


def test_what_was_won_is_among_the_first_ones_too() -> None:
    many = [f"t{n:02}" for n in range(30)]
    one = [score("the-one", "8")], [score("the-one", "7")]
    made = decision([*(score(name, "7") for name in many), *one[0]], [*(score(name, "8") for name in many), *one[1]])
    assert (printed(made).count("▼ lost"), printed(made).count("▲ won")) == (4, 1)
    back = decision([*(score(name, "8") for name in many), *one[1]], [*(score(name, "7") for name in many), *one[0]])
    assert (printed(back).count("▼ lost"), printed(back).count("▲ won")) == (1, 4)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_get_out_of_no_view(kind: str) -> None:
    words = HOSTILE[kind]
    more = {"question": words, "suite": words[:2000]}
    made = decision([score("task", "7", **more)], [score("task", words, **more)], (words[:2000].replace("@", ""), "b"))
    tame = decision([score("task", "7")], [score("task", "8")])
    source, text, out = html(made), markdown(made), printed(made)
    assert source.count("<script") == html(tame).count("<script")
    assert "<img" not in source
    for view in (source, text, out):
        assert not STEERING & set(view)
        view.encode()
    assert markup(text) <= markup(markdown(tame))
    assert not any("<script" in line for line in text.splitlines() if line.startswith("<summary>"))


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    return recorded.write_changed(tmp_path / "a"), recorded.write_changed(
        tmp_path / "b", ('"answer":"ja-kana"', '"answer":"?"')
    )


def test_compare_writes_a_page_and_has_them_in_json(shosei: Shosei, sides: tuple[Path, Path], tmp_path: Path) -> None:
    """In the exam 10 tasks have the truth ja-kana; those of the 40 whose index is a multiple of 8 were wrong before."""
    page = tmp_path / "compare.html"
    code, out, _ = shosei("compare", *sides, "--html", page, "--json")
    found = {(suite["phase"], suite["name"]): suite for suite in json.loads(out)["answers"]["suites"]}
    assert code == 3
    assert found["inference", "intent"]["paired"] == 40
    right_before = [index for index in range(6, 80, 8) if index % 8]
    assert [row["item"] for row in found["inference", "intent"]["answers"] if row["change"] == "lost"] == [
        f"i{index}" for index in right_before
    ]
    source = page.read_text(encoding="utf-8")
    assert "<!doctype html>" in source
    assert 'class="verdict missed"' in source
    code, out, _ = shosei("compare", *sides, "--html", page, "--json", "--no-answers")
    assert (code, "answers" in json.loads(out)) == (3, False)
    assert 'class="answers"' not in page.read_text(encoding="utf-8")
    assert "tasks that both were asked" not in shosei("compare", *sides, "--no-answers")[1]


def test_a_page_in_a_folder_that_is_not_there_is_refused(shosei: Shosei, sides: tuple[Path, Path]) -> None:
    code, out, err = shosei("compare", *sides, "--html", "nowhere/page.html")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "the folder nowhere does not exist" in err
