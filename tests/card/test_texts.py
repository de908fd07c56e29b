"""The language files: nothing missing, nothing left over, and the same places for values in every language."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import shosei
from shosei.card.words import LANGUAGES, named, own_texts, texts, translated
from shosei.metrics.cells import task_cells
from shosei.metrics.metric import METRIC_IDS, Text, text
from shosei.metrics.service_level import ServiceLevel
from shosei.profile.profile import read_profile, shipped
from shosei.spec import audit

SOURCES = Path(shosei.__file__).parent
OF_A_METRIC = {
    "name",
    "training",
    "inference",
    "training_formula",
    "inference_formula",
    "source",
    "traps",
}
OF_TASKS = {"tasks", "tasks_formula"}
MEASURED_BY_TASKS = {cell.id for cell in task_cells(ServiceLevel())}
IDS = [id for ids in METRIC_IDS.values() for id in ids]


def trees() -> Iterator[ast.AST]:
    for file in sorted(SOURCES.rglob("*.py")):
        yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def places(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name is not None}


def test_every_text_that_the_source_names_is_there_with_its_values() -> None:
    templates = "".join(file.read_text(encoding="utf-8") for file in sorted(SOURCES.rglob("*.jinja")))
    for key in re.findall(r"\b(?:t|text)\(\"([^\"]+)\"\)", templates):
        assert key in texts("en"), key
    named_keys = 0
    for node in trees():
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "text"):
            continue
        if node.args and isinstance(node.args[0], ast.Constant):
            key = node.args[0].value
            named_keys += 1
            assert key in texts("en"), key
            assert {keyword.arg for keyword in node.keywords} == places(texts("en")[key]), key
    assert named_keys > 100


def test_every_key_that_a_metric_names_by_itself_is_a_text_without_values() -> None:
    sections = "|".join({key.partition(".")[0] for key in texts("en") if "." in key})
    given, plain = set(), set()
    for file in sorted((SOURCES / "metrics").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                given |= {id(part) for part in node.values}
            if isinstance(node, ast.Call) and node.keywords and isinstance(node.func, ast.Name):
                given |= {id(argument) for argument in node.args if node.func.id == "text"}
            named_by = node.value if isinstance(node, ast.Constant) and id(node) not in given else None
            if re.fullmatch(rf"({sections})(\.\w+)+", str(named_by)):
                plain.add(str(named_by))
    assert len(plain) > 150
    assert plain <= texts("en").keys()
    assert [key for key in sorted(plain) if places(texts("en")[key])] == []


def test_every_text_is_used() -> None:
    constants, beginnings = set(), {"unit.", "timeline.cause.", "timeline.name.", "part.", "fact."}
    for file in SOURCES.rglob("*.jinja"):
        constants |= set(re.findall(r"\"([^\"<>]+)\"", file.read_text(encoding="utf-8")))
    for node in trees():
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            constants.add(node.value)
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            beginnings.add(str(node.values[0].value))
        elif isinstance(node, ast.arg | ast.keyword | ast.Name | ast.Attribute):
            constants.add(str(getattr(node, "arg", None) or getattr(node, "id", None) or getattr(node, "attr", "")))
    beginnings |= {constant for constant in constants if constant.endswith(".")}
    profiles = [read_profile(name) for name in shipped()]
    sentences = {row.reason for row in audit()} | {profile.description for profile in profiles}
    constants |= {f"figure_name.{key.partition('.')[2]}" for it in profiles for key in it.training | it.inference}

    def used(key: str) -> bool:
        if key in constants or texts("en")[key] in sentences or key.split(".")[0] in {*IDS, "note"}:
            return True
        endings = {key.removeprefix(beginning) for beginning in beginnings if "." in beginning} - {key}
        return any(ending.replace("_", mark) in constants for ending in endings for mark in "_ -")

    assert [key for key in texts("en") if not used(key)] == []


def test_every_metric_is_told_in_full() -> None:
    for id in IDS:
        assert {key.removeprefix(f"{id}.") for key in texts("en") if key.startswith(f"{id}.")} == (
            OF_A_METRIC | (OF_TASKS if id in MEASURED_BY_TASKS else set())
        )


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_language_has_every_text_and_the_same_places_for_values(language: str) -> None:
    english, own = own_texts("en"), own_texts(language)
    assert own.keys() == english.keys()
    for key, words in own.items():
        assert words.strip(), key
        assert places(words) == places(english[key]), key


def test_names_are_those_of_the_field() -> None:
    recall = {language: translated(text("recall.name"), language) for language in LANGUAGES}
    assert recall == {"en": "Recall", "zh-CN": "召回率", "ja": "再現率"}


def test_a_name_out_of_the_log_that_the_card_does_not_know_stays_as_it_is() -> None:
    assert isinstance(named("timeline.cause", "out of memory"), Text)
    assert named("timeline.cause", "swallowed by a whale") == "swallowed by a whale"


def test_reasons_of_the_published_counts_are_texts_of_the_card() -> None:
    assert {row.reason for row in audit()} <= {said for key, said in texts("en").items() if key.startswith("audit.")}
