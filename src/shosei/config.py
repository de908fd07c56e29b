"""TOML and ``--set`` into documented pydantic models; an unknown key is an error that names the nearest known one."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from shosei.errors import InputError, nearest
from shosei.files import locked, write_atomic
from shosei.wrong_path import unreadable

# A run.toml may hold all of them.
SECTIONS = ("data", "text", "tokenizer", "train", "serve", "load", "exam", "gateway", "agents", "judge")


class Config(BaseModel):
    """Base of every configuration section. Fields carry a description; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


C = TypeVar("C", bound=Config)


def load(
    kind: type[C],
    section: str,
    file: Path | None = None,
    overrides: Iterable[str] = (),
    defaults: Mapping[str, Any] | None = None,
) -> C:
    """Build ``kind`` from ``defaults``, table ``[section]`` of a TOML file and overrides such as ``train.lr=3e-4``.

    The last wins.

    Raises InputError: unreadable file, unknown section or key, value of the wrong type, malformed override.
    """
    values = dict(defaults or {})
    if file is not None:
        values |= _sections(file).get(section, {})
    for override in overrides:
        key, equals, text = override.partition("=")
        table, dot, name = key.strip().partition(".")
        if not equals or not dot:
            raise InputError(f"--set {override}: write it as section.key=value, for example --set {section}.seed=1")
        if table != section:
            raise InputError(f"--set {override}: this command reads section '{section}', not '{table}'")
        values[name] = toml_value(text.strip())
    return validate(kind, values, section)


def validate(kind: type[C], values: dict[str, Any], section: str) -> C:
    """Build ``kind`` from plain values; raise InputError with one line that names the first wrong key."""
    fields = {field.alias or name: field for name, field in kind.model_fields.items()}
    for key in values:
        if key not in fields:
            raise InputError(f"unknown key '{section}.{key}'{nearest(key, fields)}")
        if isinstance(values[key], bool) and fields[key].annotation is int:  # which pydantic takes for 0 or 1
            raise InputError(f"{section}.{key}: Input should be a whole number (got {str(values[key]).lower()})")
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            field = fields.get(key)
            raise InputError(f"{section}.{key} is missing" + (f": {field.description}" if field else "")) from None
        raise InputError(f"{section}.{key}: {first['msg']} (got {first['input']!r})") from None


def table(value: Any, where: str) -> dict[str, Any]:
    """``value`` as the TOML table that it must be; raise InputError if it is not one."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: write it as a table, such as {where} = {{ }}")
    return value


def read_toml(file: Path) -> dict[str, Any]:
    """Parse a TOML file; raise InputError if it is missing or malformed."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(file, error) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot read {file}: {error}") from None


def _sections(file: Path) -> dict[str, dict[str, Any]]:
    tables = read_toml(file)
    for name, table in tables.items():
        if name not in SECTIONS:
            raise InputError(f"{file}: no verb reads section '{name}'{nearest(name, SECTIONS)}")
        if not isinstance(table, dict):
            raise InputError(f"{file}: '{name}' is a section: write its fields below a line [{name}]")
    return tables


def save(run_toml: Path, section: str, config: Config) -> None:
    """Write the resolved ``config`` as table ``[section]`` of the run's ``run.toml``, other tables untouched."""
    run_toml.parent.mkdir(parents=True, exist_ok=True)
    with locked(run_toml.with_name(".lock")):
        tables = read_toml(run_toml) if run_toml.exists() else {}
        values = config.model_dump(mode="json", exclude_none=True)
        tables[section] = {key: _toml_form(value) for key, value in values.items()}
        write_atomic(run_toml, tomli_w.dumps(tables))


def _toml_form(value: Any) -> Any:
    """``value``, or its JSON where it is a table with a null in it, which TOML does not have."""
    try:
        tomli_w.dumps({"v": value})
    except TypeError:
        return json.dumps(value, ensure_ascii=False)
    return value


def toml_value(text: str) -> Any:
    """``text`` as a TOML value or, where it is none, as it is."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text
