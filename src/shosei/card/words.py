"""Every text of the card, from one file a language, and how texts stand in a terminal, in Markdown and in JSON.

The files are ``texts/en.toml``, ``texts/zh-CN.toml`` and ``texts/ja.toml``.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import msgspec
from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text as Styled

from shosei.card.judge import Compliance
from shosei.errors import InputError, nearest
from shosei.metrics.metric import Text, Words, text
from shosei.quantity import Shown, number, rounded, three_digits
from shosei.text_files import printable

LANGUAGES = {"en": "English", "zh-CN": "简体中文", "ja": "日本語"}

# Told apart by shape, so that colour is never needed.
COMPLIANCE_MARKS: dict[Compliance, str] = {
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
_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff"
_BEGIN_NO_LINE = "、。，．：；！？）」』】〉》〕］｝％・ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"
_END_NO_LINE = "（「『【〈《〔［｛"
_PIECE = re.compile(rf"\s*[{_END_NO_LINE}]*(?:[{_WIDE}]|[^\s{_WIDE}]+)[{_BEGIN_NO_LINE}]*\s*")


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
    spellings = {language.lower(): language for language in LANGUAGES} | {"zh": "zh-CN"}
    if spelt not in spellings:
        raise InputError(f"unknown language '{name}'{nearest(_OF_COUNTRY.get(spelt, name), LANGUAGES)}")
    return spellings[spelt]


def as_words(value: object) -> Words:
    """A value of a table, or a fact of the manifest. None is a dash: not known."""
    if isinstance(value, Text):
        return value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, bool):
        return text("yes") if value else text("no")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if 0 < abs(value) < 1e-4:
            return f"{value:.3g}"
        return number(value, 0 if value.is_integer() else three_digits(abs(value)))
    if isinstance(value, list):
        return ", ".join(map(str, value)) or text("none")
    return str(value)


def translated(words: Words, language: str = "en") -> str:
    """``words`` in ``language``; a plain str is foreign and stays as it is."""
    if isinstance(words, str):
        return words
    values = {name: _said(value, language) for name, value in words.values.items()}
    return texts(language)[words.key].format(**values)


def _said(value: object, language: str) -> str:
    """A value that stands in a text; names are set one after the other as the language does."""
    if isinstance(value, list) and value:
        return texts(language)["compare.comma"].join(map(str, value))
    return translated(as_words(value), language)


def named(section: str, name: str) -> Words:
    """The card's word for a name out of the log or for a unit; a name that the card does not know stays as it is."""
    return text(f"{section}.{name}") if f"{section}.{name}" in texts("en") else name


@dataclass(frozen=True, slots=True)
class Translator:
    """The card's words in one language."""

    language: str

    def term(self, key: str) -> str:
        """The card's own text of ``key``."""
        return translated(text(key), self.language)

    def of(self, value: object) -> str:
        """A text, or a value of a table. No foreign name in it can steer a terminal."""
        return "\n".join(map(printable, translated(as_words(value), self.language).split("\n")))

    def number(self, number: Shown) -> str:
        """With its unit; empty where there is none."""
        return f"{number.value} {self.of(named('unit', number.unit))}".strip()


def rendered(value: T) -> T:
    """A copy of a struct, list or dict with every ``Text`` in it said in English."""
    return _rendered(value)  # type: ignore[no-any-return]


def to_json(value: msgspec.Struct, **more: object) -> str:
    """``value`` and ``more`` in English; equal ones give equal bytes: keys sorted, 12 significant digits.

    A number that is not finite is null.
    """
    plain = _plain(msgspec.to_builtins(rendered(value)) | more)
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False) + "\n"


def markdown_table(columns: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table. Its cells are escaped already."""
    return [f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *rows]]


def escaped(words: str) -> str:
    """Foreign text as it can stand anywhere in Markdown: on one line, and nothing but text."""
    return re.sub(r"([\\`*<>\[\]|])", r"\\\1", " ".join(words.split()))


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A text in a terminal, in as many lines as it needs.

    Chinese and Japanese break between their characters; rich itself would move all that has no space in it to a line
    of its own.
    """

    text: Styled

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.text.split(allow_blank=True):
            for part in line.divide(breaks(line.plain, options.max_width)):
                part.rstrip()
                yield part


def breaks(line: str, width: int) -> list[int]:
    """Where to break ``line`` so that no part is wider than ``width`` cells, of which a wide character takes two."""
    offsets: list[int] = []
    used = 0
    for piece in _PIECE.finditer(line):
        start, words = piece.start(), piece[0].rstrip()
        if used and used + cell_len(words) > width:
            offsets.append(start)
            used = 0
        *full, _ = parts = chop_cells(words, width)
        for part in full:
            start += len(part)
            offsets.append(start)
            used = 0
        used += cell_len(parts[-1]) + len(piece[0]) - len(words)
    return offsets


def _rendered(value: Any) -> Any:
    """A copy of a struct, list or dict with every ``Text`` in it said in English."""
    if isinstance(value, Text):
        return translated(value)
    if isinstance(value, msgspec.Struct):
        changed = {name: _rendered(getattr(value, name)) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **changed)
    if isinstance(value, dict):
        return {key: _rendered(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rendered(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return rounded(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _flatten(table: dict[str, Any], prefix: str, flat: dict[str, str]) -> None:
    for key, value in table.items():
        if isinstance(value, dict):
            _flatten(value, f"{prefix}{key}.", flat)
        else:
            implied = next((section for section in _IMPLIED if prefix.startswith(section)), "")
            flat[f"{prefix}{key}".removeprefix(implied)] = value
