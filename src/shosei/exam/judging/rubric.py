"""A rubric: by what a judge lets an answer pass, in a small file of TOML or Markdown that names its version."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from pydantic import Field, field_validator

from shosei.config import Config, read_toml, validate
from shosei.errors import InputError, nearest
from shosei.metrics.grading.verdict import POINTS
from shosei.text_files import read_text

_SHIPPED = Path(__file__).with_name("rubrics")
ANY_LANGUAGE = ""


class Rubric(Config):
    """Criteria by language, and whether a judge says pass or fail (``least`` is None) or gives points."""

    name: str = Field(min_length=1, description="What the rubric is called.")
    version: str = Field("", description="Raised with every change.")
    criteria: dict[str, str] = Field(description="When an answer passes: one text, or one for each of zh, ja and en.")
    least: int | None = Field(None, description="The judge gives 1 to 5 points; an answer with so many passes.")

    @field_validator("criteria", mode="before")
    @classmethod
    def _by_language(cls, criteria: object) -> object:
        return {ANY_LANGUAGE: criteria} if isinstance(criteria, str) else criteria

    @property
    def hash(self) -> str:
        """SHA-256 of all that it says."""
        return hashlib.sha256(msgspec.json.encode(self.model_dump(), order="sorted")).hexdigest()

    def criteria_in(self, lang: str) -> str:
        """The criteria in a task's language; else in English, else as they are."""
        chosen = next((self.criteria[each] for each in (lang, "en", ANY_LANGUAGE) if each in self.criteria), "")
        return (chosen or next(iter(self.criteria.values()))).strip()


def read_rubric(named: str) -> Rubric:
    """The rubric that comes along under this name, or that of a file. Raises InputError, which says what is wrong.

    A Markdown file is the criteria themselves; its name is the rubric's.
    """
    shipped = {path.stem: path for path in _SHIPPED.glob("*.toml")}
    path = shipped.get(named, Path(named))
    if not path.is_file():
        raise InputError(
            f"--rubric {named}: no such file{nearest(named, shipped)}; {', '.join(sorted(shipped))} come along"
        )
    values = read_toml(path) if path.suffix == ".toml" else {"name": path.stem, "criteria": read_text(path)}
    rubric = validate(Rubric, values, str(path))
    _check(rubric, path)
    return rubric


def _check(rubric: Rubric, path: Path) -> None:
    languages = {*rubric.criteria} - {ANY_LANGUAGE, "zh", "ja", "en"}
    if languages:
        raise InputError(f"{path}: criteria are in zh, ja or en, not in '{min(languages)}'")
    if not rubric.criteria or not all(criteria.strip() for criteria in rubric.criteria.values()):
        raise InputError(f"{path} has no criteria: say when an answer passes")
    if rubric.least is not None and rubric.least not in POINTS:
        raise InputError(f"{path}: least = {rubric.least}: name from how many of 1 to 5 points an answer passes")
