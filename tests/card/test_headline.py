"""The first screen: a few sentences, what the nearest profile would say, what to look at first."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

import card_samples
from shosei.card import Scorecard, build, html, markdown, nearest_profile, terminal, translated
from shosei.card.concerns import concerns
from shosei.card.headline import headline
from shosei.card.hint import told
from shosei.card.remark import remark
from shosei.card.words import LANGUAGES
from shosei.log import HeldOut, Log, read_log
from shosei.metrics.cells import compute
from shosei.metrics.metric import METRIC_IDS, Figure, Metric, Table, text
from shosei.profile.profile import read_profile

Shosei = Callable[..., tuple[int, str, str]]
NO_BREAK = "\u00a0"
FROZEN = Path(__file__).parents[1] / "frozen"
RUNS = ("agents", "alternate", "faults", "quickstart", "ratings")


def frozen(name: str, profile: str = "") -> tuple[Log, Scorecard]:
    log = read_log(FROZEN / name / "log")
    return log, build(log, compute(log), read_profile(profile) if profile else None)


def said(card: Scorecard, language: str = "en") -> str:
    opening = headline(card)
    return f"{translated(opening.said, language)}\n{translated(opening.missing, language)}".replace(NO_BREAK, " ")


def changed(**cells: dict[str, Any]) -> list[Metric]:
    """The sample metrics with other cells of inference."""
    metrics = []
    for metric in card_samples.metrics():
        more = cells.get(metric.id, {}) if metric.phase == "inference" else {}
        fields = {name: getattr(metric, name) for name in metric.__struct_fields__}
        metrics.append(Metric(**{**fields, **more}))
    return metrics


def views(card: Scorecard, language: str = "en", **hint: Any) -> dict[str, str]:
    out = io.StringIO()
    Console(file=out, width=100, no_color=True, force_terminal=False).print(terminal(card, language, **hint))
    page = re.sub(r"<[^>]+>", "", html(card, language, **hint).partition("<body>")[2].partition("<script")[0])
    plain = {"page": unescape(page), "Markdown": markdown(card, language, **hint), "terminal": out.getvalue()}
    return {name: " ".join(view.replace("\\", "").split()) for name, view in plain.items()}


def test_it_says_what_was_asked_how_much_was_right_and_how_soon_the_first_word_came() -> None:
    _, card = frozen("quickstart")
    numbers = json.loads((FROZEN / "quickstart" / "card.json").read_bytes())["metrics"]
    cell = {(metric["id"], metric["phase"]): metric for metric in numbers}
    right, wait = cell["pass_at_1", "inference"], cell["response_time", "inference"]
    words = said(card)
    assert f"{100 * right['value']:.2f} % of {right['n']} questions from 7 suites were answered correctly." in words
    assert f"first word came after {wait['figures']['ttft_p50']['value']:.2f} ms (median)" in words
    assert wait["figures"]["ttft_p95"]["value"] is None
    assert "so few requests cannot show how long the slowest 5 % wait." in words
    assert "None of 307 requests failed." in words


def test_a_number_that_rests_on_too_little_says_so_in_the_same_sentence() -> None:
    sentences = re.split(r"(?<=\.) (?=[A-Z])", said(frozen("quickstart")[1]))
    (rate,) = [sentence for sentence in sentences if "requests a second" in sentence]
    assert rate == "It answered 8.67 requests a second, as many as were sent (measured too briefly to be sure)."
    (weakest,) = [sentence for sentence in sentences if "weakest" in sentence]
    assert weakest == "Its weakest suite is functions: 0 % of 8 (too few to be sure)."


def test_an_invalid_measurement_is_called_one() -> None:
    reason = {"status": "invalid", "reason": "seven swans were counted"}
    card = build(card_samples.log(), changed(pass_at_1=reason))
    assert "(this measurement is invalid: seven swans were counted)." in said(card)
    gone = reason | {"value": None, "ci": None, "n": 0, "clusters": 0}
    assert "pass@1: the measurement is invalid, seven swans were counted." in said(
        build(card_samples.log(), changed(pass_at_1=gone))
    )


def test_what_nobody_measured_is_said_in_plain_words() -> None:
    asked, alone = said(frozen("quickstart")[1]), said(frozen("ratings")[1])
    assert "nobody has rated it; no crash was provoked; its highest rate was not looked for." in asked
    assert "no questions were asked" in alone
    assert "nobody watched its memory and crashes" in alone
    assert "nobody has rated it" not in alone
    assert "no questions were asked" not in asked


def test_a_server_that_cannot_keep_up_is_not_praised() -> None:
    figures = {
        "offered": Figure(20.0, "requests/s", "higher", n=40),
        "achieved_over_offered": Figure(0.4, "", "higher", n=40),
        "saturated": Figure(1.0, "0/1", "lower", n=1),
    }
    card = build(card_samples.log(), changed(inference_speed={"figures": figures, "value": 8.0}))
    assert "It answered only 8.00 of the 20.0 requests that were sent each second." in said(card)
    assert "highest rate" not in said(card)


def test_an_agent_system_is_told_of_by_tasks_and_a_training_by_epochs() -> None:
    tasks, training = said(frozen("agents")[1]), said(frozen("faults")[1])
    assert "0 % of 18 tasks were solved by router (too few to be sure)." in tasks
    assert "A task took 787 ms (median)" in tasks
    assert training.startswith("An epoch of training took ")
    assert "Restarts after a failure: 1." in training
    assert "over HTTP" in training


def test_of_an_empty_log_there_is_nothing_to_say() -> None:
    log = Log(1, {}, [], "ab" * 32)
    assert said(build(log, compute(log))).startswith("Nothing has been measured yet.")
    assert nearest_profile(compute(log), log) is None


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", RUNS)
def test_every_run_has_its_sentences_in_every_view_and_language(name: str, language: str) -> None:
    log, card = frozen(name)
    hint = nearest_profile(card.metrics, log)
    lines = [*said(card, language).splitlines(), *(translated(line, language) for line in told(hint))] if hint else []
    for line in lines:
        assert line.endswith((".", "。"))
        assert not re.search(r"[{}]|\bNone\b(?! of)|–", line)
        for view, shown in views(card, language, hint=hint).items():
            assert "".join(line.split()) in "".join(shown.split()), view


@pytest.mark.parametrize(
    ("name", "profile"), [("quickstart", "chatbot"), ("agents", "multi-agent"), ("faults", "pretrain")]
)
def test_the_hint_is_what_the_card_with_that_profile_says(
    name: str, profile: str, shosei: Shosei, tmp_path: Path
) -> None:
    log, card = frozen(name)
    hint = nearest_profile(card.metrics, log)
    assert hint is not None
    assert hint.profile == profile
    run = shutil.copytree(FROZEN / name, tmp_path / name)
    judged = json.loads(shosei("card", run, "--profile", profile, "--json")[1])
    own = {(item["id"], item["phase"], item["figure"]): item for item in judged["judgements"]}
    assert len(own) == len(hint.judgements)
    for judgement in hint.judgements:
        of_card = own[judgement.id, judgement.phase, judgement.figure]
        assert judgement.value == pytest.approx(of_card["value"])
        if "another load" in of_card["reason"]:
            assert hint.other_load is not None
            assert translated(hint.other_load) == of_card["reason"]
        else:
            assert judgement.outcome == of_card["outcome"]


def test_without_a_profile_the_exit_code_is_no_verdict(shosei: Shosei, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(FROZEN / "quickstart", run)
    code, out, _ = shosei("card", run)
    missed = "it would fail. Missed: 1 of 9 requirements (pass@1)."
    assert code == 0
    assert missed in " ".join(out.split())
    assert "shosei card RUN --profile chatbot" in out
    assert missed in (run / "card.html").read_text(encoding="utf-8")
    assert missed in (run / "card.md").read_text(encoding="utf-8")
    without = (run / "card.json").read_bytes()
    code, out, _ = shosei("card", run, "--profile", "chatbot")
    assert code == 3
    assert "it would fail" not in out
    assert json.loads(without)["judgements"] == []


def test_the_title_is_the_run_s_name() -> None:
    _, card = frozen("quickstart")
    assert card.model["name"] == "nano"
    assert '<span lang="">quickstart</span></h1>' in html(card)
    assert markdown(card).startswith("# quickstart: scorecard\n")
    assert views(card)["terminal"].startswith("quickstart Model: nano")


def test_the_title_of_a_server_s_run_begins_with_the_model_that_it_was_asked_for() -> None:
    _, card = frozen("ratings")
    assert card.model == {"name": "nano"}
    assert '<span lang="">nano · ratings</span></h1>' in html(card)
    assert markdown(card).startswith("# nano · ratings: scorecard\n")


def test_a_server_s_name_for_its_model_cannot_steer_the_terminal() -> None:
    _, card = frozen("ratings")
    hostile = msgspec.structs.replace(card, model={"name": "\x1b]0;owned\x07\x1b[2J<b>"})
    for name, view in views(hostile).items():
        assert ("\x1b" in view, "\x07" in view, "owned" in view) == (name == "page", name == "page", True), name


def test_a_hint_that_rests_on_nothing_does_not_sound_like_praise() -> None:
    log = read_log(FROZEN / "ratings" / "log")
    nothing = {"status": "not_measured", "reason": "nobody looked", "value": None, "ci": (None, None)}
    metrics = changed(**{id: nothing for ids in METRIC_IDS.values() for id in ids if id != "disk_io"})
    hint = nearest_profile(metrics, replace(log, events={}))
    assert hint is not None
    view = translated(told(hint)[0])
    assert "nothing can be said yet: all 9 requirements are open" in view
    assert "missed" not in view


def test_what_is_worst_comes_first_and_leads_to_its_cell() -> None:
    _, card = frozen("quickstart", "chatbot")
    worst = concerns(card)
    outcomes = [concern.outcome for concern in worst]
    assert (worst[0].id, outcomes[0]) == ("pass_at_1", "missed")
    assert 3 <= len(worst) <= 5
    assert len({(concern.id, concern.phase) for concern in worst}) == len(worst)
    page = html(card)
    for concern in worst:
        assert f'href="#{concern.id}-{concern.phase}"' in page
        assert f'id="{concern.id}-{concern.phase}"' in page


def test_without_any_profile_invalid_cells_and_failures_are_what_to_look_at() -> None:
    worst = concerns(build(card_samples.log(), card_samples.metrics()))
    assert [(concern.id, concern.phase) for concern in worst] == [
        ("error_rate", "inference"),
        ("restart_count", "inference"),
    ]
    _, good = frozen("ratings")
    assert concerns(good) == []


@pytest.mark.parametrize("name", RUNS)
def test_amber_is_only_where_the_reader_can_act_and_says_how(name: str) -> None:
    _, card = frozen(name)
    for metric in card.metrics:
        beside = remark(metric)
        if beside.tone == "few":
            assert metric.phase == "inference"
            assert metric.clusters > 1
            assert beside.command.startswith("shosei ")
        elif metric.status == "insufficient":
            assert (beside.tone, beside.mark) == ("once", "•")


def test_one_value_of_one_run_is_calm_and_a_pass_says_of_what() -> None:
    _, card = frozen("quickstart")
    words = {
        key: translated(remark(card.cell(*key)).words)
        for key in [("memory", "training"), ("training_speed", "inference")]
    }
    assert words == {
        ("memory", "training"): "one run, one value",
        ("training_speed", "inference"): "one pass over the questions",
    }
    opened = html(card).partition('id="training_speed-inference"')[2].partition("</details>")[0]
    heading = " ".join(re.sub(r"<[^>]+>", "", opened.partition("<h4>")[2].partition("</h4>")[0]).split())
    assert unescape(heading) == "Training speed Inference · one pass over the exam's suites"
    assert "too few passes (1): a 95 % claim beyond this run needs 30" in opened


@pytest.mark.parametrize(
    ("name", "sentence", "records_it"),
    [
        ("ratings", "Training was not recorded. To record it: ", "shosei train --run RUN"),
        ("faults", "Inference was not recorded. To record it: ", "shosei quickstart --url URL"),
    ],
)
def test_a_phase_that_was_not_recorded_is_one_strip(name: str, sentence: str, records_it: str) -> None:
    _, card = frozen(name)
    for view, shown in views(card).items():
        assert shown.replace("`", "").count(sentence + records_it) == 1, view
        if view != "page":
            assert "no 'step' events" not in shown
            assert shown.count("○") < 15
    assert html(card).count('<details class="folded strip">') == 1
    assert html(card).count("data-metric=") == 30, "folded away, but there"


def with_held_out(*nats: float | None) -> Scorecard:
    """The quickstart with so much loss of 1,000 tokens at the ends of its epochs."""
    log = read_log(FROZEN / "quickstart" / "log")
    same = {"run": "r", "attempt": 1, "host": "h", "boot": "b", "pid": 1, "start_ticks": 1, "phase": "training"}
    log.events[HeldOut] = [
        HeldOut(**same, epoch=epoch, step=60 * epoch, nats=loss, tokens=1000, characters=1500)
        for epoch, loss in enumerate(nats)
    ]
    return build(log, compute(log))


def test_a_held_out_loss_that_is_no_number_has_no_tick() -> None:
    marks = [
        html(with_held_out(7000.0, last)).partition('id="held_out_loss"')[2].partition("</summary>")[0]
        for last in (3000.0, None)
    ]
    assert [("✓" in mark, "✗" in mark) for mark in marks] == [(True, False), (False, True)]


def test_held_out_loss_and_bits_per_character_are_rows_of_their_own() -> None:
    card = with_held_out(7000.0, 4000.0, 3000.0)
    for view, shown in views(card).items():
        assert re.search(r"Held-out loss\W+(\W| )*3\.00 nats/token", shown), view
        assert re.search(r"Bits per character\W+2\.89 bits/character", shown), view
    page = html(card)
    speed = page.partition('id="training_speed-training"')[2].partition('id="training_speed-inference"')[0]
    rows = page.partition('id="held_out_loss"')[2].partition('<section class="group"')[0]
    title = "held-out text"
    assert translated(text("performance.held_out")) not in speed, title
    assert translated(text("performance.held_out")) in rows, title


def test_a_suite_s_name_stays_text() -> None:
    columns = ["suite", "pass@1", "low", "high", "n", "clusters"]
    rows: list[Any] = [[card_samples.HOSTILE, 0.1, 0.0, 0.2, 40, 40], ["b", 0.9, 0.8, 1.0, 40, 40]]
    table = Table("suites", columns, rows, key="accuracy.suites")
    card = build(card_samples.log(), changed(pass_at_1={"breakdown": [table]}))
    assert card_samples.HOSTILE in said(card)
    assert "<script>alert" not in html(card).partition("<body>")[2].partition('<script type="application/json"')[0]
    assert "<script>" not in markdown(card).replace("\\<", "")
