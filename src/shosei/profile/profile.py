"""A profile: which metrics matter for a use, what they must keep, and under which load they are measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shosei.config import Config, read_toml, table, validate
from shosei.errors import InputError, nearest
from shosei.load.config import LoadConfig
from shosei.metrics.metric import METRIC_IDS, Phase
from shosei.metrics.prices import Price, Prices
from shosei.metrics.service_level import ServiceLevel

_FOLDER = Path(__file__).with_name("profiles")
_IDS = [id for ids in METRIC_IDS.values() for id in ids]


class Requirement(Config):
    """What one metric, or one of its figures, must keep. Limits are in the metric's own unit."""

    required: bool = Field(
        default=True, description="Whether it must be shown to be kept; if not, only a proven breach of a limit counts."
    )
    min: float | None = Field(default=None, description="Lowest acceptable value.")
    max: float | None = Field(default=None, description="Highest acceptable value.")
    margin: float | None = Field(
        default=None,
        gt=0,
        description="Differences within it are equivalent: relative for speeds, times and sizes, absolute for shares.",
    )
    min_n: int = Field(default=30, ge=1, description="Independent units that the value must rest on.")

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit."""
        return self.min is not None or self.max is not None


class Profile(Config):
    """Metrics chosen for a use. Keys of ``training`` and ``inference``: ``METRIC`` or ``METRIC.FIGURE``."""

    name: str = Field(description="Short name, such as chatbot.")
    description: str = Field(default="", description="Whom it is for, in a sentence.")
    load: LoadConfig = Field(
        default=LoadConfig.model_validate({}),
        description="Settings of 'shosei load' under which it is measured; others do not matter.",
    )
    service_level: ServiceLevel = Field(
        default=ServiceLevel(), description="What one request must keep to count as goodput."
    )
    prices: Prices | None = Field(default=None, description="What tokens cost; without it, no cost is shown.")
    training: dict[str, Requirement] = Field(default={}, description="What training must keep.")
    inference: dict[str, Requirement] = Field(default={}, description="What inference must keep.")

    def requirements(self, phase: Phase) -> dict[str, Requirement]:
        """The requirements of one phase."""
        return self.training if phase == "training" else self.inference

    def load_settings(self) -> dict[str, Any]:
        """The settings of ``load`` that the profile names, as plain values."""
        return self.load.model_dump(mode="json", exclude_unset=True)


def shipped() -> list[str]:
    """Names of the profiles that come with Shosei."""
    return sorted(file.stem for file in _FOLDER.glob("*.toml"))


def read_profile(name_or_file: str) -> Profile:
    """The shipped profile of that name, or the one in a file: a path, or a name that ends in ``.toml``.

    Raises InputError that names the file, the first wrong key and the nearest known one.
    """
    if "/" in name_or_file or name_or_file.endswith(".toml"):
        return _parsed(Path(name_or_file))
    if name_or_file not in shipped():
        raise InputError(
            f"no profile '{name_or_file}' comes with shosei, and a file needs a path, such as ./mine.toml"
            f"{nearest(name_or_file, shipped())}"
        )
    return _parsed(_FOLDER / f"{name_or_file}.toml")


def _parsed(file: Path) -> Profile:
    tables = read_toml(file)
    try:
        for section, kind in (("load", LoadConfig), ("service_level", ServiceLevel)):
            if section in tables:
                tables[section] = validate(kind, table(tables[section], section), section)
        if "prices" in tables:
            tables["prices"] = _prices(table(tables["prices"], "prices"))
        for phase in ("training", "inference"):
            tables[phase] = dict(_requirements(table(tables.get(phase, {}), phase), phase))
        return validate(Profile, tables, "profile")
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _prices(fields: dict[str, Any]) -> Prices:
    """``[prices]``: the default's amounts stand in it, and those of models below ``[prices.models.NAME]``."""
    amounts = [field.alias for field in Price.model_fields.values() if field.alias in fields]
    default = {name: fields.pop(name) for name in amounts if name}
    models = table(fields.pop("models", {}), "prices.models")
    if default:
        fields["default"] = validate(Price, default, "prices")
    fields["models"] = {
        name: validate(Price, table(price, f"prices.models.{name}"), f"prices.models.{name}")
        for name, price in models.items()
    }
    if not (default or models):
        raise InputError("prices: give 'in' and 'out', or models with prices below [prices.models.NAME]")
    return validate(Prices, fields, "prices")


def _requirements(metrics: dict[str, Any], phase: str) -> Iterator[tuple[str, Requirement]]:
    """``METRIC`` or ``METRIC.FIGURE`` to its requirement; in TOML a figure's table stands within its metric's."""
    for key, value in metrics.items():
        if (id := key.partition(".")[0]) not in _IDS:
            raise InputError(f"unknown metric '{phase}.{id}'{nearest(id, _IDS)}")
        fields = table(value, f"{phase}.{key}")
        figures = {name: item for name, item in fields.items() if isinstance(item, dict)}
        limits = {name: item for name, item in fields.items() if name not in figures}
        if limits or not figures:
            yield key, _requirement(limits, f"{phase}.{key}")
        for name, item in figures.items():
            yield f"{key}.{name}", _requirement(item, f"{phase}.{key}.{name}")


def _requirement(fields: dict[str, Any], where: str) -> Requirement:
    requirement = validate(Requirement, fields, where)
    if requirement.min is not None and requirement.max is not None and requirement.min > requirement.max:
        raise InputError(f"{where}: min {requirement.min:g} is above max {requirement.max:g}: nothing can keep both")
    return requirement
