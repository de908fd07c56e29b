"""What is thought is never graded, and an answer that ends in a thought is named as such."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.log import Score
from shosei.metrics.grading.answer import split_thought
from shosei.metrics.grading.grade import mark

PLAIN = st.text(st.characters(exclude_characters="<[◁'\"`"))


@pytest.mark.parametrize(
    ("answer", "text", "cut"),
    [
        ("B", "B", False),
        ("<think>A?</think>B", "B", False),
        ("<think>\nA?\n</think>\n\nB", "\n\nB", False),
        ("A? No.\n</think>\nB", "\nB", False),
        ("<think>A? Let me see", "", True),
        ("B\n<think>hm", "B\n", True),
        ("<think>a</think>x\n<think>b</think>y", "x\ny", False),
        ("<think>I should use <think> here</think>B", "B", False),
        ("<think>a\n<think>b</think>c</think>d", "d", False),
        ("<thinking>A</thinking>B", "B", False),
        ("Use the <think> tag", "Use the <think> tag", False),
        ('<think>It is "A"</think>"B"', '"B"', False),
        ('text.replace("</think>", "")', 'text.replace("</think>", "")', False),
        ("<reasoning>A</reasoning>B", "B", False),
        ("<THINK>A</THINK>B", "B", False),
        ("[THINK]A[/THINK]B", "B", False),
        ("◁think▷A◁/think▷B", "B", False),
        ("B <think>or A?</think>", "B ", False),
        ("B is right <think>or A?", "B is right <think>or A?", False),
        ("Write `<think>` and `</think>` around it", "Write `<think>` and `</think>` around it", False),
        ("<|channel|>analysis<|message|>A?<|end|><|start|>assistant<|channel|>final<|message|>B", "B", False),
        ("<|channel|>analysis<|message|>A?<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>", "B", False),
        ("<|channel|>analysis<|message|>A? Let me see", "", True),
        ("", "", False),
    ],
)
def test_what_is_said_and_what_is_thought(answer: str, text: str, cut: bool) -> None:
    assert split_thought(answer)[::2] == (text, cut)


@given(PLAIN, PLAIN)
def test_a_thought_is_taken_out_whole(thought: str, text: str) -> None:
    assert split_thought(f"<think>{thought}</think>{text}") == (text, thought, False)
    assert split_thought(f"{thought}</think>{text}") == (text, thought, False)
    assert split_thought(f"<think>{thought}") == ("", thought, True)
    assert split_thought(text) == (text, "", False)


@pytest.mark.parametrize(
    ("grader", "truth", "answer"),
    [
        ("exact", "京都", "京都"),
        ("text", "京都", "京都"),
        ("number", "12", "12"),
        ("choice", "B", "B"),
        ("label", "正面", "正面"),
    ],
)
def test_every_grader_leaves_thoughts_out(grader: str, truth: str, answer: str) -> None:
    def of(text: str) -> tuple[bool | None, str]:
        score = Score(suite="s", item="i", cluster="c", grader=grader, truth=truth, answer=text)
        marked = mark(score, {})
        return marked.right, marked.outcome

    assert of(f"<think>東京、11、A、负面</think>{answer}") == (True, "")
    assert of(f"東京、11、A、负面</think>\n\n{answer}") == (True, "")
    assert of(f"<think>{answer}</think>")[0] is False
    assert of(f"<think>{answer}") == (False, "cut in thought")


def test_thoughts_that_a_server_keeps_apart_are_not_graded_either() -> None:
    def of(answer: str, finish_reason: str) -> tuple[bool | None, str]:
        score = Score(
            suite="s",
            item="i",
            cluster="c",
            grader="choice",
            truth="B",
            answer=answer,
            reasoning="A? No, B.",
            finish_reason=finish_reason,
        )
        return mark(score, {})[::2]

    assert of("B", "length") == (True, "")
    assert of("", "length") == (False, "cut in thought")
    assert of("", "stop") == (False, "none")


def test_a_program_that_never_came_is_cut_in_thought() -> None:
    score = Score(suite="s", item="i", cluster="c", grader="python", truth="", answer="<think>def f(x):")
    run = {("s", "i", 0): "no code"}
    assert mark(score, run)[::2] == (False, "cut in thought")
