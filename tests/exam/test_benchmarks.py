"""Public benchmark formats, as their files look: what is asked, what counts as right, and what is said of bad lines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shosei.errors import InputError
from shosei.exam.benchmarks import Schema, read_benchmark, read_benchmarks
from shosei.log import Score
from shosei.metrics.grading.choices import extract_choice
from shosei.metrics.grading.grade import grade
from shosei.metrics.grading.numbers import extract_number
from shosei.metrics.grading.programs import build_program
from shosei.wire.suite import Task, write_suite

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": "import math\n\n\ndef twice(x):\n    return 2 * x\n\n\n"
    'def f(x):\n    """Add one.\n    >>> f(1)\n    2\n    """\n',
    "entry_point": "f",
    "canonical_solution": "    return x + 1\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n",
}
MBPP = {
    "task_id": 2,
    "text": "Write a function to add one.",
    "code": "def helper(x):\n    return x\ndef add_one(x):\n    return helper(x) + 1",
    "test_setup_code": "",
    "test_list": ["assert add_one(1) == 2", "assert add_one(2) == 3"],
}


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def score(task: Task, answer: str) -> Score:
    return Score(
        suite=task.suite,
        item=task.id,
        cluster=task.cluster,
        grader=task.grader,
        truth=task.truth,
        answer=answer,
        references=task.references,
        lang=task.lang,
    )


def right(task: Task, answer: str) -> bool | None:
    return grade(score(task, answer), {})


def test_humaneval(tmp_path: Path) -> None:
    path = tmp_path / "HumanEval.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(HUMANEVAL).encode() + b"\n"))
    (task,) = read_benchmark(path)
    assert (task.id, task.suite, task.grader, task.entry_point, task.lang) == (
        "HumanEval/0",
        "HumanEval",
        "python",
        "f",
        "en",
    )
    assert task.setup == "import math\n\n\ndef twice(x):\n    return 2 * x\n\n\n"
    assert (task.truth, task.test) == (HUMANEVAL["prompt"] + HUMANEVAL["canonical_solution"], HUMANEVAL["test"])
    assert str(HUMANEVAL["prompt"]).strip() in task.question


def test_variants_of_humaneval(tmp_path: Path) -> None:
    japanese = HUMANEVAL | {
        "prompt": 'def f(x):\n    """数値に一を足して返す関数です。"""\n',
        "prompt_en": "",
        "language": "Python",
    }
    (task,) = read_benchmark(lines(tmp_path / "jhumaneval.jsonl", japanese))
    assert task.lang == "ja"
    assert "次の Python 関数" in task.question
    renamed = {"name": "x/1", **{key: value for key, value in HUMANEVAL.items() if key != "task_id"}}
    (task,) = read_benchmark(lines(tmp_path / "other.jsonl", renamed), Schema(columns={"task_id": "name"}))
    assert task.id == "x/1"
    with pytest.raises(InputError, match=r"java.jsonl:1: the language is 'java'"):
        read_benchmark(lines(tmp_path / "java.jsonl", HUMANEVAL | {"language": "java"}))


def test_mbpp(tmp_path: Path) -> None:
    (task,) = read_benchmark(lines(tmp_path / "mbpp.jsonl", MBPP))
    assert (task.id, task.entry_point, task.truth) == ("2", "add_one", MBPP["code"])
    assert task.test == "assert add_one(1) == 2\nassert add_one(2) == 3"
    assert "assert add_one(1) == 2" in task.question


def test_gsm8k_and_mgsm(tmp_path: Path) -> None:
    row = {"question": "How many?", "answer": "6*12=<<6*12=72>>72 of them\n#### 1,072"}
    (task,) = read_benchmark(lines(tmp_path / "gsm8k.jsonl", row))
    assert (task.grader, task.truth, task.solution) == ("number", "1072", row["answer"])
    assert right(task, "So it is 1,072.")
    assert right(task, "答えは１０７２個です。")
    assert not right(task, "1072 or 3")
    assert not right(task, "I do not know.")
    (tmp_path / "mgsm_zh.tsv").write_text('他说"好"，有几颗蛋？\t18\n"一共多少？\t70000\n')
    first, second = read_benchmark(tmp_path / "mgsm_zh.tsv")
    assert (first.truth, first.lang, first.id, second.truth) == ("18", "zh", "1", "70000")
    assert first.question == '他说"好"，有几颗蛋？'
    assert first.asked.startswith(first.question + "\n\n请")


def test_choices(tmp_path: Path) -> None:
    (tmp_path / "cmmlu.csv").write_text(',Question,A,B,C,D,Answer\n0,"首都,是？",上海,北京,广州,深圳,B\n')
    (task,) = read_benchmark(tmp_path / "cmmlu.csv")
    assert (task.grader, task.truth) == ("choice", "B")
    assert "首都,是？\nA. 上海\nB. 北京\nC. 广州\nD. 深圳" in task.asked
    assert right(task, "Ｂ")
    assert right(task, "答案是：B。因为 A 不对")
    assert not right(task, "北京")
    jcqa = {"q_id": 7, "question": "主に子ども向けのものは？", "choice0": "絵本", "choice1": "辞書", "label": 0}
    arc = {"question": "Which?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answer": "y"}
    (task,) = read_benchmark(lines(tmp_path / "jcqa.jsonl", jcqa))
    assert (task.id, task.truth, task.lang) == ("7", "A", "ja")
    (task,) = read_benchmark(lines(tmp_path / "arc.jsonl", arc))
    assert task.truth == "B"
    with pytest.raises(InputError, match=r"arc.jsonl:1: 'z' is none of the 2 choices"):
        read_benchmark(lines(tmp_path / "arc.jsonl", arc | {"answer": "z"}))


def test_labels(tmp_path: Path) -> None:
    (tmp_path / "htl.csv").write_text('label,review\n1,"房间很大,\n不错"\n0,太吵\n')
    plain = read_benchmark(tmp_path / "htl.csv")
    assert [(task.grader, task.truth) for task in plain] == [("label", "1"), ("label", "0")]
    named = read_benchmark(tmp_path / "htl.csv", Schema(labels={"1": "正面", "0": "负面"}))
    assert [task.truth for task in named] == ["正面", "负面"]
    assert "正面 / 负面" in named[0].asked
    assert right(named[0], "正面。")
    with pytest.raises(InputError, match=r"htl.csv:4: no --label names '0'"):
        read_benchmark(tmp_path / "htl.csv", Schema(labels={"1": "正面"}))
    (tmp_path / "htl.csv").write_text("label,words\n1,好\n")
    with pytest.raises(InputError, match=r"htl.csv:2: no 'question'; .*--map question=COLUMN"):
        read_benchmark(tmp_path / "htl.csv")
    (task,) = read_benchmark(tmp_path / "htl.csv", Schema(columns={"question": "words"}))
    assert task.question == "好"


def test_several_right_answers_are_references_where_text_is_compared(tmp_path: Path) -> None:
    rows = [{"question": "首都？", "answer": ["東京", "東京都"]}, {"question": "古都？", "answer": ["京都"]}]
    first, second = read_benchmark(lines(tmp_path / "qa.jsonl", *rows))
    assert [(task.grader, task.truth, task.references) for task in (first, second)] == [
        ("text", "東京", ["東京都"]),
        ("text", "京都", []),
    ]
    assert right(first, "東京都")
    (task,) = read_benchmark(lines(tmp_path / "l.jsonl", {"sentence": "良い", "label": ["肯定"]}))
    assert (task.grader, task.truth) == ("label", "肯定")
    (task,) = read_benchmark(lines(tmp_path / "n.jsonl", {"question": "1+1？", "answer": ["2"]}))
    assert (task.grader, task.truth) == ("number", "2")
    for answer, schema, message in (
        (["1", "2"], Schema(grader="number"), "qa.jsonl:1: there are 2 answers, and the grader 'number' takes one"),
        ({"text": "東京"}, Schema(), "qa.jsonl:1: the answer is neither a text nor a list of texts"),
        ([], Schema(), "qa.jsonl:1: the answer is neither a text nor a list of texts"),
    ):
        with pytest.raises(InputError, match=message):
            read_benchmark(lines(tmp_path / "qa.jsonl", {"question": "首都？", "answer": answer}), schema)


def test_squad(tmp_path: Path) -> None:
    answers = [
        {"text": "東京", "answer_start": 0},
        {"text": "東京都", "answer_start": 0},
        {"text": "東京", "answer_start": 0},
    ]
    asked = {"id": "q1", "question": "首都はどこですか。", "answers": answers}
    paragraphs = [{"context": "東京都は日本の首都です。", "qas": [asked, asked | {"id": "q2"}]}]
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    first, second = read_benchmark(path)
    assert (first.grader, first.truth, first.references, first.lang) == ("span", "東京", ["東京都"], "ja")
    assert first.cluster == second.cluster
    assert right(first, "東京都。")
    assert not right(first, "答えは東京です。")  # SQuAD's own exact match
    assert "東京都は日本の首都です。\n\n首都はどこですか。" in first.asked


def test_squad_with_questions_that_have_no_answer(tmp_path: Path) -> None:
    answered = {"id": "q1", "question": "Who?", "answers": [{"text": "the Duke"}], "is_impossible": False}
    impossible = {"id": "q2", "question": "When?", "answers": [], "is_impossible": True, "plausible_answers": []}
    path = tmp_path / "dev.json"
    body = {"data": [{"paragraphs": [{"context": "The Duke came.", "qas": [answered, impossible]}]}]}
    path.write_text(json.dumps(body))
    first, second = read_benchmark(path)
    assert (first.truth, second.truth) == ("the Duke", "")
    assert all("say only: no answer" in task.asked for task in (first, second))
    assert right(first, "Duke")
    assert not right(first, "no answer")
    assert not right(first, "")
    assert right(second, "No answer.")
    assert right(second, "")
    assert not right(second, "in May")
    del impossible["is_impossible"]
    path.write_text(json.dumps(body))
    with pytest.raises(InputError, match=r"dev.json: question q2 has no answer and is not marked 'is_impossible'"):
        read_benchmark(path)


def test_a_folder_of_formats_is_one_exam(tmp_path: Path) -> None:
    lines(tmp_path / "code.jsonl", HUMANEVAL)
    (tmp_path / "zh.tsv").write_text("几？\t1\n")
    own = Task(id="a", suite="kana", lang="ja", cluster="a", messages=[], grader="exact", truth="カナ")
    write_suite(tmp_path / "kana.jsonl", [own])
    assert [task.suite for task in read_benchmarks(tmp_path)] == ["code", "kana", "zh"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", '{"question": "a", "answer": "1"}\n{"question": \n', r"x.jsonl:2: not JSON"),
        ("x.jsonl", '{"question": "a", "answer": "1"}\n[1]\n', r"x.jsonl:2: not a JSON object but list"),
        ("x.jsonl", '{"frage": "a", "answer": "1"}\n', r"x.jsonl:1: no 'question'; the row has frage, answer"),
        ("x.csv", "question,answer\na,1\nb\n", r"x.csv:3: 1 columns, where 2 are named"),
        ("x.csv", 'question,answer\n"a,1\n', r"x.csv:2: "),
        ("x.csv", "", r"x.csv holds no rows"),
        ("x.json", '{"data": \n', r"x.json:2: not JSON"),
        ("x.json", '{"rows": []}', r"x.json: neither rows of questions nor in SQuAD's form"),
        (
            "x.jsonl",
            '{"prompt": "def f():", "test": "", "entry_point": "f", "task_id": "1"}\n',
            r"x.jsonl:1: 'test' is empty",
        ),
        ("x.jsonl", '{"prompt": "def f():", "test": "x", "task_id": "1"}\n', r"x.jsonl:1: no 'entry_point'"),
        (
            "x.jsonl",
            '{"text": "a", "test_list": ["assert (", ""], "task_id": 1}\n',
            r"x.jsonl:1: 'test_list' is not Python",
        ),
        ("x.jsonl.gz", "no gzip", r"cannot read .*x.jsonl.gz"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_benchmark(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", {"question": "a", "answer": "1"})
    with pytest.raises(InputError, match="unknown format 'tabel'; did you mean 'table'"):
        read_benchmark(path, Schema("tabel"))
    with pytest.raises(InputError, match="no column 'gold' for --map answer=gold"):
        read_benchmark(path, Schema(columns={"answer": "gold"}))
    with pytest.raises(InputError, match="a table's grader is one of"):
        read_benchmark(path, Schema(grader="python"))


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("1,234.50 yen", "1234.5"),
        ("−3", "-3"),
        ("16-3=13", "13"),
        ("答えは１８です", "18"),
        ("#### 7 (of 9)", "7"),
        ("x = -4.", "-4"),
        ("1,2", None),
        ("\\boxed{42}", "42"),
        ("十八", "18"),
        ("", None),
    ],
)
def test_the_number_of_an_answer(answer: str, number: str | None) -> None:
    found = extract_number(answer)
    assert (None if found is None else float(found)) == (None if number is None else float(number))


@given(st.integers(-(10**15), 10**15))
def test_any_number_is_found_however_it_is_written(value: int) -> None:
    wide = str(value).translate({ord(plain): 0xFF10 + int(plain) for plain in "0123456789"})
    for written in (str(value), f"{value:,}", wide, f"{value}.00"):
        assert extract_number(f"答え: {written} 円") == value


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("(c)", "C"),
        ("Ｄ．", "D"),
        ("The answer is (A) because B is wrong.", "A"),
        ("答え：C", "C"),
        ("A banana", ""),
        ("选B", "B"),
        ("I don't know", ""),
        ("None of them", ""),
        ("", ""),
    ],
)
def test_the_letter_of_an_answer(answer: str, letter: str) -> None:
    assert extract_choice(answer) == letter


PROMPT = str(HUMANEVAL["prompt"])


@pytest.mark.parametrize(
    "answer",
    [
        "    return x + 1\n",
        "    y = twice(x)\n\n    return y - x + 1\n\ndef other():\n    pass\nprint(f(1))",
        "```python\nreturn x + 1\n```",
        "```python\ndef f(x):\n    return x + 1\n```\nDone.",
        "Here:\n```\nimport os\ndef f(x):\n    return twice(x) - x + 1\n```",
        "def f(x):\n    return x + 1\n以上です。",
    ],
)
def test_a_program_is_made_of_prompt_and_answer(answer: str) -> None:
    names: dict[str, Any] = {}
    exec(build_program(answer, "f", PROMPT), names)
    assert names["f"](1) == 2
    assert names["twice"](2) == 4


def test_prose_is_no_program() -> None:
    assert build_program("I cannot write code.", "f", PROMPT) == ""
