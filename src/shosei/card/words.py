"""The card's words in its three languages: definitions.toml and words.toml, flattened to dotted keys."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from shosei.metrics.metric import Status

LANGUAGES = {"en": "English", "zh-CN": "简体中文", "ja": "日本語"}

# Told apart by shape, so that colour is never needed.
MARKS: dict[Status, str] = {"ok": "✓", "insufficient": "△", "invalid": "✗", "not_measured": "○", "na": "–"}


@cache
def words() -> dict[str, dict[str, str]]:
    """Key, such as ``status.ok`` or ``memory.training``, to language to text."""
    flat: dict[str, dict[str, str]] = {}
    for name in ("words.toml", "definitions.toml"):
        _flatten(tomllib.loads(files("shosei.card").joinpath(name).read_text(encoding="utf-8")), "", flat)
    return flat


def english(key: str) -> str:
    """The English text of ``key``."""
    return words()[key]["en"]


def _flatten(table: dict[str, Any], prefix: str, flat: dict[str, dict[str, str]]) -> None:
    if table.keys() == LANGUAGES.keys():
        flat[prefix] = table
        return
    for key, value in table.items():
        _flatten(value, f"{prefix}.{key}" if prefix else key, flat)
