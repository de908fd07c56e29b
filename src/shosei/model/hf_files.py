"""The files of a Hugging Face folder: its JSON, and which of them hold weights. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shosei import folder_files
from shosei.errors import InputError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object of a model folder. Raises InputError that names the missing or malformed file."""
    value = folder_files.read_json(folder, name)
    if value is None:
        raise InputError(f"{folder} is not a complete model folder: {name} is missing")
    return value


def number(value: Any, key: str) -> float:
    """The number that ``key`` of a config has. Raises ValueError for anything else, such as a text or true."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} = {value!r:.40} is not a number")
    return float(value)


def flag(config: dict[str, Any], file: Path, *keys: str) -> bool:
    """What the first of ``keys`` that ``config`` has says, false where it has none.

    Raises InputError for what is neither true nor false: a text such as "false" would count as true.
    """
    key = next((key for key in keys if key in config), keys[0])
    value = config.get(key)
    if value not in (None, False, True):
        raise InputError(f"{file}: {key} = {value!r:.40} is neither true nor false")
    return bool(value)


def write_json(file: Path, value: dict[str, Any]) -> None:
    """Write a JSON object of a model folder, for people to read too."""
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of ``folder``, in order. Raises InputError: none, pickled weights, a missing shard."""
    if folder_files.is_there(folder, INDEX):
        weight_map = read_json(folder, INDEX).get("weight_map")
        if not isinstance(weight_map, dict):
            raise InputError(f"{folder / INDEX} has no weight_map; copy the model again")
        names, because = sorted({str(name) for name in weight_map.values()}), f", which {INDEX} names"
    else:
        names, because = [WEIGHTS], ""
    for name in names:
        if folder_files.is_there(folder, name):
            continue
        if pickled := sorted(folder.glob("pytorch_model*.bin")):
            raise InputError(
                f"{pickled[0]} is pickled: to read it could run any program; take the model's safetensors instead"
            )
        raise InputError(f"{folder} is not a complete model folder: {name} is missing{because}")
    return [folder / name for name in names]


@contextmanager
def opened(file: Path, framework: str = "np") -> Iterator[Any]:
    """A safetensors file for the length of the block. Raises InputError for one that is not whole."""
    from safetensors import SafetensorError, safe_open  # an installation without it can still list a model's files

    try:
        with safe_open(file, framework) as tensors:
            yield tensors
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} is truncated or damaged ({error}); copy or export the model again") from None
