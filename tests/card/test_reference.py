"""``shosei metrics``: the 15 metrics on paper, in one place for the card, the terminal and the documentation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shosei.card.reference import as_markdown, references
from shosei.cli.main import main
from shosei.metrics.metric import METRIC_IDS


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit:
        main(["metrics", *arguments])
    streams = capsys.readouterr()
    return int(exit.value.code or 0), streams.out, streams.err


def test_the_documentation_is_what_the_verb_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert printed(capsys)[1] == page.read_text(encoding="utf-8"), "shosei metrics > docs/metrics.md"


def test_all_fifteen_are_told_in_the_card_s_order() -> None:
    assert [entry.id for entry in references()] == [id for ids in METRIC_IDS.values() for id in ids]
    page = as_markdown(references())
    assert page.count("\n### ") == 15
    assert page.count("\n> ") == 35, "five are measured otherwise where an agent system was given tasks"


def test_one_metric_in_another_language_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = printed(capsys, "recall", "--lang", "ja")
    assert code == 0
    assert out.count("\n### ") == 1
    assert "### 再現率 (`recall`)" in out
    (found,) = json.loads(printed(capsys, "response_time", "--json")[1])["metrics"]
    assert (found["id"], found["inference"]["unit"], found["inference"]["reads"][0]) == (
        "response_time",
        "ms",
        "request",
    )
    assert "Gil Tene" in found["source"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recal"], "did you mean 'recall'?"),
        (["--lang", "zh-TW"], "did you mean 'zh-CN'?"),
        (["--lang", "fr"], "known: en"),
    ],
)
def test_what_is_not_known_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    code, out, err = printed(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
