"""A setting that may change, and a candidate: a value for each of them."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from shosei.config import Config, table, validate
from shosei.errors import InputError
from shosei.text_files import read_text

Value = str | int | float | bool
Candidate = dict[str, Value]  # setting -> value

_WHOLE = 1e15  # beyond, a float has no longer every whole number
_OFF = 1e-6  # of a step: what is rounding
_NEAR = 0.2  # of a range: values that are nearer do much the same


class Setting(Config):
    """One line of the space: a table ``[space.NAME]`` of a target."""

    type: Literal["int", "float", "choice", "file", "text"] = Field(
        description="int and float have a range, choice its choices; file: choices that are paths of text files; text: "
        "choices that are texts, such as prompts, of which a model may propose more."
    )
    default: Value = Field(description="What it is where nobody tunes it; what every candidate is held against.")
    low: float = Field(default=0, description="Lowest value of a range.")
    high: float = Field(default=0, description="Highest value of a range.")
    step: float | None = Field(default=None, gt=0, description="Distance of neighbouring values of a range.")
    log: bool = Field(default=False, description="Whether a range is searched by ratios, such as 8, 16, 32.")
    choices: list[Value] = Field(default=[], description="The values of a choice, or the files.")
    answers: bool = Field(
        default=False, description="Whether it may change what a model answers, so that each candidate takes an exam."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.type == "text":
            if not all(isinstance(text, str) for text in (self.default, *self.choices)):
                raise InputError("default and choices of a text are texts, in quotation marks")
            return self
        if self.type in ("choice", "file"):
            if len(self.choices) < 2:
                raise InputError("a choice needs two choices at least, such as choices = ['a', 'b']")
            if len(set(self.choices)) < len(self.choices):
                raise InputError(f"each choice stands once, not so in {self.choices!r}")
            if self.default not in self.choices:
                raise InputError(f"the default {self.default!r} is none of the choices {self.choices!r}")
            return self
        if not self.low < self.high:
            raise InputError("a range needs low and high, the first one below the second")
        if self.log and (self.low <= 0 or self.step):
            raise InputError("a range that is searched by ratios (log = true) begins above 0 and has no step")
        if isinstance(self.default, (str, bool)) or not self.low <= self.default <= self.high:
            raise InputError(f"the default {self.default!r} is not within {self.low:g} and {self.high:g}")
        numbers = (self.low, self.high, self.step or 1, self.default)
        if self.type == "int" and not all(float(each).is_integer() and abs(each) <= _WHOLE for each in numbers):
            raise InputError(f"low, high, step and default of an int are whole numbers, up to {_WHOLE:g}")
        if self.step and abs(self.default - self._stepped(self.default)) > _OFF * self.step:
            raise InputError(
                f"the default {self.default!r} is no whole number of steps ({self.step:g}) above {self.low:g}"
            )
        return self

    def as_text(self) -> Self:
        """Of files, what they hold: texts. Raises InputError for one that is no text."""
        if self.type != "file":
            return self
        texts = {path: read_text(Path(str(path))) for path in self.choices}
        update = {"type": "text", "choices": [*dict.fromkeys(texts.values())], "default": texts[self.default]}
        return self.model_copy(update=update)

    @property
    def is_range(self) -> bool:
        """Whether its values have an order and a distance."""
        return self.type in ("int", "float")

    def place(self, value: Value) -> float:
        """Where ``value`` of a range lies between low (0) and high (1)."""
        assert not isinstance(value, str)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def value_at(self, place: float) -> Value:
        """The value of a range that lies nearest to ``place``, from 0 (low) to 1 (high)."""
        value = self.low * (self.high / self.low) ** place if self.log else self.low + place * (self.high - self.low)
        if self.step:
            value = self._stepped(value)
        rounded = round(value) if self.type == "int" else float(f"{value:.12g}" if self.step else f"{value:.4g}")
        return type(rounded)(min(max(rounded, self.low), self.high))

    def _stepped(self, value: float) -> float:
        """The value of a range with steps that is nearest; the last step may end below ``high``."""
        assert self.step
        last = math.floor((self.high - self.low) / self.step + _OFF)
        return self.low + self.step * min(round((value - self.low) / self.step), last)


Space = dict[str, Setting]


def read_space(tables: dict[str, Any], folder: Path) -> Space:
    """The settings of ``[space]``; files are relative to ``folder``, where the target's file lies.

    Raises InputError that names the setting, also where a file is missing.
    """
    space = {}
    for name, fields in tables.items():
        where = f"space.{name}"
        try:
            space[name] = _resolved(validate(Setting, table(fields, where), where), folder)
        except InputError as error:
            raise InputError(str(error) if where in str(error) else f"{where}: {error}") from None
    return space


def default_of(space: Space) -> Candidate:
    """The candidate in which nothing is changed."""
    return {name: setting.default for name, setting in space.items()}


def has_others(space: Space) -> bool:
    """Whether there is any candidate beside the default."""
    return any(setting.is_range or len(setting.choices) > 1 for setting in space.values())


def candidate_id(candidate: Candidate) -> str:
    """Eight hexadecimal digits that stand for a candidate, the same on every machine."""
    return hashlib.sha256(json.dumps(candidate, sort_keys=True).encode()).hexdigest()[:8]


def are_alike(space: Space, a: Candidate, b: Candidate) -> bool:
    """Whether two candidates have the same choices, and ranges next to each other."""
    return all(
        abs(setting.place(a[name]) - setting.place(b[name])) < _NEAR if setting.is_range else a[name] == b[name]
        for name, setting in space.items()
    )


def _resolved(setting: Setting, folder: Path) -> Setting:
    """Paths of files from where the target's file lies; a text's default is a choice; a range's has its type."""
    if setting.is_range:  # 8.0 of an int is no word that a command takes, and 0 of a float another one than 0.0
        assert not isinstance(setting.default, str)
        number = int(setting.default) if setting.type == "int" else float(setting.default)
        return setting.model_copy(update={"default": number})
    if setting.type == "text":
        return setting.model_copy(update={"choices": [*dict.fromkeys([setting.default, *setting.choices])]})
    if setting.type != "file":
        return setting
    paths = {choice: folder / str(choice) for choice in setting.choices}
    for path in paths.values():
        if not path.is_file():
            raise InputError(f"no file {path}")
    return setting.model_copy(
        update={"choices": [str(path) for path in paths.values()], "default": str(paths[setting.default])}
    )
