"""The one door for the files of a model folder that somebody else made: regular, inside the folder, of sane size."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from shosei.errors import InputError

# The largest published tokenizer.json are of some 35 MB.
_MAX_BYTES = 200_000_000


def inside(folder: Path, name: str) -> Path:
    """The path of ``name`` in ``folder``. Raises InputError if it, or what it links to, lies elsewhere.

    A snapshot in a hub's cache, ``…/snapshots/REVISION``, links to the ``blobs`` beside it.
    """
    file, real = folder / name, folder.resolve()
    allowed = [real, real.parent.parent / "blobs"] if real.parent.name == "snapshots" else [real]
    try:
        target = file.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name that is none
        raise InputError(f"{folder}: {name!r} is not the name of a file; copy the model again") from None
    if not any(target.is_relative_to(place) for place in allowed):
        raise InputError(f"{file} leads out of the folder, to {target}; copy the file itself into it")
    return file


def is_there(folder: Path, name: str) -> bool:
    """Whether ``folder`` has a file ``name``. Raises InputError for what is none, such as a pipe, and as ``inside``."""
    file = inside(folder, name)
    try:
        if not file.exists():
            return False
    except OSError:  # a name that is too long
        raise InputError(f"{folder}: {name[:40]!r} is not the name of a file; copy the model again") from None
    if not file.is_file():
        raise InputError(f"{file} is not a regular file; copy the model again")
    return True


def read_bytes(folder: Path, name: str) -> bytes | None:
    """What is in the file ``name``; None if it is absent. Raises InputError: unreadable, too large."""
    if not is_there(folder, name):
        return None
    file = folder / name
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InputError(f"{file} has more than {_MAX_BYTES:,} bytes, which no model's has; take another copy")
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error}; copy it again") from None


def read_text(folder: Path, name: str) -> str | None:
    """The text of the file ``name``; None if it is absent. Raises InputError as ``read_bytes``, and if it is not
    UTF-8."""
    file, content = folder / name, read_bytes(folder, name)
    try:
        return None if content is None else content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except ValueError as error:
        raise InputError(f"cannot read {file}: {error}; copy it again") from None


def read_json(folder: Path, name: str) -> dict[str, Any] | None:
    """The JSON object in the file ``name``; None if it is absent. Raises InputError as ``read_text``, and for what is
    no object, too deep, or holds a number that is not finite."""
    text = read_text(folder, name)
    if text is None:
        return None
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        raise InputError(f"cannot read {folder / name}: it is nested too deep; copy it again") from None
    except ValueError as error:
        raise InputError(f"cannot read {folder / name}: {error}; copy it again") from None
    if not isinstance(value, dict):
        raise InputError(f"{folder / name} must hold a JSON object")
    return value


def _finite(number: str) -> float:
    if not math.isfinite(float(number)):
        raise ValueError(f"{number} is not a finite number")
    return float(number)
