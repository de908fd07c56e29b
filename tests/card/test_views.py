"""The four views: all say the same, every status has its reason, and no foreign text gets out of its place."""

from __future__ import annotations

import io
import itertools
import json
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

import card_samples
from shosei.card import Scorecard, build, html, markdown, terminal, to_json
from shosei.card.words import LANGUAGES, breaks, texts
from shosei.metrics.metric import Curve, Plot, Table, text
from shosei.profile.profile import Profile, Requirement, read_profile, shipped

HOSTILE = card_samples.HOSTILE
STATUSES = {
    "ok": "measured",
    "na": "not applicable",
    "not_measured": "not measured",
    "insufficient": "insufficient",
    "invalid": "invalid",
}


class Page(HTMLParser):
    """What a browser's parser would see: elements, texts outside scripts, addresses, embedded JSON."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: dict[str, str] = {}
        self._script = ""
        self.feed(source)
        self.close()

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def count(self, tag: str) -> int:
        return sum(element == tag for element, _ in self.elements)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._script = (dict(attrs).get("id") or tag) if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._script = ""

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[self._script] = data
        else:
            self.texts.append(data)


def printed(card: Scorecard, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, no_color=True, force_terminal=False).print(terminal(card))
    return out.getvalue()


def card(**changes: Any) -> Scorecard:
    return build(card_samples.log(), card_samples.metrics(**changes))


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_told_with_its_reason_in_every_view(status: str) -> None:
    reason = "" if status == "ok" else "seven swans were counted"
    value = {"value": None, "ci": None, "n": 0} if status in ("na", "not_measured") else {"value": 0.421, "n": 777}
    made = card(status=status, reason=reason, **value)
    for view in (Page(html(made)).text, markdown(made), " ".join(printed(made).split())):
        assert STATUSES[status] in view
        assert reason in view
        assert ("42.1 %" in view) == (value["value"] is not None)
        assert ("777" in view) == (value["value"] is not None)
    found = [metric for metric in json.loads(to_json(made))["metrics"] if metric["reason"] == reason]
    assert status in {metric["status"] for metric in found}


def test_the_terminal_table_fits_a_hundred_columns() -> None:
    lines = printed(card()).splitlines()
    assert max(map(len, lines)) <= 100
    for name in ("Training speed", "GPU utilisation", "pass@1", "Disk I/O", "User satisfaction"):
        assert any(line.strip().startswith(name) for line in lines)


@pytest.mark.parametrize("language", ["ja", "zh-CN"])
def test_a_reason_begins_on_the_line_of_its_mark(language: str) -> None:
    out = io.StringIO()
    begin = f"△ {texts(language)['term.time_batches']}："
    reason = text("cell.too_few", units=text("term.time_batches"), clusters=3, least=30)
    made = card(status="insufficient", value=None, reason=reason)
    Console(file=out, width=100, force_terminal=False).print(terminal(made, language))
    lines = [line for line in out.getvalue().splitlines() if begin in line]
    assert lines
    assert all(cell_len(line) <= 100 for line in out.getvalue().splitlines())
    assert not any(line.rstrip().endswith(begin) for line in lines)


@given(st.text(alphabet="ab 「」、。標本不足１カー" + "\U00020000", max_size=60), st.integers(2, 30))
def test_lines_are_filled_and_never_too_wide(line: str, width: int) -> None:
    offsets = [0, *breaks(line, width), len(line)]
    parts = [line[a:b] for a, b in itertools.pairwise(offsets)]
    assert "".join(parts) == line
    assert all(cell_len(part.rstrip()) <= width for part in parts)
    if not set(line) & set("「」、。"):  # a mark that may not begin or end a line can leave room on it
        for part, following in itertools.pairwise(parts):
            assert cell_len(part) + cell_len(following) > width, "what fits on one line stands on one"


def test_a_line_begins_with_no_full_stop_and_ends_with_no_opening_bracket() -> None:
    assert breaks("標本不足。", 8) == [3]
    assert breaks("標本（不足）", 6) == [2, 4]
    assert breaks("plain words", 6) == [6]


def test_a_shipped_profile_is_described_in_the_reader_s_language() -> None:
    for name in shipped():
        judged = build(card_samples.log(), card_samples.metrics(), read_profile(name))
        described = {language: Page(html(judged, language)).text for language in LANGUAGES}
        assert read_profile(name).description in described["en"]
        for language in ("zh-CN", "ja"):
            assert texts(language)[f"profile.shipped.{name}"] in described[language]
    own = Profile(name="mine", description="我们自己的", inference={"memory": Requirement()})
    assert "我们自己的" in Page(html(build(card_samples.log(), card_samples.metrics(), own), "ja")).text


def test_the_page_holds_all_that_was_measured() -> None:
    source = html(card())
    page = Page(source)
    cells = [attrs for tag, attrs in page.elements if tag == "details" and "data-metric" in attrs]
    assert len(cells) == 30
    assert len({(attrs["data-metric"], attrs["data-phase"]) for attrs in cells}) == 30
    for said in ("262,275,072", "317,744,128", "shosei exam 'a b'", "no end recorded", "rlimits", "torn last line"):
        assert said in page.text
        assert said in markdown(card())
    assert "confusion matrix" in page.text
    assert len(source.encode()) < 400_000


def test_a_card_with_much_to_show_is_small_enough_to_mail() -> None:
    x = [float(step) for step in range(5000)]
    classes = [f"class-{number}" for number in range(24)]
    matrix = Table("confusion", ["true", *classes], [[name, *range(24)] for name in classes], matrix=True)
    plots = [Plot("loss", "step", "loss", x, [Curve(str(n), [y * 1.2345 for y in x]) for n in range(3)])] * 3
    metrics = [
        msgspec.structs.replace(metric, breakdown=[matrix]) if metric.id in ("precision", "recall", "f1") else metric
        for metric in card_samples.metrics()
    ]
    metrics = [msgspec.structs.replace(it, plots=plots) if it.id in ("memory", "disk_io") else it for it in metrics]
    assert len(html(build(card_samples.log(), metrics)).encode()) < 1_000_000


@pytest.mark.parametrize(("language", "said"), [("zh-CN", "样本不足"), ("ja", "サンプル不足")])
def test_every_view_but_json_speaks_the_language_that_was_asked_for(language: str, said: str) -> None:
    made = card()
    source = html(made, language)
    out = io.StringIO()
    Console(file=out, width=100, force_terminal=False).print(terminal(made, language))
    for view in (Page(source).text, markdown(made, language), out.getvalue()):
        assert said in view
        assert "insufficient" not in view
    assert f'<html lang="{language}" data-chosen>' in source
    assert "data-chosen" not in Page(html(made)).elements[1][1]
    assert to_json(made) == to_json(made)
    assert "insufficient" in to_json(made)
    # Chinese and Japanese wrap anywhere in the terminal: nothing is cut off for want of a space.
    assert "…" not in out.getvalue()


def test_each_text_is_kept_once_and_in_three_languages() -> None:
    page = Page(html(card()))
    phrases = json.loads(page.scripts["words"])
    assert {len(phrase) for phrase in phrases} == {3}
    used = {int(attrs["data-t"] or "") for _, attrs in page.elements if "data-t" in attrs}
    assert used <= set(range(len(phrases)))
    assert ["Recall", "召回率", "再現率"] in phrases
    assert phrases.count(["Recall", "召回率", "再現率"]) == 1


def test_foreign_text_claims_no_language_and_a_sentence_of_an_earlier_version_is_english() -> None:
    log = card_samples.log()
    log.warnings.append("a swan was left out")
    source = html(build(log, card_samples.metrics()), "ja")
    assert '<span lang="">直す.zh</span>' in source
    assert '<li lang="en">a swan was left out</li>' in source
    assert "box-b-12-1.jsonl:9：途中で切れた最終行を除外しました</span></li>" in source


def test_a_profile_s_verdict_heads_the_card_and_its_limits_stand_in_the_cells() -> None:
    asked = Profile.model_validate(
        {
            "name": "strict",
            "inference": {"pass_at_1": {"min": 0.7}, "response_time.p95": {"max": 700}, "satisfaction": {}},
        }
    )
    made = build(card_samples.log(), card_samples.metrics(), asked)
    assert [judgement.outcome for judgement in made.judgements] == ["pass", "missed", "not_measured"]
    page = Page(html(made)).text
    for view in (page, markdown(made), " ".join(printed(made).split())):
        assert "1 of 3 requirements missed; 1 kept, 1 open" in view
        for said in ("strict", "≥ 70 %", "≤ 700 ms", "missed", "p95"):
            assert said in view
    assert "0 of 1 kept" in page


def test_what_is_not_required_is_not_counted_and_what_is_undecided_says_why() -> None:
    asked = Profile.model_validate(
        {
            "name": "lax",
            "inference": {
                "pass_at_1": {"min": 0.7},
                "response_time.p97": {"max": 700},
                "memory": {"max": 1, "min_n": 99, "required": False},
            },
        }
    )
    made = build(card_samples.log(), card_samples.metrics(), asked)
    page, terminal_text = Page(html(made)).text, " ".join(printed(made).split())
    for view in (page, markdown(made), terminal_text):
        assert "1 of 2 requirements are shown to be kept" in view
        assert "≤ 700 %" not in view
        assert "≤ 70,000" not in view
    assert "no figure 'p97' here" in terminal_text


def test_a_cell_opens_into_what_it_means_and_what_it_rests_on() -> None:
    text = Page(html(card())).text
    for said in ("1 − C(n−c, k) ÷ C(n, k)", "Chen et al. 2021", "Gil Tene", "Event kinds read", "score, exec"):
        assert said in text


def test_the_page_asks_nobody_for_anything() -> None:
    page = Page(html(card()))
    for tag, attrs in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "base", "form")
        for name in ("src", "href", "action", "srcset", "data"):
            assert (attrs.get(name) or "#").startswith("#")
        assert not any(name.startswith("on") for name in attrs)
    assert "@import" not in page.scripts["style"]
    assert "url(" not in page.scripts["style"]


def test_hostile_text_stays_text() -> None:
    log = card_samples.log(name=HOSTILE)
    log.warnings.append(HOSTILE)
    changes: dict[str, Any] = {
        "status": "invalid",
        "reason": HOSTILE,
        "command": HOSTILE,
        "detail": HOSTILE,
        "notes": [HOSTILE],
        "breakdown": [Table(HOSTILE, [HOSTILE, HOSTILE], [[HOSTILE, HOSTILE]])],
        "plots": [Plot(HOSTILE, HOSTILE, HOSTILE, [1.0], [Curve(HOSTILE, [1.0])])],
    }
    hostile = build(log, card_samples.metrics(**changes))
    tame, page = Page(html(card())), Page(html(hostile))
    assert page.count("script") == tame.count("script")
    assert page.count("img") == 0
    assert page.text.count("</script><script>alert(") >= 8
    assert any(curve["label"] == HOSTILE for plot in json.loads(page.scripts["plots"]) for curve in plot["curves"])
    rows = [line for line in markdown(hostile).splitlines() if line.startswith("| pass@1")]
    assert [row.replace("\\|", "").count("|") for row in rows] == [4]
    assert "<script" not in markdown(hostile).replace("\\<", "")
    assert "<script>" in printed(hostile).replace("\n", "")


def test_rich_markup_in_foreign_text_is_printed_as_it_is() -> None:
    assert "[red]boo[/nothing]" in printed(card(status="invalid", reason="[red]boo[/nothing]"))


def test_long_curves_are_thinned_and_the_page_says_so() -> None:
    x = [float(step) for step in range(200_000)]
    made = card(plots=[Plot("long", "step", "loss", x, [Curve("b", list(x)), Curve("a", [None, *x[1:]])])])
    source = html(made)
    plot = next(plot for plot in json.loads(Page(source).scripts["plots"]) if plot["title"] == "long")
    assert (plot["x"][0], plot["x"][-1], len(plot["x"]), plot["thinned"]) == (0.0, 199_999.0, 600, True)
    assert [curve["label"] for curve in plot["curves"]] == ["b", "a"], (
        "curves keep their order, and with it their colour and dash"
    )
    assert plot["curves"][1]["y"][0] is None
    assert len(source.encode()) < 400_000
