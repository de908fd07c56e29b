"""The phrasings of ``phrasings.toml``, by family, language and direction."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources


@cache
def phrasings() -> dict[str, dict[str, dict[str, list[str]]]]:
    """family -> language -> direction -> phrasings with slots in braces."""
    return tomllib.loads(resources.files(__package__).joinpath("phrasings.toml").read_text("utf-8"))
