"""The accuracy cells on hand-made answers: values against scikit-learn, and what stands beside them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from shosei.card.words import rendered
from shosei.log import Exec, Log, RunBegin, Score
from shosei.metrics.accuracy.confusion import AVERAGES, MEASURES, Confusion
from shosei.metrics.accuracy.pass_at_1 import pass_at_k, pass_hat_k
from shosei.metrics.cell import Cell
from shosei.metrics.cells import cells
from shosei.metrics.grading.free_text import overlap
from shosei.metrics.grading.grade import GRADING_VERSION
from shosei.metrics.grading.labels import NO_LABEL
from shosei.metrics.metric import METRIC_IDS, Metric, Table
from shosei.metrics.service_level import ServiceLevel

ORACLES = {
    "precision": sklearn.metrics.precision_score,
    "recall": sklearn.metrics.recall_score,
    "f1": sklearn.metrics.f1_score,
}
PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcde")), min_size=1, max_size=60)
CELLS = [cell for cell in cells(ServiceLevel()) if cell.id in METRIC_IDS["accuracy"]]
CELL = {(cell.id, cell.phase): cell for cell in CELLS}


def score(number: int, truth: str, answer: str, grader: str = "label", **fields: Any) -> Score:
    given = {"suite": grader, "item": f"i{number}", "cluster": f"c{number}", "phase": "inference"} | fields
    return Score(grader=grader, truth=truth, answer=answer, **given)


def log_of(scores: Sequence[Score], executions: Sequence[Exec] = ()) -> Log:
    begin = RunBegin(verb="exam", argv=[], phase="inference")
    return Log(1, {RunBegin: [begin], Score: list(scores), Exec: list(executions)})


def measured(log: Log, id: str = "f1", phase: str = "inference") -> Metric:
    return rendered(CELL[id, phase].compute(log))


def table(metric: Metric, title: str) -> Table:
    return next(table for table in metric.breakdown if table.title == title)


def labelled(n: int, seed: int = 1, suite: str = "intent", classes: str = "abc", **fields: Any) -> list[Score]:
    """Answers that are right two times in three, else another class or none; two tasks a cluster."""
    draw = random.Random(seed)
    found = []
    for number in range(n):
        truth = draw.choice(classes)
        answer = draw.choice([truth, truth, draw.choice([*classes, "不知道"])])
        own = {"suite": suite, "cluster": f"p{number // 2}", "question": f"{truth}{truth}の質問{number}"} | fields
        found.append(score(number, truth, answer, **own))
    return found


def free(n: int, seed: int = 2, suite: str = "reading", **fields: Any) -> list[Score]:
    draw = random.Random(seed)
    texts = ["東京都です", "北京大学", "二〇二三年に", "わかりません", "3.5度"]
    return [
        score(
            number,
            draw.choice(texts),
            draw.choice(texts),
            "text",
            suite=suite,
            **{"references": [draw.choice(texts)]} | fields,
        )
        for number in range(n)
    ]


@given(PAIRS)
def test_averages_equal_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truths, predictions = [t for t, _ in pairs], [p for _, p in pairs]
    confusion = Confusion.of(pairs, np.ones(len(pairs)))
    classes = sorted(set(truths))
    for measure, oracle in ORACLES.items():
        each = oracle(truths, predictions, labels=confusion.labels, average=None, zero_division=0)
        assert confusion.per_class(measure).tolist() == pytest.approx(each.tolist(), abs=1e-12)  # type: ignore[arg-type]
        for average in AVERAGES:
            # An answer outside the classes is a prediction like any other, and no class to average over.
            labels = None if average == "micro" else classes
            expected = oracle(truths, predictions, labels=labels, average=average, zero_division=0)
            found = float(confusion.average(measure, average))  # type: ignore[arg-type]
            assert found == pytest.approx(expected, abs=1e-12), (measure, average)


def test_one_suite_has_its_macro_as_headline_and_everything_else_beside_it() -> None:
    scores = labelled(200)
    truths = [each.truth for each in scores]
    predictions = [each.answer if each.answer in "abc" else NO_LABEL for each in scores]
    for measure, oracle in ORACLES.items():
        metric = measured(log_of(scores), measure)
        expected = {
            average: oracle(
                truths, predictions, labels=[*"abc"] if average != "micro" else None, average=average, zero_division=0
            )
            for average in AVERAGES
        }
        assert metric.value == pytest.approx(expected["macro"])
        assert {name: figure.value for name, figure in metric.figures.items()} == pytest.approx(expected)
        assert (metric.status, metric.n, metric.clusters) == ("ok", 200, 100)
        assert metric.detail == "macro over 3 classes"
        assert metric.figures["macro"].ci == metric.ci
        assert all(figure.ci and figure.ci[0] < figure.value < figure.ci[1] for figure in metric.figures.values())
        assert metric.ci
        assert metric.ci[0] < metric.value < metric.ci[1]
        matrix = table(metric, "confusion matrix: intent")
        assert matrix.matrix
        assert [row[1:] for row in matrix.rows] == sklearn.metrics.confusion_matrix(truths, predictions).tolist()
        per_class = {row[0]: row[1:] for row in table(metric, "per class: intent").rows}
        assert sum(row[-2] for row in per_class.values()) == 200
        assert per_class[NO_LABEL][-2] == 0


def test_classes_of_different_suites_are_never_mixed() -> None:
    first, second = labelled(100, 1, "one"), labelled(60, 2, "two", "ab")
    apart = [measured(log_of(suite)).value for suite in (first, second)]
    both = measured(log_of([*first, *second]))
    assert both.value == pytest.approx(sum(apart) / 2)
    assert "2 suites" in str(both.detail)
    assert [(row[0], row[2]) for row in table(both, "suites").rows] == [
        ("one", pytest.approx(apart[0])),
        ("two", pytest.approx(apart[1])),
    ]


def test_free_text_counts_characters_over_the_best_reference() -> None:
    scores = free(80)
    best = [
        max((overlap(each.answer, text) for text in (each.truth, *each.references)), key=lambda o: o.f1)
        for each in scores
    ]
    for measure in MEASURES:
        metric = measured(log_of(scores), measure)
        assert metric.value == pytest.approx(math.fsum(getattr(each, measure) for each in best) / 80)
        assert {"exact_match"} == metric.figures.keys()
    rows = {row[0]: row[1:] for row in table(measured(log_of(scores)), "free text: reading").rows}
    right = sum(each.answer in (each.truth, *each.references) for each in scores) / 80
    assert rows["exact match"][0] == pytest.approx(right)
    assert measured(log_of(scores), "pass_at_1").value == pytest.approx(right)
    mixed = measured(log_of([*scores, *labelled(100)]))
    assert [row[:2] for row in table(mixed, "suites").rows] == [["intent", "classes"], ["reading", "free text"]]
    alone = [float(measured(log_of(suite)).value or 0) for suite in (scores, labelled(100))]
    assert mixed.value == pytest.approx(sum(alone) / 2)


def test_questions_without_an_answer_are_shown_apart() -> None:
    """Four of five answerable questions are right, and one of three unanswerable ones."""
    answered = [("東京", "東京")] * 4 + [("東京", "答えなし")]
    unanswerable = [("", "答えなし"), ("", "東京"), ("", "京都")]
    scores = [
        score(number, truth, answer, "text", suite="reading", lang="ja")
        for number, (truth, answer) in enumerate(answered + unanswerable)
    ]
    rows = {row[0]: row[1] for row in table(measured(log_of(scores)), "free text: reading").rows}
    assert rows["exact match"] == pytest.approx(5 / 8)
    assert rows["exact match, questions with an answer"] == pytest.approx(4 / 5)
    assert rows["exact match, questions without an answer"] == pytest.approx(1 / 3)


def test_floors_stand_beside_the_averages() -> None:
    scores = labelled(120)
    truths = [each.truth for each in scores]
    rows = dict(table(measured(log_of(scores)), "averages and floors: intent").rows)  # type: ignore[arg-type]
    floor = {str(name).split(":")[-1].split(",")[0].strip(): value for name, value in rows.items()}
    commonest = max(sorted(set(truths)), key=truths.count)
    assert floor["always the commonest class (macro)"] == pytest.approx(
        sklearn.metrics.f1_score(truths, [commonest] * 120, average="macro")
    )
    assert floor["naive Bayes on the question's characters"] > 0.95, "each question names its class"
    shares = [truths.count(label) / 120 for label in "abc"]
    assert floor["chance (macro)"] == pytest.approx(sum(2 * p / 3 / (p + 1 / 3) for p in shares) / 3)
    old = labelled(120, question="")
    rows = dict(table(measured(log_of(old)), "averages and floors: intent").rows)  # type: ignore[arg-type]
    assert [value for name, value in rows.items() if "naive Bayes" in str(name)] == [None]


def test_of_very_many_tasks_the_floor_reads_a_part_and_says_so() -> None:
    metric = measured(log_of(labelled(5200)))
    assert [note for note in metric.notes if "5,000 evenly spaced" in str(note)]
    assert not measured(log_of(labelled(5200, question=""))).notes


def test_an_answer_in_no_class_lowers_recall_and_a_class_never_predicted_is_flagged() -> None:
    scores = [score(i, "ab"[i % 2], "a" if i % 2 == 0 else "?") for i in range(60)]
    assert measured(log_of(scores), "recall").value == 0.5
    metric = measured(log_of(scores), "precision")
    assert metric.value == 0.5
    assert metric.notes == ["never predicted in suite 'label', precision 0 by definition: b"]


def test_when_all_is_right_the_interval_still_doubts() -> None:
    scores = [score(i, "ab"[i % 2], "ab"[i % 2]) for i in range(60)]
    metric = measured(log_of(scores))
    assert metric.value == 1
    assert metric.ci
    assert 0.9 < float(metric.ci[0] or 0) < 1
    assert measured(log_of(scores[:29])).status == "insufficient"


def several_samples(n: int, samples: int = 5) -> list[Score]:
    draw = random.Random(3)
    return [
        score(
            number,
            str(number),
            str(number) if draw.random() < number / n else "?",
            "exact",
            sample=sample,
            suite="ab"[number % 2],
        )
        for number in range(n)
        for sample in range(samples)
    ]


def test_pass_at_k_and_pass_hat_k_of_several_samples() -> None:
    scores = several_samples(40)
    metric = measured(log_of(scores), "pass_at_1")
    right = [sum(s.answer == s.truth for s in scores if s.item == f"i{number}") for number in range(40)]
    assert metric.value == pytest.approx(sum(right) / 200)
    assert (metric.n, metric.clusters) == (40, 40)
    rows = next(table for table in metric.breakdown if table.key == "accuracy.more_samples").rows
    assert [row[:2] for row in rows] == [[suite, k] for suite in ("all suites", "a", "b") for k in (1, 2, 4, 5)]
    for row in rows[:4]:
        k = row[1]
        assert row[2] == pytest.approx(sum(pass_at_k(5, c, k) for c in right) / 40)  # type: ignore[arg-type]
        assert row[5] == pytest.approx(sum(pass_hat_k(5, c, k) for c in right) / 40)  # type: ignore[arg-type]
        assert row[8] == pytest.approx(row[2] - row[5])  # type: ignore[operator]
        assert row[3] <= row[2] <= row[4]  # type: ignore[operator]
    assert metric.figures["flips_5"].value == pytest.approx(rows[3][8])
    assert metric.figures["pass_at_5"].value == pytest.approx(rows[3][2])
    assert metric.figures["pass_hat_5"].value == pytest.approx(rows[3][5])
    assert measured(log_of(several_samples(40, 1)), "pass_at_1").figures == {}


def programs(outcomes: Sequence[str], oracle: str = "outside") -> Log:
    scores = [score(i, "def f(): ...", "def f(): ...", "python") for i in range(len(outcomes))]
    executions = [
        Exec(
            suite="python",
            item=f"i{i}",
            sample=0,
            backend="rlimits",
            level="rlimits",
            oracle=oracle,
            outcome=outcome,
            phase="inference",
        )
        for i, outcome in enumerate(outcomes)
    ]
    return log_of(scores, executions)


def test_outcomes_of_programs_are_counted_and_infra_is_no_answer() -> None:
    metric = measured(programs([*["pass"] * 50, *["wrong"] * 40, *["cpu timeout"] * 9, "infra"]), "pass_at_1")
    assert (metric.status, metric.n, metric.value) == ("ok", 99, pytest.approx(50 / 99))
    assert {row[0]: row[3] for row in table(metric, "programs").rows} == {
        "pass": 50,
        "wrong": 40,
        "exception": 0,
        "CPU timeout": 9,
        "wall timeout": 0,
        "out of memory": 0,
        "killed by a signal": 0,
        "sandbox violation": 0,
        "no code": 0,
        "infra (excluded)": 1,
    }
    assert not metric.notes
    invalid = measured(programs([*["pass"] * 97, *["infra"] * 3]), "pass_at_1")
    assert (invalid.status, invalid.reason) == (
        "invalid",
        "3 of 100 programs could not be executed: the sandbox failed",
    )
    inside = measured(programs([*["pass"] * 30, *["wrong"] * 10], oracle="in_process"), "pass_at_1")
    assert "40 programs were judged in the candidate's own process (oracle=in_process)" in str(inside.notes[0])
    assert "30 of them passed" in str(inside.notes[0])
    assert "python/i7" in str(inside.notes[0])


def test_the_card_counts_answers_of_which_nothing_could_be_read() -> None:
    answers = ["B", "A or B", "A/B", "no idea", "<think>B or A", "B<think>"]
    asked = [score(number, "B", answer, "choice") for number, answer in enumerate(answers * 10)]
    metric = measured(log_of([*asked, *several_samples(30)]), "pass_at_1")
    ((_, ambiguous, nothing, cut, of),) = table(metric, "answers that could not be read").rows
    assert (ambiguous, nothing, cut, of) == (20, 10, 10, 60)
    assert not [
        each for each in measured(log_of(several_samples(30)), "pass_at_1").breakdown if "read" in str(each.title)
    ]


def test_the_card_shows_by_what_identity_and_version_scores_were_made() -> None:
    for id in (*MEASURES, "pass_at_1"):
        ((suite, identity, version),) = table(
            measured(log_of(labelled(80, identity="ab" * 32)), id), "score identity"
        ).rows
        assert (suite, len(str(identity)), version) == ("intent", 12, GRADING_VERSION)
        ((_, other, _),) = table(measured(log_of(labelled(80, identity="cd" * 32)), id), "score identity").rows
        assert identity != other
        ((_, unknown, _),) = table(measured(log_of(labelled(80)), id), "score identity").rows
        assert unknown is None


MIXED = [*labelled(150), *labelled(90, 4, "other", "xy"), *free(70), *several_samples(30)]
TRAINED = [
    each
    for epoch in (1, 2)
    for each in (*labelled(100, epoch, phase="training", epoch=epoch), *free(40, epoch, phase="training", epoch=epoch))
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.id}-{cell.phase}")
def test_the_value_is_the_statistic_of_its_observations(cell: Cell) -> None:
    log = log_of([*MIXED, *TRAINED])
    metric, observations = cell.measure(log)
    assert observations
    assert observations.paired
    assert len({it.key for it in observations.each}) == len(observations.each)
    assert len({it.cluster for it in observations.each}) == metric.clusters
    names = sorted({name for it in observations.each for name in it.adds})
    sums = np.array([[it.adds.get(name, 0) for name in names] for it in observations.each])
    total = sums.sum(axis=0)
    assert float(observations.statistic(names, total)) == pytest.approx(metric.value, abs=1e-11)
    weights = np.random.default_rng(1).integers(0, 3, size=(2, 4, len(observations.each))).astype(float)
    many = observations.statistic(names, weights @ sums)
    assert many.shape == (2, 4)
    assert many[1, 2] == pytest.approx(float(observations.statistic(names, weights[1, 2] @ sums)))


def test_another_truth_or_grader_is_another_task() -> None:
    def key(truth: str, grader: str = "exact", **fields: Any) -> str:
        cell = CELL["pass_at_1", "inference"]
        log = log_of([score(1, truth, "x", grader, suite="s", **fields)])
        observations = cell.measure(log)[1]
        assert observations
        return observations.each[0].key

    keys = [key("a"), key("b"), key("a", "text"), key("a", references=["b"]), key("a", item="other")]
    assert len({*keys}) == len(keys)
    assert key("a", cluster="other", sample=3) == keys[0]


def test_training_shows_every_checkpoint() -> None:
    for id in (*MEASURES, "pass_at_1"):
        metric = measured(log_of(TRAINED), id, "training")
        (plot,) = metric.plots
        assert plot.x == [1.0, 2.0]
        assert [curve.label for curve in plot.curves] == ["intent", "reading"]
        last = [each for each in TRAINED if each.epoch == 2]
        assert metric.value == measured(log_of(last), id, "training").value
    f1 = measured(log_of(TRAINED), "f1", "training")
    rows = {row[0]: row[2] for row in table(f1, "suites").rows}
    assert {curve.label: curve.y[-1] for curve in f1.plots[0].curves} == pytest.approx(rows)


def test_a_program_that_nobody_could_run_is_in_no_checkpoints_curve() -> None:
    scores = [score(i, "", "", "python", epoch=epoch, phase="training") for epoch in (1, 2) for i in range(100)]
    executions = [
        Exec(
            suite="python",
            item=f"i{i}",
            sample=0,
            backend="rlimits",
            level="rlimits",
            oracle="outside",
            outcome="infra" if i == 0 else "pass",
            phase="training",
        )
        for i in range(100)
    ]
    (plot,) = measured(log_of(scores, executions), "pass_at_1", "training").plots
    assert plot.curves[0].y == [1.0, 1.0]


def test_a_grader_of_another_version_is_not_guessed() -> None:
    metric = measured(log_of([*labelled(40), score(99, "a", "a", "similarity")]), "pass_at_1")
    assert (metric.status, metric.reason) == ("not_measured", "a grader that this version does not know: similarity")
