"""Every text of the card, from one file a language: ``texts/en.toml``, ``texts/zh-CN.toml``, ``texts/ja.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import msgspec

from shosei.card.judge import Outcome
from shosei.card.numbers import cell
from shosei.errors import InputError, nearest
from shosei.metrics.metric import Status, Text, Words, text

LANGUAGES = {"en": "English", "zh-CN": "简体中文", "ja": "日本語"}

# Told apart by shape, so that colour is never needed.
MARKS: dict[Status, str] = {"ok": "✓", "insufficient": "△", "invalid": "✗", "not_measured": "○", "na": "–"}
OUTCOME_MARKS: dict[Outcome, str] = {
    "pass": "✓",
    "missed": "✗",
    "inconclusive": "△",
    "insufficient": "△",
    "invalid": "✗",
    "not_measured": "○",
    "na": "–",
}
VERDICT_MARKS = {"passed": "✓", "missed": "✗", "inconclusive": "△", "invalid": "✗"}

T = TypeVar("T")
_OF_COUNTRY = {"jp": "ja", "cn": "zh-CN"}
_IMPLIED = ("page.", "metric.")  # sections whose keys are used without their name


@cache
def texts(language: str) -> dict[str, str]:
    """Dotted key, such as ``status.ok`` or ``memory.training``, to text in ``language``, else in English."""
    return texts("en") | own_texts(language) if language != "en" else own_texts("en")


def own_texts(language: str) -> dict[str, str]:
    """What the file of ``language`` itself holds."""
    source = files("shosei.card").joinpath(f"texts/{language}.toml").read_text(encoding="utf-8")
    flat: dict[str, str] = {}
    _flatten(tomllib.loads(source), "", flat)
    return flat


def language(name: str) -> str:
    """The language of the card that ``name`` means: zh, zh_CN and zh-cn are zh-CN. Raises InputError."""
    spelt = name.replace("_", "-").lower()
    known = {language.lower(): language for language in LANGUAGES} | {"zh": "zh-CN"}
    if spelt not in known:
        raise InputError(f"unknown language '{name}'{nearest(_OF_COUNTRY.get(spelt, name), LANGUAGES)}")
    return known[spelt]


def say(said: Words, language: str = "en") -> str:
    """``said`` in ``language``; a plain str is foreign and stays as it is."""
    if isinstance(said, str):
        return said
    values = {
        name: say(value if isinstance(value, Text | str) else cell(value), language)
        for name, value in said.values.items()
    }
    return texts(language)[said.key].format(**values)


def named(section: str, name: str) -> Words:
    """The card's word for a name out of the log or for a unit; a name that the card does not know stays as it is."""
    return text(f"{section}.{name}") if f"{section}.{name}" in texts("en") else name


def rendered(value: T, language: str = "en") -> T:
    """A copy of a struct, list or dict with every ``Text`` in it said in ``language``."""
    return _rendered(value, language)  # type: ignore[no-any-return]


def _rendered(value: Any, language: str) -> Any:
    if isinstance(value, Text):
        return say(value, language)
    if isinstance(value, msgspec.Struct):
        changed = {name: _rendered(getattr(value, name), language) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **changed)
    if isinstance(value, list):
        return [_rendered(item, language) for item in value]
    if isinstance(value, dict):
        return {key: _rendered(item, language) for key, item in value.items()}
    return value


def _flatten(table: dict[str, Any], prefix: str, flat: dict[str, str]) -> None:
    for key, value in table.items():
        if isinstance(value, dict):
            _flatten(value, f"{prefix}{key}.", flat)
        else:
            implied = next((section for section in _IMPLIED if prefix.startswith(section)), "")
            flat[f"{prefix}{key}".removeprefix(implied)] = value
