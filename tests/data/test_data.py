"""Generated questions, read back from the files and checked against the libraries they come from."""

from __future__ import annotations

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib import resources
from typing import Any, NamedTuple

import cn2an
import jaconv
import msgspec
import pytest
from babel import Locale
from kanjize import kanji2number

from shosei.data import DataConfig
from shosei.data.generation import generate
from shosei.data.splitting import check_disjoint, split_phrasings
from shosei.errors import InputError, MeasurementInvalid
from shosei.wire.suite import Task

PHRASINGS = tomllib.loads(resources.files("shosei.data").joinpath("phrasings.toml").read_text("utf-8"))
FAMILIES = ("numerals", "kana", "width", "sums", "facts", "functions")
_SLOTS = {
    "numerals": "[0-9]+|[零一二三四五六七八九十百千]+",
    "kana": "[ぁ-ヶ]+",
    "width": "[!-~]+|[！-～]+",
    "sums": "[0-9]{2}",
    "facts": ".+",
    "functions": ".+",
}


class Asked(NamedTuple):
    """A question taken apart again."""

    phrasing: str
    direction: str
    slots: dict[str, str]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return generate(DataConfig())


@pytest.fixture(scope="module")
def tasks(files: dict[str, bytes]) -> dict[str, list[Task]]:
    """Held-out tasks by suite."""
    decode = msgspec.json.Decoder(Task).decode
    names = (*FAMILIES, "intent")
    return {name: [decode(line) for line in files[f"suites/{name}.jsonl"].splitlines()] for name in names}


@pytest.fixture(scope="module")
def rows(files: dict[str, bytes]) -> list[dict[str, Any]]:
    decoded = (msgspec.json.decode(line) for line in files["data/train.jsonl"].splitlines())
    return [row for row in decoded if row["suite"] in (*FAMILIES, "intent")]


@pytest.fixture(scope="module")
def validation(files: dict[str, bytes]) -> list[Task]:
    return [msgspec.json.decode(line, type=Task) for line in files["data/validation.jsonl"].splitlines()]


def take_apart(question: str, family: str, lang: str) -> Asked:
    # The most specific first: a country's name could swallow words of another phrasing.
    known = [(text, direction) for direction, group in PHRASINGS[family][lang].items() for text in group]
    for phrasing, direction in sorted(known, key=lambda pair: -len(pair[0])):
        pattern = re.sub(r"\\{(\w+)\\}", rf"(?P<\1>{_SLOTS[family]})", re.escape(phrasing))
        if match := re.fullmatch(pattern, question):
            return Asked(phrasing, direction, match.groupdict())
    raise AssertionError(f"no phrasing of {family} in {lang} gives {question}")


def unwrap(question: str, lang: str) -> str:
    for wrapper in PHRASINGS["intent"][lang]["label"]:
        head = wrapper.removesuffix("{question}")
        if question.startswith(head):
            return question.removeprefix(head)
    raise AssertionError(question)


def number(text: str, lang: str) -> int:
    if text.isascii():
        return int(text)
    return int(cn2an.cn2an(text, "strict")) if lang == "zh" else int(kanji2number(text))


def territory(name: str, lang: str) -> str:
    return next(code for code, known in Locale(lang).territories.items() if known == name and len(code) == 2)


def operand(asked: Asked, family: str, lang: str) -> object:
    """What a question is about, whatever its language, direction and phrasing."""
    slots = asked.slots
    if family == "numerals":
        return number(slots["x"], lang)
    if family == "kana":
        return jaconv.kata2hira(slots["x"])
    if family == "width":
        return jaconv.z2h(slots["x"], kana=False, ascii=True, digit=True)
    if family == "sums":
        return frozenset(slots.values())
    if family == "facts":
        return territory(slots["x"], lang)
    return slots["name"].split("(")[0].split("_")[1]


def questions(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str, Asked]]:
    """``(family, language, question)`` of every row, the questions inside the intent rows included."""
    for row in rows:
        question, family, lang = row["messages"][0]["content"], row["suite"], row["lang"]
        if family == "intent":
            question = unwrap(question, lang)
            truth = row["truth"] if "truth" in row else row["messages"][1]["content"]
            family = truth.split("-")[1]
        yield family, lang, take_apart(question, family, lang)


def as_rows(tasks: list[Task]) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(task) for task in tasks]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(files: dict[str, bytes]) -> None:
    assert generate(DataConfig()) == files
    assert generate(DataConfig(seed=1)).items().isdisjoint(files.items())


def test_suites_are_large_enough_and_half_chinese_half_japanese(
    tasks: dict[str, list[Task]], rows: list[dict[str, Any]], validation: list[Task]
) -> None:
    sizes = {name: len(suite) for name, suite in tasks.items()}
    assert all(sizes[name] >= 240 for name in ("numerals", "kana", "width", "sums", "intent"))
    assert sizes["facts"] >= 150
    assert sizes["functions"] == 40
    for suite in tasks.values():
        assert abs(Counter(task.lang for task in suite)["zh"] / len(suite) - 0.5) < 0.02
    assert Counter(task.suite for task in validation) == dict.fromkeys({*FAMILIES, "intent"} - {"functions"}, 30)
    assert abs(Counter(row["lang"] for row in rows)["zh"] / len(rows) - 0.5) < 0.01
    everything = [*validation, *(task for suite in tasks.values() for task in suite)]
    assert len({task.id for task in everything}) == len(everything)


def test_every_operand_of_the_four_main_suites_is_asked_once(tasks: dict[str, list[Task]]) -> None:
    for name in ("numerals", "kana", "width"):
        assert len({task.cluster for task in tasks[name]}) == len(tasks[name])


def test_numerals_agree_with_cn2an_and_kanjize(tasks: dict[str, list[Task]], rows: list[dict[str, Any]]) -> None:
    asked = [(task.messages[0]["content"], task.truth, task.lang) for task in tasks["numerals"]]
    asked += [
        (row["messages"][0]["content"], row["messages"][1]["content"], row["lang"])
        for row in rows
        if row["suite"] == "numerals"
    ]
    directions = set()
    for question, truth, lang in asked:
        parts = take_apart(question, "numerals", lang)
        directions.add((lang, truth.isascii()))
        assert truth.isascii() == (parts.direction == "to_digits") != parts.slots["x"].isascii()
        assert number(truth, lang) == number(parts.slots["x"], lang)
        assert 0 <= number(truth, lang) <= 9999
    assert len(directions) == 4


def test_kana_agree_with_jaconv(tasks: dict[str, list[Task]]) -> None:
    for task in tasks["kana"]:
        parts = take_apart(task.messages[0]["content"], "kana", task.lang)
        convert = jaconv.hira2kata if parts.direction == "to_katakana" else jaconv.kata2hira
        assert convert(parts.slots["x"]) == task.truth != parts.slots["x"]
        assert 2 <= len(task.truth) <= 6


def test_width_agrees_with_jaconv(tasks: dict[str, list[Task]]) -> None:
    for task in tasks["width"]:
        parts = take_apart(task.messages[0]["content"], "width", task.lang)
        convert = jaconv.h2z if parts.direction == "to_full" else jaconv.z2h
        assert convert(parts.slots["x"], kana=False, ascii=True, digit=True) == task.truth != parts.slots["x"]
        assert 2 <= len(task.truth) <= 6


def test_sums_are_right(tasks: dict[str, list[Task]]) -> None:
    for task in tasks["sums"]:
        a, b = re.findall("[0-9]+", task.messages[0]["content"])
        assert 10 <= int(a) <= 99 >= int(b) >= 10
        assert int(task.truth) == int(a) + int(b)


def test_facts_are_known_to_cldr(tasks: dict[str, list[Task]]) -> None:
    answers = defaultdict(set)
    for task in tasks["facts"]:
        parts = take_apart(task.messages[0]["content"], "facts", task.lang)
        names = Locale(task.lang).currencies if parts.direction == "currency" else Locale(task.lang).languages
        assert task.truth in names.values()
        assert territory(parts.slots["x"], task.lang) == task.cluster
        answers[task.cluster, task.lang, parts.direction].add(task.truth)
    assert all(len(truths) == 1 for truths in answers.values())


def test_well_known_facts_are_right() -> None:
    everything = generate(DataConfig(facts=10_000, suite_tasks=1000, validation_tasks=1000))
    rows = [msgspec.json.decode(line) for content in everything.values() for line in content.splitlines()]
    known = {
        (row["cluster"], row["lang"], row["truth"] if "truth" in row else row["messages"][1]["content"])
        for row in rows
        if row["suite"] == "facts"
    }
    assert {
        ("JP", "zh", "日元"),
        ("JP", "ja", "日本円"),
        ("JP", "zh", "日语"),
        ("JP", "ja", "日本語"),
        ("DE", "zh", "欧元"),
        ("DE", "ja", "ユーロ"),
        ("DE", "zh", "德语"),
        ("DE", "ja", "ドイツ語"),
        ("BR", "zh", "葡萄牙语"),
        ("BR", "ja", "ポルトガル語"),
    } <= known


def test_function_truths_pass_their_own_tests(tasks: dict[str, list[Task]]) -> None:
    for task in tasks["functions"]:
        scope: dict[str, Any] = {}
        exec(task.truth, scope)
        assert task.entry_point in task.messages[0]["content"]
        assert len(task.tests) >= 3
        for arguments, expected in task.tests:
            assert scope[task.entry_point](*arguments) == expected


def test_intents_are_labelled_with_family_and_language(tasks: dict[str, list[Task]]) -> None:
    for task in tasks["intent"]:
        lang, family = task.truth.split("-")
        assert lang == task.lang
        assert take_apart(unwrap(task.messages[0]["content"], lang), family, lang).phrasing == task.cluster
    assert {task.truth for task in tasks["intent"]} == {f"{lang}-{name}" for lang in ("zh", "ja") for name in FAMILIES}
    assert len({task.cluster for task in tasks["intent"]}) >= 60


def test_no_operand_is_on_two_sides(
    tasks: dict[str, list[Task]], rows: list[dict[str, Any]], validation: list[Task]
) -> None:
    held_out = [task for suite in tasks.values() for task in suite]
    sides = []
    for side in (rows, as_rows(validation), as_rows(held_out)):
        sides.append({(family, operand(asked, family, lang)) for family, lang, asked in questions(side)})
    assert all(sides)
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


def test_no_held_out_phrasing_is_seen_in_training(
    tasks: dict[str, list[Task]], rows: list[dict[str, Any]], validation: list[Task]
) -> None:
    trained = {asked.phrasing for _, _, asked in questions(rows)}
    held_out = {asked.phrasing for _, _, asked in questions(as_rows(tasks["intent"]))}
    validated = {
        asked.phrasing for _, _, asked in questions(as_rows([task for task in validation if task.suite == "intent"]))
    }
    assert not trained & held_out
    assert not trained & validated
    assert not validated & held_out


def test_another_seed_splits_in_the_same_way(rows: list[dict[str, Any]]) -> None:
    trained = {(row["suite"], row["cluster"]) for row in rows}
    other = generate(DataConfig(seed=7))
    for name in (*FAMILIES, "intent"):
        for line in other[f"suites/{name}.jsonl"].splitlines():
            assert (name, msgspec.json.decode(line)["cluster"]) not in trained


def test_each_family_is_trained_in_several_phrasings(rows: list[dict[str, Any]]) -> None:
    seen = defaultdict(set)
    for family, lang, asked in questions(rows):
        seen[family, lang, asked.direction].add(asked.phrasing)
    assert len(seen) == sum(len(directions) for name in FAMILIES for directions in PHRASINGS[name].values())
    assert all(len(phrasings) >= 5 for phrasings in seen.values())


def test_no_phrasing_stands_twice() -> None:
    everything = [
        text for family in PHRASINGS.values() for lang in family.values() for group in lang.values() for text in group
    ]
    assert len(everything) == len(set(everything))


@pytest.mark.parametrize("share", [0.001, 0.499])
def test_every_group_of_phrasings_is_held_out_from_and_trained_on(share: float) -> None:
    for family in PHRASINGS.values():
        for lang in family.values():
            for group in lang.values():
                assert min(map(len, split_phrasings(group, share).values())) >= 1


def test_a_share_that_leaves_a_split_empty_is_refused() -> None:
    with pytest.raises(InputError, match="validation operands of"):
        generate(DataConfig(validation=1e-6))


def test_an_overlap_is_never_written() -> None:
    with pytest.raises(MeasurementInvalid, match="operands of sums"):
        check_disjoint("operands of sums", [{"1+1", "2+2"}, {"3+3"}, {"2+2"}])
