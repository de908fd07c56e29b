"""A verb's options are its configuration's fields: one name, type, limit, default and description for file and flag."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

import typer
from typer.core import TyperCommand
from typer.main import get_command

from shosei.cli.common import ConfigOption, SetOption

if TYPE_CHECKING:
    from shosei.config import Config

C = TypeVar("C", bound="Config")

# The flags that are not called as their field is.
_FLAGS = {"delay_s": "delay", "key_variable": "upstream-key-env", "stall_s": "stall-timeout"}

_TYPES = {"boolean": bool, "integer": int, "number": float, "string": str, "path": Path}
_LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class Given:
    """What a command line says of a configuration. Flags stand above the file's table, and ``--set`` above both."""

    section: str
    flags: dict[str, Any]
    file: Path | None
    overrides: list[str]
    defaults: Mapping[str, Any]

    @classmethod
    def of(cls, context: typer.Context) -> Given:
        """That of the verb that is run in ``context``."""
        assert isinstance(context.obj, cls)
        return context.obj

    def load(self, kind: type[C], defaults: Mapping[str, Any] | None = None, **implied: Any) -> C:
        """The settings; ``implied`` are what the flags that are there mean for those that are not."""
        from shosei.config import load

        return load(kind, self.section, self.file, self._settings(implied), {**self.defaults, **(defaults or {})})

    def words(self) -> list[str]:
        """The same, for another process that runs the verb."""
        file = ["--config", str(self.file)] if self.file else []
        return [*file, *(word for setting in self._settings({}) for word in ("--set", setting))]

    def _settings(self, implied: dict[str, Any]) -> list[str]:
        flags = (implied | self.flags).items()
        as_toml = {key: json.dumps(value, ensure_ascii=False, default=str) for key, value in flags}
        return [*(f"{self.section}.{key}={value}" for key, value in as_toml.items()), *self.overrides]


class _Configured(TyperCommand):
    """A verb with an option for each field of ``config``, which is imported when the verb is run or explained."""

    section: ClassVar[str]
    config: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]]

    @cached_property
    def _options(self) -> list[Any]:
        module, _, name = self.config.partition(":")
        fields = getattr(import_module(module), name).model_json_schema()["properties"]
        annotations = {
            key: _option(key, field | ({"default": self.defaults[key]} if key in self.defaults else {}))
            for key, field in fields.items()
        }

        def of_fields() -> None:
            """Typer makes options of a function's parameters: this one's are the fields."""

        of_fields.__dict__["__signature__"] = inspect.Signature([
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
            for key, annotation in ({"config": ConfigOption, "overrides": SetOption} | annotations).items()
        ])  # fmt: skip
        app = typer.Typer(add_completion=False)
        app.command()(of_fields)
        return get_command(app).params

    def get_params(self, ctx: Any) -> list[Any]:
        *own, help_option = super().get_params(ctx)
        return [*own, *self._options, help_option]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take what was given of the configuration out of the parameters: the verb finds it in its context."""
        rest = super().parse_args(ctx, args)
        values = {option.name: ctx.params.pop(option.name) for option in self._options}
        file, overrides = values.pop("config"), list(values.pop("overrides"))
        flags = {key: value for key, value in values.items() if value not in (None, ())}
        ctx.obj = Given(self.section, flags, file, overrides, self.defaults)
        return rest


def options_of(section: str, config: str, **defaults: Any) -> type[TyperCommand]:
    """The class of a verb that reads ``section`` into ``config`` (module:class), with ``defaults`` of its own."""
    return type(section, (_Configured,), {"section": section, "config": config, "defaults": defaults})


def _option(key: str, field: Mapping[str, Any]) -> Any:
    """The option of one field, described as JSON schema does."""
    flag = _FLAGS.get(key, key.replace("_", "-"))
    kind = _type(field)
    told = "; ".join([f"default: {_text(field.get('default'))}", *_limits(field)])
    return Annotated[
        kind | None,
        typer.Option(
            f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
            help=f"{field['description']}  [{told}]",
            show_default=False,
        ),
    ]


def _type(field: Mapping[str, Any]) -> Any:
    """The type of a field's values, without its limits: those are checked where the file's values are, too."""
    match field:
        case {"anyOf": [first, *_]}:  # or none
            return _type(first)
        case {"enum": choices}:
            return Literal[tuple(choices)]
        case {"prefixItems": items}:
            return tuple[tuple(map(_type, items))]  # type: ignore[misc]
        case {"items": items}:
            return list[_type(items)]  # type: ignore[misc]
    return _TYPES[field.get("format", field["type"])]


def _limits(field: Mapping[str, Any]) -> list[str]:
    parts = [field, *field.get("anyOf", ()), *field.get("prefixItems", ())[:1]]
    return [f"x{sign}{_text(part[key])}" for part in parts for key, sign in _LIMITS.items() if key in part]


def _text(default: Any) -> str:
    match default:
        case bool():
            return "on" if default else "off"
        case float():
            return f"{default:g}"
        case list() | tuple():
            return " ".join(map(_text, default)) or "none"
    return "none" if default in (None, "") else str(default)
