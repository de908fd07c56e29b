"""A target: what is to become better, by how much at least, and which settings may change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shosei.config import Config, read_toml, table, toml_value, validate
from shosei.errors import InputError, nearest
from shosei.metrics.cells import cells
from shosei.metrics.metric import METRIC_IDS, Phase
from shosei.metrics.service_level import ServiceLevel
from shosei.tune.setting import Space, default_of, read_space

Kind = Literal["serve", "train", "agent"]
KINDS: tuple[Kind, ...] = ("serve", "train", "agent")

_FOLDER = Path(__file__).with_name("targets")
_IDS = [id for ids in METRIC_IDS.values() for id in ids]
_SHARES = ("", "per start")  # units of what is a share: its gains are differences


class Objective(Config):
    """Table ``[objective]``: what is to become better."""

    figure: str = Field(description="METRIC or METRIC.FIGURE, as profiles name them: inference_speed.goodput.")
    phase: Phase = Field(default="inference", description="training or inference.")
    direction: Literal["higher", "lower"] | None = Field(
        default=None, description="What is better; as for the metric, unless it is said."
    )
    relative: bool | None = Field(
        default=None, description="Whether gains are ratios, as of speeds and times; of shares they are differences."
    )
    gain: float = Field(default=0.05, gt=0, description="The smallest gain worth having.")
    second: str = Field(default="", description="A second figure, for the trade-off that is shown beside it.")

    @property
    def is_higher(self) -> bool:
        """Whether more of it is better."""
        return (self.direction or _of_metric(self.figure, self.phase)[0]) == "higher"

    @property
    def is_relative(self) -> bool:
        """Whether gains are ratios less 1."""
        return _of_metric(self.figure, self.phase)[1] if self.relative is None else self.relative


class Target(Config):
    """A target's file. ``settings`` is its table ``[serve]``, ``[train]`` or ``[agent]``, which the subject reads."""

    name: str
    kind: Kind
    description: str = ""
    objective: Objective
    space: Space
    settings: dict[str, Any]
    folder: Path  # where its file lies: paths in it are relative to that

    @property
    def hash(self) -> str:
        """SHA-256 of all that it says, but for where it lies."""
        said = self.model_dump(mode="json", exclude={"folder"})
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def shipped(kind: Kind | None = None) -> list[str]:
    """Names of the targets that come with Shosei; of one kind, if any is given."""
    names = sorted(file.stem for file in _FOLDER.glob("*.toml"))
    return [name for name in names if kind is None or kind in read_toml(_FOLDER / f"{name}.toml")]


def read_target(name_or_file: str, kind: Kind, overrides: Iterable[str] = ()) -> Target:
    """The shipped target of that name, or the one in a file: a path, or a name that ends in ``.toml``.

    ``overrides``, such as ``serve.model=runs/mine`` or ``space.slots.high=32``, have the last word. Paths are from
    where the file lies, and of a shipped target from here.

    Raises InputError that names the file, the first wrong key and the nearest known one.
    """
    is_file = "/" in name_or_file or name_or_file.endswith(".toml")
    if not is_file and name_or_file not in shipped(kind):
        raise InputError(
            f"no target '{name_or_file}' of 'shosei tune {kind}' comes with shosei, and a file needs a path, such as "
            f"./mine.toml{nearest(name_or_file, shipped(kind))}"
        )
    file = Path(name_or_file) if is_file else _FOLDER / f"{name_or_file}.toml"
    tables = read_toml(file)
    try:
        for override in overrides:
            _set(tables, override)
        return _target(tables, kind, file, file.parent if is_file else Path())
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _target(tables: dict[str, Any], kind: Kind, file: Path, folder: Path) -> Target:
    other = next((each for each in KINDS if each in tables and each != kind), None)
    if other and kind not in tables:
        raise InputError(f"it is a target of 'shosei tune {other}', as its table [{other}] says")
    objective = validate(Objective, table(tables.pop("objective", {}), "objective"), "objective")
    for figure in (objective.figure, objective.second):
        if figure and (id := figure.partition(".")[0]) not in _IDS:
            raise InputError(f"objective: no metric '{id}'{nearest(id, _IDS)}")
    space = read_space(table(tables.pop("space", {}), "space"), folder)
    if kind == "agent":  # its candidates are then what the log says, whatever becomes of the files
        space = {name: setting.as_text() for name, setting in space.items()}
    if not space:
        raise InputError("space: name a setting that may change, as a table [space.NAME]")
    settings = table(tables.pop(kind, {}), kind)
    fields = {"name": file.stem, "kind": kind, "objective": objective, "space": space, "settings": settings}
    return validate(Target, tables | fields | {"folder": folder}, "target")


def _set(tables: dict[str, Any], override: str) -> None:
    """Put ``section.key=value`` into ``tables``; the key may lead into tables below."""
    path, equals, value = override.partition("=")
    *above, name = path.strip().split(".")
    if not equals or not above:
        raise InputError(f"--set {override}: write it as section.key=value, for example --set serve.model=runs/mine")
    for key in above:
        tables = table(tables.setdefault(key, {}), path)
    tables[name] = toml_value(value.strip())


def _of_metric(figure: str, phase: Phase) -> tuple[str, bool]:
    """The direction of a figure's metric, and whether its differences are ratios."""
    id = figure.partition(".")[0]
    cell = next(cell for cell in cells(ServiceLevel()) if (cell.id, cell.phase) == (id, phase))
    return cell.direction, cell.unit not in _SHARES


__all__ = ["KINDS", "Kind", "Objective", "Target", "default_of", "read_target", "shipped"]
