"""Every text of the card, from one file a language: ``texts/en.toml``, ``texts/zh-CN.toml``, ``texts/ja.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import msgspec

from shosei.card.numbers import cell
from shosei.metrics.metric import Status
from shosei.metrics.text import Text, Words

LANGUAGES = {"en": "English", "zh-CN": "简体中文", "ja": "日本語"}

# Told apart by shape, so that colour is never needed.
MARKS: dict[Status, str] = {"ok": "✓", "insufficient": "△", "invalid": "✗", "not_measured": "○", "na": "–"}

T = TypeVar("T")
_IMPLIED = ("page.", "metric.")  # sections whose keys are used without their name


@cache
def texts(language: str) -> dict[str, str]:
    """Dotted key, such as ``status.ok`` or ``memory.training``, to text in ``language``."""
    source = files("shosei.card").joinpath(f"texts/{language}.toml").read_text(encoding="utf-8")
    flat: dict[str, str] = {}
    _flatten(tomllib.loads(source), "", flat)
    return flat


def words() -> dict[str, dict[str, str]]:
    """Key to language to text."""
    return {key: {language: texts(language)[key] for language in LANGUAGES} for key in texts("en")}


def english(key: str) -> str:
    """The English text of ``key``."""
    return texts("en")[key]


def say(said: Words, language: str = "en") -> str:
    """``said`` in ``language``; a plain str is foreign and stays as it is."""
    if isinstance(said, str):
        return said
    values = {
        name: say(value, language) if isinstance(value, Text) else value if isinstance(value, str) else cell(value)
        for name, value in said.values.items()
    }
    return texts(language)[said.key].format(**values)


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
            flat[
                next((f"{prefix}{key}".removeprefix(i) for i in _IMPLIED if prefix.startswith(i)), f"{prefix}{key}")
            ] = value
