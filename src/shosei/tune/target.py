"""A target: what is to become better, by how much at least, and which settings may change."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from pydantic import Field

from shosei.config import Config, read_toml, table, toml_value, validate
from shosei.errors import InputError, nearest
from shosei.log import TuneBegin
from shosei.metrics.cells import cells
from shosei.metrics.metric import METRIC_IDS, Phase
from shosei.metrics.service_level import ServiceLevel
from shosei.profile.profile import Profile
from shosei.tune.gain import Scale
from shosei.tune.setting import Space, default_of, read_space
from shosei.wire.extras import Extras

Kind = Literal["serve", "train", "agent"]
KINDS: tuple[Kind, ...] = ("serve", "train", "agent")

_FOLDER = Path(__file__).with_name("targets")
_IDS = [id for ids in METRIC_IDS.values() for id in ids]
_SHARES = ("", "per start")  # units of what is a share: its gains are differences
# Figures have no unit before they are measured. These are shares beside an amount, and amounts beside a share.
_FIGURES_SHARES = ("inference_speed.achieved_over_offered", "training_speed.goodput", "gpu_utilization.mfu")
_FIGURES_AMOUNTS = re.compile(r"(_|\b)per_|_(h|s|steps)$")


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
    def better(self) -> str:
        """higher or lower."""
        return self.direction or self._of_metric()[0]

    @property
    def is_relative(self) -> bool:
        """Whether gains are ratios less 1."""
        if self.relative is not None:
            return self.relative
        is_share, figure = self._of_metric()[1] in _SHARES, self.figure.partition(".")[2]
        return not ((is_share and not _FIGURES_AMOUNTS.search(figure)) or self.figure in _FIGURES_SHARES)

    @property
    def scale(self) -> Scale:
        """That of its gains."""
        return Scale(self.better == "higher", self.is_relative)

    def check(self, unit: str, direction: str) -> None:
        """Raise InputError where the figure, now that it is measured, is none as the target has it."""
        if not self.direction and direction != self.better:
            raise InputError(f"objective.direction: of {self.figure}, {direction} is better: say so")
        if self.relative is None and (unit in _SHARES) == self.is_relative:
            what = "no share: say relative = true" if unit not in _SHARES else "a share: say relative = false"
            raise InputError(f"objective.relative: {self.figure} is {what}")

    def _of_metric(self) -> tuple[str, str]:
        """The direction of the figure's metric, and its unit."""
        key = self.figure.partition(".")[0], self.phase
        return next((cell.direction, cell.unit) for cell in cells(ServiceLevel()) if (cell.id, cell.phase) == key)


class Target(Config):
    """A target's file. ``settings`` is its table ``[serve]``, ``[train]`` or ``[agent]``, which the subject reads."""

    name: str
    kind: Kind
    description: str = ""
    objective: Objective
    space: Space
    settings: dict[str, Any]
    folder: Path  # where its file lies: paths in it are relative to that

    def recordable_words(self, words: Sequence[str]) -> list[str]:
        """A command's words without the values of header fields, which may be secrets."""
        tables = [table for table in self.settings.values() if isinstance(table, dict)]
        header = [line for table in tables for line in table.get("header", [])]
        return validate(Extras, {"header": header}, "header").recordable_words(words)

    def located(self, settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
        """``settings`` with the paths among them, which are of these names, from where its file lies."""
        folder = self.folder.absolute()
        are_paths = {name for name, value in settings.items() if name in names and isinstance(value, str)}
        return {name: str(folder / value) if name in are_paths else value for name, value in settings.items()}


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


def asked(target: Target, profile: Profile | None, budget: str, seed: int) -> TuneBegin:
    """All that is asked of a search, said before its first trial, with its hash: one that goes on is asked the same."""
    objective, phase = target.objective, target.objective.phase
    second = Objective(figure=objective.second or objective.figure, phase=phase)
    begin = TuneBegin(
        subject=target.kind,
        target=target.name,
        target_hash="",
        figure=objective.figure,
        of_phase=phase,
        direction=objective.better,
        relative=objective.is_relative,
        gain=objective.gain,
        budget=budget,
        seed=seed,
        default=default_of(target.space),
        space={name: setting.model_dump(mode="json") for name, setting in target.space.items()},
        profile=profile.name if profile else "",
        limits={
            name: limit.model_dump(include={"min", "max"}, exclude_none=True)
            for name, limit in (profile.requirements(phase) if profile else {}).items()
            if limit.is_limited
        },
        second_figure=objective.second,
        second_direction=second.better if objective.second else "",
        settings=target.settings,
    )
    load = profile.load_settings() if profile else {}
    said = msgspec.json.encode([begin, load], order="deterministic")
    shown = {name: _without_header(value) for name, value in target.settings.items()}
    return msgspec.structs.replace(begin, settings=shown, target_hash=hashlib.sha256(said).hexdigest())


def _without_header(value: Any) -> Any:
    """A table of settings without the header of requests, which may be a secret."""
    return {key: each for key, each in value.items() if key != "header"} if isinstance(value, dict) else value


def _target(tables: dict[str, Any], kind: Kind, file: Path, folder: Path) -> Target:
    other = next((each for each in KINDS if each in tables and each != kind), None)
    if other and kind not in tables:
        raise InputError(f"it is a target of 'shosei tune {other}', as its table [{other}] says")
    known = ("description", "objective", "space", kind)
    if unknown := next((key for key in tables if key not in known), None):
        raise InputError(f"unknown key 'target.{unknown}'{nearest(unknown, known)}")
    objective = validate(Objective, table(tables.pop("objective", {}), "objective"), "objective")
    for figure in (objective.figure, objective.second):
        if figure and (id := figure.partition(".")[0]) not in _IDS:
            raise InputError(f"objective: no metric '{id}'{nearest(id, _IDS)}")
    if objective.gain >= 1 and not (objective.is_relative and objective.better == "higher"):
        raise InputError(
            f"objective.gain: nothing can gain {objective.gain:g} here: 0.05 is five points, or five percent less"
        )
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
