"""A model's shape as a file: TOML with one table ``[model]``, its keys ModelSpec's fields."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import msgspec
import tomli_w

from shosei.config import read_toml
from shosei.errors import InputError, nearest
from shosei.files import write_atomic
from shosei.spec.model import ModelSpec

_FIELDS = [field.name for field in fields(ModelSpec)]


def read_shape(file: Path) -> ModelSpec:
    """The shape in ``file``; a model without a name takes the file's.

    Raises InputError that names the file and the first wrong key: unreadable, missing, unknown, of the wrong type, or
    a number that no model can have.
    """
    tables = read_toml(file)
    if tables.keys() != {"model"} or not isinstance(tables["model"], dict):
        raise InputError(f"{file} is not a model's shape: it must hold one table, [model]")
    values = {"name": file.stem} | tables["model"]
    for key in values:
        if key not in _FIELDS:
            raise InputError(f"{file}: unknown key 'model.{key}'{nearest(key, _FIELDS)}")
    try:
        spec = msgspec.convert(values, ModelSpec)
    except msgspec.ValidationError as error:
        raise InputError(f"{file}, table [model]: {str(error).replace('$.', '')}") from None
    if wrong := _impossible(spec):
        raise InputError(f"{file}: {wrong}")
    return spec


def write_shape(spec: ModelSpec, file: Path) -> None:
    """Write ``spec`` so that ``read_shape`` gives it back."""
    values = {key: value for key, value in asdict(spec).items() if value is not None}
    write_atomic(file, tomli_w.dumps({"model": values}))


def _impossible(spec: ModelSpec) -> str:
    """What is wrong with the numbers of a shape, or nothing."""
    for key, value in asdict(spec).items():
        if isinstance(value, int | float) and not isinstance(value, bool) and not 0 < value < float("inf"):
            return f"model.{key} = {value}: it must be above 0"
    if spec.n_heads % spec.n_kv_heads:
        return f"model.n_heads = {spec.n_heads}: it must be a multiple of n_kv_heads = {spec.n_kv_heads}"
    if spec.head_dim % 2:
        return f"model.head_dim = {spec.head_dim}: it must be even, as RoPE turns pairs of values"
    return ""
