"""Which class an answer names, in nothing but its name or in a sentence about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shosei.log import Score
from shosei.metrics.grading.grade import classes, mark
from shosei.metrics.grading.labels import NO_LABEL, label, predicted_labels

CASES = Path(__file__).parent / "cases" / "labels.jsonl"
FEELINGS = ["正面", "负面", "中性"]
KANJO = ["ポジティブ", "ネガティブ", "中立"]
LOGIC = ["entailment", "contradiction", "neutral"]


@pytest.mark.parametrize(
    ("labels", "answer", "name"),
    [
        (FEELINGS, "**正面**", "正面"),
        (FEELINGS, "「正面」", "正面"),
        (FEELINGS, "答案：正面", "正面"),
        (FEELINGS, "这是正面的评价", "正面"),
        (FEELINGS, "这不是正面的评价，而是负面的。", "负面"),
        (FEELINGS, "不是正面", "none"),
        (FEELINGS, "正面和负面都有。", "ambiguous"),
        (FEELINGS, "情感：负面\n理由：虽然开头有正面的描述，但结尾是批评。", "负面"),
        (FEELINGS, "虽然有正面的词，但整体是负面的。", "负面"),
        (FEELINGS, "正面。不对，应该是中性。", "中性"),
        (FEELINGS, "这条评论既不正面也不负面，属于中性。", "中性"),
        (FEELINGS, "我无法判断。", "none"),
        (FEELINGS, '{"label": "中性"}', "中性"),
        (KANJO, "ポジティブです。", "ポジティブ"),
        (KANJO, "ネガティブではなく、ポジティブです。", "ポジティブ"),
        (KANJO, "感情はネガティブと判定します。", "ネガティブ"),
        (KANJO, "ポジティブではありません。", "none"),
        (KANJO, "ポジティブともネガティブとも言えるが、どちらかと言えば中立", "ambiguous"),
        (KANJO, "【ネガティブ】", "ネガティブ"),
        (KANJO, "ポジティブでもネガティブでもない。", "none"),
        (KANJO, "ネガティブな表現もありますが、全体としてはポジティブです。", "ポジティブ"),
        (FEELINGS, "这不是一条负面评论。", "none"),
        (FEELINGS, "我认为这是一条负面评论，因为没有任何正面的内容。", "负面"),
        (FEELINGS, "看似正面，其实是负面。", "负面"),
        (FEELINGS, "非正面", "none"),
        (FEELINGS, "非常正面", "正面"),
        (FEELINGS, "“好吃”是正面的评价，“贵”是负面的评价。综合来看，这是正面的。", "正面"),
        (KANJO, "ポジティブ（理由：ネガティブな言葉がない）", "ポジティブ"),
        (["toxic", "clean"], "non-toxic", "none"),
        (LOGIC, "Entailment.", "entailment"),
        (LOGIC, "The relationship is neutral: the premise gives no contradiction.", "neutral"),
        (LOGIC, "It is not a contradiction; it is entailment.", "entailment"),
        (LOGIC, "entailment or neutral", "ambiguous"),
        (LOGIC, "There is no contradiction, but also no entailment. Neutral.", "neutral"),
        (LOGIC, "The premise entails the hypothesis, so the label is entailment.", "entailment"),
        (["not entailment", "entailment"], "not_entailment", "not entailment"),
        (["1", "2"], "1", "1"),
        (["是", "否"], "否", "否"),
        (["是", "否"], "我不确定", "none"),
    ],
)
def test_the_class_that_is_named_is_read(labels: list[str], answer: str, name: str) -> None:
    read = label(answer, labels)
    assert (read.why if read.name == NO_LABEL else read.name) == name


@pytest.mark.parametrize("case", [json.loads(line) for line in CASES.read_text("utf-8").splitlines()])
def test_a_reader_who_did_not_know_the_rules_agrees(case: dict[str, Any]) -> None:
    """``right`` is true, false or "ambiguous": what a person says of the answer."""
    read = label(case["answer"], case["labels"])
    assert (read.why if read.why == "ambiguous" else read.name == case["truth"]) == case["right"]


def score(truth: str, answer: str) -> Score:
    return Score(suite="s", item=truth, cluster="c", grader="label", truth=truth, answer=answer)


def test_the_classes_of_a_suite_are_the_truths_that_it_asks_for() -> None:
    scores = [score("正面", "有正面也有负面"), score("负面", "负面的评价"), score("正面", "<think>正面</think>负面")]
    marks = [mark(each, {}, classes(scores)) for each in scores]
    assert [(marked.right, marked.extracted, marked.outcome) for marked in marks] == [
        (False, NO_LABEL, "ambiguous"),
        (True, "负面", ""),
        (False, "负面", ""),
    ]
    assert predicted_labels((each.answer for each in scores), ["正面", "负面"]) == [NO_LABEL, "负面", "负面"]


def test_more_classes_than_can_be_told_apart_are_still_named_by_their_names() -> None:
    many = [f"c{number}" for number in range(2000)]
    assert label("c1999", many).name == "c1999"
    assert label("it is c1999", many).name == NO_LABEL
