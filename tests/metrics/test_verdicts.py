"""What a judge says, read strictly; and how far two agree, held against scikit-learn and by hand."""

from __future__ import annotations

import random

import pytest
from sklearn.metrics import cohen_kappa_score

from shosei.log import Log, Score, Verdict
from shosei.metrics.grading.verdict import digest_of, read_verdict
from shosei.metrics.observed.judges import judges
from shosei.metrics.stats.agreement import Agreement


def said(text: str, least: int | None = None, by: str = "model") -> Verdict:
    return Verdict(suite="s", item="i", sample=0, by=by, answer="", said=text, least=least)


@pytest.mark.parametrize(
    ("text", "passes", "reason"),
    [
        ('{"verdict": "pass", "reason": "同じ"}', True, "同じ"),
        ('```json\n{"verdict": "FAIL"}\n```', False, ""),
        ("It is the same.\nVERDICT: pass", True, "It is the same."),
        ("理由：違う。\n\nVERDICT： fail \n", False, "理由：違う。"),
        ("The answer says:\nVERDICT: pass\nIt is wrong.\nVERDICT: fail", False, None),
        ("<think>\nVERDICT: pass\n</think>\nno\nVERDICT: fail", False, "no"),
    ],
)
def test_two_forms_are_verdicts(text: str, passes: bool, reason: str | None) -> None:
    reading = read_verdict(said(text))
    assert reading.passes is passes
    assert reason is None or reading.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pass",
        "Yes, it passes.",
        "VERDICT: pass, more or less",
        "VERDICT: pass or VERDICT: fail",
        "VERDICT: pass\nThat is what the answer says of itself.",
        "VERDICT: passed",
        "**VERDICT: pass**",
        'So: {"verdict": "pass"}',
        '{"verdict": "maybe"}',
        '{"verdict": "fail", "verdict": "pass"}',
        '{"verdict": true}',
        '{"verdict": "pass"} {"verdict": "fail"}',
        '["pass"]',
        "SCORE: 5",
        "<think>\nVERDICT: pass",
        "{" * 100_000,
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert read_verdict(said(text)).passes is None


@pytest.mark.parametrize(
    ("text", "passes", "points"),
    [
        ("good\nSCORE: 4", True, 4),
        ("SCORE: 3", False, 3),
        ('{"score": 5, "reason": ""}', True, 5),
        ('{"score": 6}', None, None),
        ("SCORE: 45", None, None),
        ("SCORE: 4/5", None, None),
        ("VERDICT: pass", None, None),
    ],
)
def test_points_pass_from_the_rubric_s_least(text: str, passes: bool | None, points: int | None) -> None:
    reading = read_verdict(said(text, least=4))
    assert (reading.passes, reading.points) == (passes, points)


def test_a_person_says_pass_or_fail() -> None:
    assert [read_verdict(said(word, by="person")).passes for word in ("pass", "fail", "VERDICT: pass")] == [
        True,
        False,
        None,
    ]


def test_a_verdict_on_another_answer_to_the_task_says_nothing() -> None:
    def answer(text: str) -> Score:
        return Score(suite="s", item="i", cluster="c", grader="judge", truth="", answer=text)

    old, new = answer("old"), answer("new")
    verdict = said("VERDICT: pass")
    verdict.answer = digest_of(old)
    log = Log(1, {Verdict: [verdict]})
    assert [judge.passes(("s", "i", 0)) for judge in judges(log, [old])] == [True]
    assert judges(log, [new]) == []


@pytest.mark.parametrize("seed", range(20))
def test_kappa_is_scikit_learn_s(seed: int) -> None:
    draw = random.Random(seed)
    pairs = [(draw.random() < 0.7, draw.random() < 0.4) for _ in range(draw.randint(5, 60))]
    pairs += [(True, True), (False, False)]
    agreement = Agreement.of((str(n), *pair) for n, pair in enumerate(pairs))
    one, other = zip(*pairs, strict=True)
    assert agreement.kappa == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)
    low, high = agreement.kappa_interval
    assert low is not None
    assert high is not None
    assert low <= agreement.kappa <= high


def test_a_judge_that_says_pass_to_all_agrees_often_and_means_nothing() -> None:
    labels = [True] * 9 + [False]
    agreement = Agreement.of((str(n), True, label) for n, label in enumerate(labels))
    assert agreement.share == 0.9
    assert agreement.kappa == 0.0
    assert (agreement.count(True, True), agreement.count(True, False)) == (9, 1)
    constant = Agreement.of((str(n), True, True) for n in range(5))
    assert (constant.share, constant.kappa, constant.kappa_interval) == (1.0, None, (None, None))


def test_few_labels_that_all_agree_prove_little() -> None:
    low, high = Agreement.of((str(n), n % 2 == 0, n % 2 == 0) for n in range(6)).kappa_interval
    assert low is not None
    assert high == 1.0
    assert low < 0.3


def test_the_interval_of_kappa_holds_what_it_says() -> None:
    """Two who agree in 85 % of independent answers, half of which pass: kappa 0.7."""
    draw, held, trials = random.Random(1), 0, 400
    for _ in range(trials):
        each = []
        for n in range(60):
            label = draw.random() < 0.5
            each.append((str(n), label == (draw.random() < 0.85), label))
        low, high = Agreement.of(each).kappa_interval
        assert low is not None
        assert high is not None
        held += low <= 0.7 <= high
    assert held / trials >= 0.93


def test_answers_of_one_cluster_count_as_one() -> None:
    verdicts = [(n % 2 == 0, n % 3 == 0) for n in range(40)]
    alone = Agreement.of((str(n), *pair) for n, pair in enumerate(verdicts))
    together = Agreement.of((str(n // 10), *pair) for n, pair in enumerate(verdicts))
    (low, high), (wide_low, wide_high) = alone.share_interval, together.share_interval
    assert None not in (low, high, wide_low, wide_high)
    assert alone.share == together.share
    assert float(wide_high or 0) - float(wide_low or 0) > float(high or 0) - float(low or 0)
