"""What ends an answer of a model folder's, and how its makers would have tokens drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shosei.errors import InputError
from shosei.text.folder_files import read_json

GENERATION = "generation_config.json"
# Where a folder may say what ends an answer, and under which key. None of them is complete in all folders.
_ENDS = ((GENERATION, "eos_token_id"), ("tokenizer_config.json", "eos_token"), ("config.json", "eos_token_id"))
# Least and largest value of what a server draws tokens by.
_RANGES = {
    "temperature": (0, 1e3),
    "top_p": (0, 1),
    "top_k": (-1, 1e9),
    "min_p": (0, 1),
    "typical_p": (0, 1),
    "repetition_penalty": (1e-6, 1e3),
}
# What is written anew with a model, or speaks of the library that wrote the file.
_OF_THE_FILE = ("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "_from_model_config")


def end_ids(folder: Path, ids: Mapping[str, int]) -> list[int]:
    """All tokens that end an answer, by any of the folder's files, each once; ``ids`` has the id of each token's text.

    Raises InputError for an end that is neither an id nor a token.
    """
    ends: dict[int, None] = {}
    for name, key in _ENDS:
        for token in _each((read_json(folder, name) or {}).get(key)):
            row = token if isinstance(token, int) and not isinstance(token, bool) else ids.get(token_text(token))
            if row is not None and row >= 0:
                ends[row] = None
            elif key == "eos_token_id":
                raise InputError(f"{folder / name}: {key} {token!r} is no token of the tokenizer's; correct it")
    return list(ends)


def sampling_defaults(folder: Path) -> dict[str, Any]:
    """What ``generation_config.json`` says of drawing tokens, as transformers names it; empty where there is no such
    file. Raises InputError for a value that no sampler takes."""
    settings = read_json(folder, GENERATION) or {}
    for name, (least, largest) in _RANGES.items():
        value = settings.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= largest:
            raise InputError(f"{folder / GENERATION}: {name} = {value!r} is not from {least:g} to {largest:g}")
    return {name: value for name, value in settings.items() if name not in _OF_THE_FILE}


def token_text(token: Any) -> str:
    """A special token's text, which transformers writes plain or as an object; empty where there is none."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _each(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else () if value is None else (value,)
