"""Which choice an answer makes: as a careful reader would say, never as a guess."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from shosei.log import Score
from shosei.metrics.grading.grade import grade, mark

CHOICES = {
    "ZH": ["上海", "北京", "广州", "深圳"],
    "JA": ["東京", "京都", "大阪", "奈良"],
    "EN": ["Tokyo", "Kyoto", "Osaka", "Nara"],
}

# Answers to a question of one of these, and the letter that they choose.
ZH = [
    ("B", "答案是B。选项A错误。"),
    ("B", "正确答案是 B，选项 A、C、D 均不符合题意。"),
    ("B", "答案不是A，而是B。"),
    ("B", "【B】"),
    ("B", "答案：（B）"),
    ("B", "A、C、D 均不符合"),
    ("C", "选项A、B、D都不对，因此选C。"),
    ("C", "答案是A。不对，应该是C。"),
    ("B", "北京。"),
    ("B", "不是上海，是北京。"),
    ("ambiguous", "A和B都有可能。"),
    ("none", "我无法回答这个问题。"),
    ("B", "**正确答案：B. 北京**"),
    ("B", "B\n\n解析：A选项错误，因为上海不是首都。"),
    ("B", "选B"),
    ("B", "应选 B 项。"),
    ("B", "故选：B"),
    ("B", "我选择B，因为北京是首都。"),
    ("B", "所以答案应该是B选项。"),
    ("C", "本题选C。"),
    ("B", "因此，选项B是正确的。"),
    ("B", "B选项正确"),
    ("B", "B是对的，A是错的。"),
    ("ambiguous", "答案是A或者B。"),
    ("none", "没有正确的选项。"),
    ("A", "B不正确，C也不正确，D同样不正确。"),
    ("ambiguous", "A、B错误，C、D正确。"),
    ("B", "最终答案：**B**"),
    ("B", "### 答案\nB"),
    ("B", "答案选B，不选A。"),
    ("B", "排除A、C，剩下B和D，B更符合题意。"),
    ("B", "错误的是B。"),
    ("D", "D。北京虽然是首都，但题目问的是特区。"),
    ("C", "好的，正确答案是：C"),
    ("B", "B、北京"),
    ("B", "（B）北京"),
    ("B", "答案是B，不是C。"),
    ("B", "C不是答案，B才是。"),
    ("B", "不能选A，选B。"),
    ("B", "A和C都错，D也错。"),
    ("C", "我认为正确答案应该是选项 C：广州。"),
    ("C", "经过分析，C项最符合题意，A、B、D三项均有明显错误。"),
    ("B", "题目考查首都。A项上海不是首都；B项北京是首都；C、D项也不是。所以选B。"),
    ("B", "A项错误，B项正确，C项错误，D项错误。"),
    ("B", "A错，B对，C错，D错。"),
    ("B", "A:错误 B:正确 C:错误 D:错误"),
    ("B", "答：B"),
    ("B", "【答案】B\n【解析】A项说的是上海。"),
    ("B", "【答案】 B"),
    ("B", "〖B〗"),
    ("B", "正确答案为B，理由如下：A是上海，C是广州。"),
    ("B", "答案为(B)。"),
    ("B", "这道题应该选B，而不是A。"),
    ("B", "选项B（北京）是唯一符合条件的。"),
    ("B", "只有B符合。"),
    ("B", "唯一正确的是B。"),
    ("B", "B才是正确答案"),
    ("B", "毫无疑问是B。"),
    ("B", "我觉得是B吧"),
    ("B", "可能是B"),
    ("B", "应该不是A，我倾向于B。"),
    ("C", "首先排除A，其次排除D，再比较B和C，C更准确，故答案为C。"),
    ("C", "A和B都不对，C才对。"),
    ("B", "答案是A吗？不，答案是B。"),
    ("B", "答案：A\n\n更正：答案应为B。"),
    ("B", "最初我以为是A，但仔细想想，正确答案是B。"),
    ("D", "哦不，我看错了，应该选D。"),
    ("B", '答案是"B"'),
    # Seemingly, somebody thinks, if: what is said of A so does not choose it.
    ("B", "乍看之下答案是A，其实是B。"),
    ("B", "表面上A符合题意，但实际上是B。"),
    ("B", "A看似正确，其实B才对。"),
    ("B", "很多同学会选A，但应该选B。"),
    ("B", "有人认为答案是A，这是错误的，B才是。"),
    ("B", "如果问的是经济中心，答案是A。但这里问的是首都，是B。"),
    ("ambiguous", "看起来A是对的，但我不确定。"),
    ("ambiguous", "A不一定对。"),
    ("ambiguous", "A未必正确"),
    ("none", "答案不可能是A。"),
    ("B", "容易误选A，其实是B。"),
    ("none", "非B"),
    ("ambiguous", "上海（B）"),
    ("B", "北京（B）"),
    ("B", "应该选择B而不是A。"),
    ("B", "选项2"),
    ("B", "错误的是A，正确的是B。"),
]
JA = [
    ("B", "Bが正解です。Aは誤りです。"),
    ("B", "正解はBです。選択肢Aは東京なので誤りです。"),
    ("B", "（Ｂ）"),
    ("B", "Ｂ。"),
    ("B", "A、C、Dは誤りです。"),
    ("C", "正解はAです。いや、Cです。"),
    ("D", "答えはB……いや待って、やはりDですね。"),
    ("B", "京都です。"),
    ("B", "答えは京都です。東京ではありません。"),
    ("B", "Aではなく、Bです。"),
    ("B", "Aじゃなくて、Bだと思います。"),
    ("ambiguous", "AとCのどちらかです。"),
    ("none", "わかりません。"),
    ("B", "Bを選びます。"),
    ("B", "最も適切なのはBです。"),
    ("B", "正しい選択肢はBです。"),
    ("B", "選択肢Bが正しいです。AとCは誤りです。"),
    ("B", "答え：B"),
    ("B", "答えはBだと思います。なぜなら、Aは今の首都だからです。"),
    ("B", "B（京都）が正解となります。"),
    ("B", "Bで間違いないです。"),
    ("B", "誤っているものはBです。"),
    ("B", "首都は東京ですが、昔の都は京都なので、答えは京都です。"),
    ("C", "はい、正解はCです！"),
    ("B", "「B」"),
    ("B", "答えは「Ｂ」です。"),
    ("C", "Bではないと思います。Cです。"),
    ("B", "正解: B"),
    ("B", "答えはB。"),
    ("B", "答えは②です。"),
    ("B", "Bです"),
    ("B", "Bですね。"),
    ("B", "Bだと考えられます。"),
    ("B", "おそらくBでしょう。"),
    ("B", "Bが当てはまります。"),
    ("B", "当てはまるのはBです。"),
    ("B", "Aは不適切、Bは適切、Cは不適切、Dは不適切です。"),
    ("B", "消去法でBになります。"),
    ("B", "Aでも良さそうですが、正解はBです。"),
    ("B", "正解はAではなくBです。"),
    ("B", "AではなくBが正解です。"),
    ("B", "A、C、Dではありません。"),
    ("B", "Aは違います。Bです。"),
    ("C", "すみません、間違えました。正解はCです。"),
    ("B", "訂正します。答えはBです。"),
    ("B", "正解はBであり、Aは誤りである。"),
    ("B", "正解は「京都」です。"),
    ("B", "京都（B）"),
    ("B", "解答：B. 京都"),
    ("B", "よって、正解はBとなる。"),
    ("B", "したがってB。"),
    ("D", "以上より、答えはDである。"),
    ("B", "選択肢の中で最も適切なものはBの京都です。"),
    ("B", "BとCで迷いますが、Bを選びます。"),
    ("none", "どちらとも言えません。"),
    ("none", "正解はありません。"),
    ("B", "一見Aが正解のように見えますが、Bです。"),
    ("B", "Aが正解のようですが、実際はBです。"),
    ("B", "Aが正しいと思われがちですが、正しくありません。Bです。"),
    ("B", "Aが正しいとは限りません。Bです。"),
    ("ambiguous", "Aが正しいとは限りません。"),
    ("B", "正解はAでしょうか？いいえ、Bです。"),
    ("none", "Aは不正解"),
    ("B", "Aが答えだと思うかもしれませんが、Bです。"),
    ("ambiguous", "答えはAとは思えない。"),
    ("ambiguous", "答えがAであるはずがない。"),
    ("ambiguous", "B以外"),
    ("ambiguous", "A以外はすべて正しい。"),
    ("B", "Aである可能性は低く、Bだと考えます。"),
    ("B", "Aだと思いましたが、正しくはBです。"),
    ("B", "間違っているのはAで、正しいのはBです。"),
    ("B", "bです"),
    ("B", "2番"),
    ("B", "選択肢2"),
]
EN = [
    ("B", "I would choose option B."),
    ("B", "A quick look shows that the right option is B"),
    ("B", "The answer is not A but B."),
    ("B", "b) Kyoto"),
    ("C", "I think it must be C."),
    ("C", "I believe C"),
    ("C", "A careful reading shows C."),
    ("C", "I'm sure: C"),
    ("B", "Ⓑ"),
    ("B", "②"),
    ("B", "B)"),
    ("B", "A, C, and D are wrong."),
    ("C", "The answer is A. Wait, it's C."),
    ("B", "Kyoto"),
    ("B", "The old capital was Kyoto, not Tokyo."),
    ("ambiguous", "Both B and C"),
    ("ambiguous", "B or C"),
    ("none", "I don't know."),
    ("none", ""),
    ("B", '{"answer": "B"}'),
    ("B", '{"answer": "B", "reason": "A is Tokyo"}'),
    ("B", "**B**"),
    ("B", "**Answer:** B"),
    ("B", "\\boxed{B}"),
    ("B", "The answer is $\\boxed{\\text{B}}$."),
    ("B", "B. Kyoto was the capital until 1868, while A (Tokyo) has been since."),
    ("B", "A. Tokyo: no, it is today's capital.\nB. Kyoto: yes.\nSo the answer is B."),
    (
        "B",
        "Through them all.\n(A) Tokyo is wrong.\n(B) Kyoto fits.\n(C) Osaka is wrong.\n(D) Nara is wrong.\nAnswer: (B)",
    ),
    ("B", "Option B"),
    ("B", "The correct choice is (b)."),
    ("B", "answer: b"),
    ("B", "My answer is b, Kyoto."),
    ("B", "I'd go with B."),
    ("D", "Answer is D because A, B and C are modern."),
    ("B", "It is B rather than A."),
    ("A", "C is incorrect, and so is D; A is the best answer."),
    ("B", "It could be A, but the answer is B."),
    ("B", "At first I thought A was right, but B is correct."),
    ("ambiguous", "The answer is A. The answer is B."),
    ("ambiguous", "B. Tokyo"),
    ("A", "A"),
    ("A", "A."),
    ("A", "A is the answer."),
    ("A", "Answer: A"),
    ("A", "I choose A."),
    ("none", "A city in the east."),
    ("A", "Vitamin tests show A is right"),
    ("none", "The answer is none of these."),
    ("B", "1. First, A is too new.\n2. C and D are too small.\nThus B."),
    ("B", "Step 1: consider Tokyo. Step 2: consider Kyoto.\n\nFinal answer: B"),
    ("B", "Answer:\n\nB"),
    ("B", "The incorrect statement is B."),
    ("B", "We can eliminate A and C. Between B and D, B is better supported, so the answer is B."),
    ("B", "Tokyo is the current capital, so the answer is Kyoto."),
    ("C", "Sure! The answer to this question is option **C**."),
    ("B", "b"),
    ("B", "(B)"),
    ("B", "[B]"),
    ("B", "B:Kyoto"),
    ("B", "Answer: B\n\nExplanation: A is the modern capital. C is a merchant city. D was the capital before."),
    ("B", "Looking at the options, A and C can be ruled out; D is also wrong. That leaves B."),
    ("D", "Not C. D."),
    ("C", "Neither A nor B; C is right."),
    ("B", "B is not wrong."),
    ("B", "`B`"),
    ("B", "<answer>B</answer>"),
    ("B", "[[B]]"),
    ("B", "ANSWER: B"),
    ("B", "The Answer Is B!"),
    ("B", "b."),
    ("B", "B, Kyoto"),
    ("B", "B – Kyoto"),
    ("B", "(B) Kyoto"),
    ("B", "Option (B)"),
    ("B", "It's B."),
    ("D", "That would be option D."),
    ("C", "Definitely C!"),
    ("B", "I'd say B"),
    ("C", "I will go with C."),
    ("C", "My choice: C"),
    ("B", "Choice B seems most plausible."),
    ("B", "The correct answer is B) Kyoto."),
    ("B", "The correct answer is B: Kyoto, since A is the current capital."),
    ("B", "Correct: B"),
    ("B", "Thus, the correct option is (B)."),
    ("B", "Among the options given, B is the only one that was a capital before Tokyo."),
    ("B", "Only B works."),
    ("B", "A is wrong because it is modern. C is wrong because it was a merchant city. D is wrong too. Therefore B."),
    ("B", "Not A, not C, not D. So B it is."),
    ("B", "The answer isn't A. It's B."),
    ("B", "The answer cannot be A, so it must be B."),
    ("B", "While A is tempting, B is correct."),
    ("B", "A might seem right, but the correct answer is B."),
    ("B", "Answer: B (not A)"),
    ("B", "I was going to say A, but actually it's B."),
    ("B", "Hmm, A... no, B."),
    ("B", "A? No. B."),
    ("B", "A - wait, no, it's B."),
    ("none", "All of the above."),
    ("none", "None of the above"),
    ("ambiguous", "A, B"),
    ("ambiguous", "A and D are both correct."),
    ("ambiguous", "A/B"),
    ("ambiguous", "Either A or B."),
    ("ambiguous", "It's between A and B."),
    ("ambiguous", "I'm torn between B and C, leaning C."),
    ("A", "Tokyo"),
    ("A", "tokyo"),
    ("A", "The answer is Tokyo."),
    ("B", "**Kyoto**"),
    ("B", "It was Kyoto."),
    ("ambiguous", "Kyoto and Nara"),
    ("B", "kyoto, i think"),
    ("B", "Not Tokyo; Kyoto."),
    ("B", "Let me think. A refers to the modern capital, C is a port. The old capital is therefore B."),
    ("B", "Based on the passage, the answer is\n\nB"),
    (
        "B",
        "Sure:\n\n**B. Kyoto**\n\nIt was the capital for a thousand years; Tokyo (A) has been since 1868.",
    ),
    ("B", "\\[\\boxed{B}\\]"),
    ("B", "$$B$$"),
    ("B", "Answer: $B$"),
    ("B", "Final Answer: The final answer is B. I hope it is correct."),
    ("C", '{"choice": "C"}'),
    ("C", "{'answer': 'C'}"),
    ("C", "answer=C"),
    ("C", "Answer C"),
    ("B", "A: Tokyo\nB: Kyoto\nC: Osaka\nD: Nara\n\nB"),
    ("D", "A. Tokyo\nB. Kyoto\nC. Osaka\nD. Nara\n\nThe answer is: D. Nara"),
    ("ambiguous", "I cannot say which of A, B, C, or D is right."),
    ("ambiguous", "A B C D"),
    ("A", "Is it A?"),
    ("B", "Many would say that the answer is A, but it is B."),
    ("B", "You might think A is correct. It's not; Kyoto was."),
    ("B", "A would be correct if today's capital were meant. Here it's Kyoto."),
    ("ambiguous", "A common mistake is to say the answer is A."),
    ("none", "A is unlikely."),
    ("B", "The answer is hardly A; Kyoto."),
    ("none", "Anything but B."),
    ("B", "The obvious answer is A, but it's B."),
    ("ambiguous", "I doubt that the answer is A."),
    ("ambiguous", "I'm not sure the answer is A."),
    ("B", "The answer used to be A; it is now B."),
    ("B", "I think it's B, though A is tempting."),
    ("B", "While A seems plausible, the evidence favors B."),
    ("B", "The answer could be A, but more likely B."),
    ("B", "Either A or B, but I'd lean B."),
    ("B", "I prefer B to A."),
    ("B", "Answer (A/B/C/D): B"),
    ("B", "A: No\nB: Yes\nC: No\nD: No."),
    ("B", "Option A: No. Option B: Yes. Option C: No. Option D: No."),
    ("none", "Option A: No. Option B: No."),
    ("B", "It must be b"),
    ("B", "Option 2"),
    ("none", "Option 7"),
]
# Choices that are called otherwise: truth, which says how, texts, what is read.
CALLED_OTHERWISE = [
    ("イ", ["東京", "京都", "大阪", "奈良"], "イ", "イ"),
    ("ウ", CHOICES["JA"], "答えはウです。アは違います。", "ウ"),
    ("イ", CHOICES["JA"], "正解は「イ」です。", "イ"),
    ("イ", CHOICES["JA"], "イが正しい。アとウは誤り。", "イ"),
    ("2", CHOICES["JA"], "2", "2"),
    ("2", CHOICES["JA"], "答えは2です。", "2"),
    ("2", CHOICES["JA"], "2番です。", "2"),
    ("2", CHOICES["ZH"], "选项2", "2"),
    ("2", CHOICES["JA"], "(2)", "2"),
    ("2", CHOICES["JA"], "②", "2"),
    ("③", CHOICES["JA"], "③が正解。①は誤り。", "③"),
    ("乙", CHOICES["ZH"], "乙", "乙"),
    ("乙", CHOICES["ZH"], "答案是乙，不是甲。", "乙"),
    ("C", ["a1", "b1", "c1", "d1"], "I", "none"),
    ("ウ", CHOICES["JA"], "アイデアとしてはウが正しいです", "ウ"),
    ("3", CHOICES["JA"], "2つありますが、正解は3です。", "3"),
]

CASES = Path(__file__).parent / "cases" / "choices.jsonl"


def score(answer: str, truth: str = "B", choices: Sequence[str] = (), question: str = "") -> Score:
    return Score(
        suite="s",
        item="i",
        cluster="c",
        grader="choice",
        truth=truth,
        answer=answer,
        question=question,
        choices=list(choices),
    )


def read(answer: str, truth: str, choices: Sequence[str]) -> str:
    """The letter, or why there is none."""
    marked = mark(score(answer, truth, choices), {})
    return marked.extracted or marked.outcome


@pytest.mark.parametrize(
    ("tongue", "letter", "answer"),
    [(tongue, *case) for tongue, cases in (("ZH", ZH), ("JA", JA), ("EN", EN)) for case in cases],
)
def test_the_letter_that_is_chosen_is_read(tongue: str, letter: str, answer: str) -> None:
    assert read(answer, "A", CHOICES[tongue]) == letter


@pytest.mark.parametrize(("truth", "choices", "answer", "letter"), CALLED_OTHERWISE)
def test_choices_that_are_called_otherwise(truth: str, choices: list[str], answer: str, letter: str) -> None:
    assert read(answer, truth, choices) == letter


@pytest.mark.parametrize("case", [json.loads(line) for line in CASES.read_text("utf-8").splitlines()])
def test_a_reader_who_did_not_know_the_rules_agrees(case: dict[str, Any]) -> None:
    """``right`` is true, false or "ambiguous": what a person says of the answer."""
    letter = read(case["answer"], case["truth"], case["choices"])
    assert (letter if letter == "ambiguous" else letter == case["truth"]) == case["right"]


def test_an_ambiguous_answer_is_wrong_and_named() -> None:
    marked = mark(score("A or B.", choices=CHOICES["EN"]), {})
    assert (marked.right, marked.extracted, marked.outcome) == (False, "", "ambiguous")
    assert mark(score("I don't know."), {}).outcome == "none"
    assert grade(score("Kyoto", choices=CHOICES["EN"]), {}) is True


def test_a_question_that_lists_its_choices_needs_no_more() -> None:
    question = "旧都はどこですか。\nA. 東京\nB. 京都\nC. 大阪"
    assert grade(score("京都です。", question=question), {}) is True
    assert grade(score("AとCは誤りです。", question=question), {}) is True
    assert grade(score("AとCは誤りです。", question="旧都はどこですか。"), {}) is False


def test_a_letter_beyond_the_choices_is_none() -> None:
    assert read("E", "A", CHOICES["EN"]) == read("I think so.", "A", CHOICES["EN"]) == "none"


def test_a_text_that_two_choices_share_names_neither() -> None:
    assert read("Kyoto", "A", ["Kyoto", "Kyoto", "Nara", "Osaka"]) == "none"


def test_an_answer_that_goes_round_in_circles_is_read_all_the_same() -> None:
    assert read("Wait, is it A? No, B. " * 5000 + "The answer is D.", "A", CHOICES["EN"]) == "D"


@pytest.mark.parametrize("piece", ["```\n", "- \n", "A、", "A, ", "The answer is A. ", "> ", "you think A "])
def test_of_an_answer_that_never_ends_the_beginning_and_the_end_are_read(piece: str) -> None:
    assert read(piece * 100_000 + "\n\nWait, the answer is D.", "A", CHOICES["EN"]) == "D"
