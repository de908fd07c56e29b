"""In a job on GitHub ``card`` and ``compare`` append their Markdown to the job's summary."""

from __future__ import annotations

from pathlib import Path

import pytest

import recorded
from verb import Shosei

WRONG = (('"answer":"ja-kana"', '"answer":"?"'), ('"answer":"zh-kana"', '"answer":"?"'))
PROFILE = 'name = "mine"\n[inference]\npass_at_1 = { min = 0.99 }\n'


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    return file


def test_a_step_s_summary_has_all_that_its_commands_judged(shosei: Shosei, tmp_path: Path, summary: Path) -> None:
    a, b = recorded.write_changed(tmp_path / "a"), recorded.write_changed(tmp_path / "b", *WRONG)
    (tmp_path / "mine.toml").write_text(PROFILE)
    summary.write_text("# Before\n")
    assert shosei("card", b, "--profile", tmp_path / "mine.toml")[0] == 3
    assert shosei("compare", a, b, "--metric", "pass_at_1")[0] == 3
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("# Before\n\n# ✗ mine: 1 of 1 requirements missed")
    assert "| Inference | `pass_at_1` | ≥ 99 % |" in text.partition("<details>")[0], (
        "what was judged is not folded away"
    )
    assert (b / "card.md").read_text(encoding="utf-8") in text
    assert text.index("b is worse than a: pass@1") > text.index("# ✗ mine")
    folded = ("card", "what it was measured on", "audit", "cells", "answers of the exam", "answers of the training")
    assert text.count("<details>") == text.count("</details>") == len(folded)
    lines = text.splitlines()
    for place, line in enumerate(lines):  # GitHub reads Markdown within an element only behind an empty line
        if line.startswith("<summary>"):
            assert (lines[place - 1], lines[place + 1]) == ("<details>", "")


def test_a_card_without_a_profile_is_shown_as_it_is(shosei: Shosei, tmp_path: Path, summary: Path) -> None:
    run = recorded.write_changed(tmp_path / "run")
    assert shosei("card", run, "--lang", "ja")[0] == 0
    assert summary.read_bytes() == (run / "card.md").read_bytes()


def test_a_summary_that_cannot_be_written_is_a_warning(
    shosei: Shosei, tmp_path: Path, summary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded.write_changed(tmp_path / "run")
    for place in (tmp_path / "none/summary.md", tmp_path):
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(place))
        code, out, err = shosei("card", run)
        assert (code, "User satisfaction" in out) == (0, True)
        assert err.count("warning: the job's summary was not written") == 1
        assert str(place) in err


def test_more_than_github_shows_of_a_step_is_not_written(shosei: Shosei, tmp_path: Path, summary: Path) -> None:
    """GitHub would show nothing of it."""
    run = recorded.write_changed(tmp_path / "run")
    before = b"x" * (2**20 - 100)
    summary.write_bytes(before)
    code, _, err = shosei("card", run)
    assert (code, summary.read_bytes()) == (0, before)
    assert "at most 1 MiB" in err


def test_elsewhere_nothing_is_written(shosei: Shosei, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    run = recorded.write_changed(tmp_path / "run")
    before = set(tmp_path.iterdir())
    assert shosei("card", run)[0] == 0
    assert set(tmp_path.iterdir()) == before
