"""``shosei ratings export``: data that trainers read, of ratings with their texts, and a table that is read again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from serve_process import SHOSEI
from shosei.data.door import read_file
from shosei.log import Rating, Writer, read_log
from shosei.metrics.experience.population import Population, rated_ns

Json = dict[str, Any]


def rated(rater: str, request: str, value: int | None, question: str = "", answer: str = "", **more: Any) -> Rating:
    fields: Json = {"rater_kind": "person", "scale": "thumbs", "live": True, "phase": "inference"} | more
    return Rating(rater=rater, request=request, value=value, question=question, answer=answer, **fields)


def written(folder: Path, *ratings: Rating) -> Path:
    writer = Writer(folder / "log", folder.name, 1, "inference")
    assert writer.record(ratings)
    writer.close()
    return folder


def tried(run: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*SHOSEI, "ratings", "export", "--run", str(run), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def rows(run: Path, *options: str) -> list[Json]:
    done = tried(run, *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def said(role: str, text: str) -> list[Json]:
    return [{"role": role, "content": text}]


def pair(question: str, chosen: str, rejected: str) -> Json:
    return {
        "prompt": said("user", question),
        "chosen": said("assistant", chosen),
        "rejected": said("assistant", rejected),
    }


STARS: Json = {"scale": "stars"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return written(
        tmp_path / "run",
        rated("a", "c-1", 1, "首都は？", "東京です。"),
        rated("a", "c-2", 0, "首都は？", "大阪です。"),
        rated("a", "c-3", 4, "1+1=?", "二", **STARS),
        rated("a", "c-4", 2, "1+1=?", "三", **STARS),
        rated("b", "c-5", 2, "1+1=?", "五", **STARS),
        rated("b", "c-6", 1, "你好", "你好！"),
        rated("c", "c-7", 1),
    )


def test_answers_to_one_question_make_pairs(run: Path) -> None:
    expected = [
        pair("首都は？", "東京です。", "大阪です。"),
        pair("1+1=?", "二", "三"),
        pair("1+1=?", "二", "五"),
    ]
    assert rows(run, "--format", "dpo") == expected, "equal ratings prefer nothing"
    sharegpt = rows(run, "--format", "dpo-sharegpt")
    assert sharegpt[0] == {
        "conversations": [{"from": "human", "value": "首都は？"}],
        "chosen": {"from": "gpt", "value": "東京です。"},
        "rejected": {"from": "gpt", "value": "大阪です。"},
    }
    assert len(sharegpt) == 3


def test_good_answers_are_rows_that_our_training_reads(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "good.jsonl"
    done = tried(run, "--format", "sft", "--out", file, "--json")
    told = json.loads(done.stdout)
    assert (told["rows"], told["ratings"], told["left_out"]) == (3, 7, {"without text": 1})
    dialogues, _ = read_file(file, strict=True)
    assert [[message["content"] for message in dialogue.messages] for dialogue in dialogues] == [
        ["首都は？", "東京です。"],
        ["1+1=?", "二"],
        ["你好", "你好！"],
    ]


def test_the_last_word_of_a_rater_counts_and_most_raters_decide(tmp_path: Path) -> None:
    run = written(
        tmp_path / "run",
        rated("a", "c-1", 0, "問", "甲"),
        rated("a", "c-1", 1, "問", "甲"),
        rated("b", "c-1", 1, "問", "甲"),
        rated("c", "c-1", 0, "問", "甲"),
        rated("a", "c-2", 1, "問", "乙"),
        rated("b", "c-2", 0, "問", "乙"),
    )
    assert rows(run, "--format", "sft") == [{"messages": [*said("user", "問"), *said("assistant", "甲")]}]
    assert rows(run, "--format", "dpo") == [pair("問", "甲", "乙")]


def test_thumbs_and_stars_are_not_held_against_each_other(tmp_path: Path) -> None:
    run = written(
        tmp_path / "run",
        rated("a", "c-1", 1, "問", "甲"),
        rated("b", "c-1", 1, "問", "甲", **STARS),
        rated("a", "c-2", 0, "問", "乙"),
        rated("b", "c-2", 5, "問", "乙", **STARS),
        rated("a", "c-3", 2, "問", "丙", **STARS),
    )
    assert rows(run, "--format", "dpo") == [pair("問", "丙", "甲"), pair("問", "乙", "丙")]


def test_what_was_said_before_must_be_the_same(tmp_path: Path) -> None:
    later: Json = {"context_messages": 2}
    run = written(
        tmp_path / "run",
        rated("a", "c-1", 1, "はい", "甲", context="1" * 16, **later),
        rated("a", "c-2", 0, "はい", "乙", context="2" * 16, **later),
        rated("a", "c-3", 0, "はい", "丙", context="1" * 16, **later),
        rated("a", "c-4", 1, "問", "丁", context="3" * 16),
    )
    assert tried(run, "--format", "dpo").returncode == 4
    assert rows(run, "--format", "dpo", "--later-turns") == [pair("はい", "甲", "丙")]
    assert len(rows(run, "--format", "sft")) == 1, "a system prompt alone is no conversation"


def test_people_and_models_are_mixed_only_when_asked(tmp_path: Path) -> None:
    judge: Json = {"rater_kind": "model"}
    run = written(tmp_path / "run", rated("a", "c-1", 1, "問", "甲"), rated("j", "c-2", 0, "問", "乙", **judge))
    assert tried(run, "--format", "dpo").returncode == 4
    assert tried(run, "--format", "dpo", "--kind", "model").returncode == 4
    assert rows(run, "--format", "dpo", "--kind", "any") == [pair("問", "甲", "乙")]
    refused = tried(run, "--format", "csv", "--kind", "any")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_texts_that_were_not_kept_or_not_whole_are_counted(tmp_path: Path) -> None:
    run = written(tmp_path / "run", rated("a", "c-1", 1), rated("a", "c-2", 1, "問", "答" * 10_000))
    done = tried(run, "--format", "sft")
    assert done.returncode == 4
    assert "1 without text (a server keeps it under --keep-rated-text)" in done.stdout
    assert "1 of a text that was too long" in done.stdout


def test_the_table_is_read_again_as_it_was(run: Path, tmp_path: Path) -> None:
    written(
        run,
        rated(
            "a",
            "c-8",
            5,
            tags=["快", "对"],
            comment='彼は"良い"と\n言った',
            rated_wall_ns=1_795_393_800 * 10**9,
            **STARS,
        ),
        rated("d", "c-9", None, turn=3),
    )
    file = tmp_path / "all.csv"
    assert tried(run, "--format", "csv", "--out", file).returncode == 0
    other = written(tmp_path / "other")
    (other / "run.toml").touch()
    taken = subprocess.run([*SHOSEI, "ratings", "import", file, "--run", other, "--keep-text"], capture_output=True)
    assert taken.returncode == 0, taken.stderr

    def facts(folder: Path) -> list[Any]:
        ratings = Population.of(read_log(folder / "log").of(Rating)).asked
        names = {rater: number for number, rater in enumerate(dict.fromkeys(rating.rater for rating in ratings))}
        return [
            [names[each.rater], each.value, each.request, each.turn, each.tags, each.comment, rated_ns(each) // 1000]
            for each in ratings
        ]

    assert facts(other) == facts(run)


def test_words_of_advice(run: Path, tmp_path: Path) -> None:
    for options, words in (
        (["--format", "dop"], "did you mean 'dpo'?"),
        (["--json"], "--out"),
        (["--kind", "persn"], "did you mean 'person'?"),
    ):
        done = tried(run, *options)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert words in done.stderr
    unknown = subprocess.run([*SHOSEI, "ratings", "exprot", "--run", run], capture_output=True, text=True)
    assert "did you mean 'export'?" in unknown.stderr
