"""Tables as teams and benchmarks write them: which columns are asked, by what each row is graded, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shosei.errors import InputError
from shosei.exam.benchmarks import Schema, read_benchmark, unused_columns
from shosei.wire.suite import Task


def csv(folder: Path, *lines: str) -> Path:
    (path := folder / "t.csv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def jsonl(folder: Path, *rows: dict[str, Any]) -> Path:
    (path := folder / "t.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def graders(tasks: list[Task]) -> list[tuple[str, str]]:
    return [(task.grader, task.truth) for task in tasks]


def test_each_row_of_a_table_has_its_own_grader(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "質問,正解",
        "一ダースは何本ですか。,12",
        "いちばん広い湖は？,琵琶湖",
        "切符はいくらですか。,3万円",
        "速い通信の名は？,5G",
        "映画の題は？,12 Angry Men",
        "葉の県は？,千葉",
    )
    expected = ["number", "text", "number", "text", "text", "text"]
    tasks = read_benchmark(path)
    assert [task.grader for task in tasks] == expected
    assert [task.truth for task in tasks[:3]] == ["12", "琵琶湖", "30000"]
    assert {task.grader for task in read_benchmark(path, Schema(grader="text"))} == {"text"}
    assert "答えだけを短く書いてください" in tasks[1].asked
    assert "本文" not in tasks[1].asked


@pytest.mark.parametrize(
    ("header", "row", "choices", "truth"),
    [
        ("question,option1,option2,option3,answer", "色は？,赤,青,白,青", "赤青白", "B"),
        ("質問,選択肢1,選択肢2,選択肢3,正解", "色は？,赤,青,白,3", "赤青白", "C"),
        ("問題,ア,イ,ウ,正解", "色は？,赤,青,白,イ", "赤青白", "B"),
        ("question,a,b,c,answer", "色は？,赤,青,白,c", "赤青白", "C"),
        ("question,option_a,option_b,option_c,answer", "色は？,赤,青,白,A", "赤青白", "A"),
        ("问题,选项A,选项B,答案", "什么颜色？,红,蓝,B", "红蓝", "B"),
        ("question,甲,乙,丙,answer", "色は？,赤,青,白,乙", "赤青白", "B"),
        ("sentence,option1,option2,answer", "The _ is red.,dog,cat,2", ["dog", "cat"], "B"),
        ("question, A , B, answer", "色は？,赤,青,B", "赤青", "B"),
        ("question;A;B;answer", "色は？;赤;青;B", "赤青", "B"),
        ("question\tA\tB\tanswer", "色は？\t赤\t青\tB", "赤青", "B"),
    ],
)
def test_columns_of_choices(tmp_path: Path, header: str, row: str, choices: str, truth: str) -> None:
    (task,) = read_benchmark(csv(tmp_path, header, row))
    assert (task.grader, task.choices, task.truth) == ("choice", [*choices], truth)
    assert f"A. {choices[0]}\nB. {choices[1]}" in task.asked


def test_choices_of_the_question_itself(tmp_path: Path) -> None:
    stem = {"stem": "Which one floats?", "choices": [{"text": "iron", "label": "A"}, {"text": "cork", "label": "B"}]}
    (task,) = read_benchmark(jsonl(tmp_path, {"id": "q", "question": stem, "answerKey": "B"}))
    assert (task.question, task.choices, task.truth) == ("Which one floats?", ["iron", "cork"], "B")
    path = csv(tmp_path, "question,answer", "軽いのはどれ？ A. 鉄 B. 木 C. 石,B", "重いのは？ A. 綿　B. 鉛,B")
    first, second = read_benchmark(path)
    assert (first.grader, first.choices, first.truth) == ("choice", ["鉄", "木", "石"], "B")
    assert second.choices == ["綿", "鉛"]
    assert first.asked.count("鉄") == 1
    assert "記号だけ" in first.asked


def test_choices_that_are_not_understood_are_refused(tmp_path: Path) -> None:
    path = csv(tmp_path, "question,distractor1,distractor2,answer", "色は？,赤,青,白")
    with pytest.raises(InputError, match="the columns distractor1, distractor2 look like choices"):
        read_benchmark(path)
    assert [task.grader for task in read_benchmark(path, Schema(grader="text"))] == ["text"]
    path = jsonl(tmp_path, {"question": "a", "choices": ["x", "y"], "answer": "x"}, {"question": "b", "answer": "z"})
    with pytest.raises(InputError, match=r"t.jsonl:2: the row has no choices, as others"):
        read_benchmark(path)


def test_a_passage_is_asked_with_its_question(tmp_path: Path) -> None:
    passage = "湖は北にあり、川は南へ流れる。"
    path = csv(tmp_path, "context,question,answer,level", f"{passage},湖はどこ？,北,1", f"{passage},川は？,南,2")
    tasks = read_benchmark(path)
    assert all(task.asked.startswith(f"{passage}\n\n{task.question}") for task in tasks)
    assert "本文中の言葉で" in tasks[0].asked
    assert len({task.cluster for task in tasks}) == 1  # they are about the same text
    assert unused_columns(path) == ["level"]


@pytest.mark.parametrize(
    ("question", "others", "lang"),
    [
        ("这些苹果多少钱？", "りんごはいくつ？", "zh"),
        ("どれ？", "这些苹果多少钱？", "ja"),
        ("最高峰名称", "りんごはいくつ？", "ja"),  # signs of both: as the file
        ("最高峰名称", "这些苹果多少钱？", "zh"),
        ("最寄駅名", "How far is it from here to there, on foot?", "ja"),
        ("How many apples?", "りんごはいくつ？", "en"),
        ("3 + 4 = ?", "りんごはいくつ？", "ja"),
    ],
)
def test_the_language_is_that_of_the_row(tmp_path: Path, question: str, others: str, lang: str) -> None:
    rows = [{"question": question, "answer": "一万五"}, *({"question": others, "answer": "3"} for _ in range(5))]
    first, *_ = read_benchmark(jsonl(tmp_path, *rows))
    assert first.lang == lang


def test_the_language_decides_on_a_number(tmp_path: Path) -> None:
    rows = [
        {"question": "小明花了多少钱？", "answer": "一万五"},
        {"question": "りんごはいくらですか？", "answer": "一万五"},
    ]
    tasks = read_benchmark(jsonl(tmp_path, *rows), Schema(grader="number"))
    assert [task.truth for task in tasks] == ["15000", "10005"]


def test_worked_solutions(tmp_path: Path) -> None:
    solved = {"question": "How many?", "answer": "2 and 3\n#### 5"}
    assert graders(read_benchmark(jsonl(tmp_path, solved, {"question": "And?", "answer": "7"})))[1] == ("number", "7")
    for answer in ("so five of them", "2 and 3\n#### 1,5"):
        with pytest.raises(InputError, match=r"t.jsonl:2: the answer .*: give the number alone, or after ####"):
            read_benchmark(jsonl(tmp_path, solved, {"question": "And?", "answer": answer}))
    boxed = {"question": "How many?", "answer": r"so $\boxed{8}$."}
    assert graders(read_benchmark(jsonl(tmp_path, boxed))) == [("number", "8")]
    with pytest.raises(InputError, match=r"\\boxed is not one number"):
        read_benchmark(jsonl(tmp_path, {"question": "Solve.", "answer": r"$\boxed{x+1}$"}))


def test_words_of_a_label_go_before_its_code(tmp_path: Path) -> None:
    path = jsonl(tmp_path, {"sentence": "今天降温了", "label": "104", "label_desc": "天气"})
    (task,) = read_benchmark(path)
    assert (task.grader, task.truth) == ("label", "天气")
    assert unused_columns(path) == ["label"]


def test_digits_are_kept(tmp_path: Path) -> None:
    (path := tmp_path / "t.jsonl").write_text('{"question": "π?", "answer": 31415926535897932384.626}\n')
    assert read_benchmark(path)[0].truth == "31415926535897932384.626"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", '{"question": "a", "answer": 1e999}', "t.jsonl:1: not JSON: the number 1e999 is too large"),
        ("t.jsonl", '{"question": "a", "answer": NaN}', "NaN is not a number of JSON"),
        ("t.jsonl", '{"question": "a", "answer": 1, "answer": 2}', "the key 'answer' is given twice"),
        ("t.jsonl", '{"question": {"de": "a"}, "answer": 1}', "t.jsonl:1: the question is not a text"),
        ("t.jsonl", '{"question": "a", "choices": "[1, 2]", "answer": 1}', "the choices are one text, not a list"),
        ("t.json", "[]", "t.json holds no rows"),
        ("t.json", '{"data": [{"question": "a", "answer": "b"}]}', "make it a list of rows with question and answer"),
        ("t.csv", "question,answer,answer\na,1,2\n", "t.csv:1: the column 'answer' is named twice"),
        ("t.csv", "q,a\n何？,水\n誰？,私\n", "t.csv:1: none of the columns q, a is known: .*--map question="),
        ("t.csv", "何？,水,火,木,金,A\n", "t.csv:1: 6 columns, and no line that names them: begin the file with one"),
        ("t.xlsx", "PK", "t.xlsx: .xlsx is not read: save it as CSV"),
        ("t.csv", "question,A,B,answer\n何？,水,水,水\n", "'水' is the text of several choices: give its letter"),
    ],
)
def test_what_is_refused_says_what_to_do(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_benchmark(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_free_text_takes_a_benchmarks_own_rule_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("question,answer\n首都是哪里？,北京\n几个？,12\n", encoding="utf-8")
    assert [task.grader for task in read_benchmark(path, Schema(f1="cmrc2018"))] == ["cmrc2018", "number"]
    assert [task.grader for task in read_benchmark(path)] == ["text", "number"]
    with pytest.raises(InputError, match="--f1 squad: the only other rule for free text is cmrc2018"):
        Schema(f1="squad")
    path.write_text("question,answer\n几个？,12\n", encoding="utf-8")
    with pytest.raises(InputError, match="no task of the file is one: leave --f1 out"):
        read_benchmark(path, Schema(f1="cmrc2018"))
