"""A verb's options are its configuration's fields: one name, type, limit, default and description for file and flag."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_origin, get_type_hints

import typer
from typer.core import TyperCommand
from typer.main import get_command

from shosei.cli.common import ConfigOption, SetOption

if TYPE_CHECKING:
    from shosei.config import C

# The flags that are not called as their field is.
_FLAGS = {"delay_s": "delay", "key_variable": "upstream-key-env", "packages": "package", "stall_s": "stall-timeout"}
_LIMITS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class Given:
    """What a command line says about a configuration: the object of its verb's context."""

    section: str
    flags: dict[str, Any]
    file: Path | None = None
    overrides: Sequence[str] = ()

    def load(self, kind: type[C], defaults: Mapping[str, Any] | None = None, **implied: str) -> C:
        """The settings: the file's table, then what the flags imply, then flags, then ``--set``. The last wins."""
        from shosei.config import load

        return load(kind, self.section, self.file, self._settings(implied | self.flags), defaults)

    def words(self) -> list[str]:
        """The same, for another process that runs the verb."""
        file = ["--config", str(self.file)] if self.file else []
        return [*file, *(word for setting in self._settings(self.flags) for word in ("--set", setting))]

    def _settings(self, flags: Mapping[str, Any]) -> Iterable[str]:
        for key, value in flags.items():
            yield f"{self.section}.{key}={json.dumps(value, ensure_ascii=False, default=str)}"
        yield from self.overrides


class Verb(TyperCommand):
    """A verb that does not swallow a word: an option that takes one value is given once."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given: list[Any] = self.make_parser(ctx).parse_args(args=list(args))[2]
        for option, count in Counter(given).items():
            if count > 1 and option.param_type_name == "option" and not (option.multiple or option.is_flag):
                ctx.fail(f"{option.opts[0]} is given {count} times, and takes one value")
        return super().parse_args(ctx, args)


class _Configured(Verb):
    """A verb with an option for each field of ``config``, which is imported when the verb is run or explained."""

    section: ClassVar[str]
    config: ClassVar[str]  # module:class

    @cached_property
    def _options(self) -> list[Any]:
        module, _, name = self.config.partition(":")
        kind = getattr(import_module(module), name)
        types = get_type_hints(kind)  # without limits: those are checked where the file's values are, too
        options = {
            key: _option(key, types[key], field) for key, field in kind.model_json_schema()["properties"].items()
        }

        def fields() -> None:
            """Typer makes options of a function's parameters; this one's are the fields."""

        fields.__dict__["__signature__"] = inspect.Signature(
            [
                inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
                for key, option in ({"config": ConfigOption, "overrides": SetOption} | options).items()
            ]
        )
        app = typer.Typer(add_completion=False)
        app.command()(fields)
        return get_command(app).params

    def get_params(self, ctx: Any) -> list[Any]:
        *stated, help_option = super().get_params(ctx)
        return [*stated, *self._options, help_option]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move what is said of the configuration from the verb's parameters to its context."""
        rest = super().parse_args(ctx, args)
        values = {option.name: ctx.params.pop(option.name) for option in self._options}
        file, overrides = values.pop("config"), values.pop("overrides")
        ctx.obj = Given(self.section, {k: v for k, v in values.items() if v not in (None, ())}, file, overrides)
        return rest


def options_of(section: str, config: str) -> type[TyperCommand]:
    """The class of a verb that reads ``section`` into ``config``, a class written as module:class."""
    return type(section, (_Configured,), {"section": section, "config": config})


def flag_of(key: str) -> str:
    """The flag of a field."""
    return f"--{_FLAGS.get(key, key.replace('_', '-'))}"


def _option(key: str, kind: Any, field: Mapping[str, Any]) -> Any:
    """The option of one field, which ``field`` describes as JSON schema does. Its default is told as TOML has it."""
    kind = str if get_origin(kind) is dict else kind  # written as JSON, which its configuration reads
    flag = flag_of(key)
    names = f"{flag}/--no-{flag.removeprefix('--')}" if kind is bool else flag
    parts = [field, *field.get("anyOf", ()), *field.get("prefixItems", ())[:1]]
    facts = [f"default: {'none' if field['default'] is None else json.dumps(field['default'])}"]
    facts += [f"x{sign}{part[limit]}" for part in parts for limit, sign in _LIMITS.items() if limit in part]
    facts += ["repeatable"] if "items" in field else []
    help = f"{field['description']}  [{'; '.join(facts)}]"
    return Annotated[kind | None, typer.Option(names, help=help, show_default=False)]
