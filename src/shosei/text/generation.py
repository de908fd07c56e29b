"""What ends an answer of a model folder's, and how its makers would have tokens drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from shosei.errors import InputError
from shosei.folder_files import read_json
from shosei.wire.openai import LEAST_REPETITION_PENALTY, MOST_REPETITION_PENALTY

GENERATION = "generation_config.json"
# Where a folder may say what ends an answer, and under which key. None of them is complete in all folders.
_ENDS = ((GENERATION, "eos_token_id"), ("tokenizer_config.json", "eos_token"), ("config.json", "eos_token_id"))
# What is written anew with a model, or speaks of the library that wrote the file.
_OF_THE_FILE = ("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "_from_model_config")


def end_ids(folder: Path, ids: Mapping[str, int]) -> list[int]:
    """All tokens that end an answer, by any of the folder's files, each once; ``ids`` has the id of each token's text.

    Raises InputError for an end that is neither an id nor a token.
    """
    ends: dict[int, None] = {}
    last = max(ids.values(), default=0)
    for name, key in _ENDS:
        for token in _each((read_json(folder, name) or {}).get(key)):
            row = token if type(token) is int and key == "eos_token_id" else ids.get(token_text(token))
            if row is not None and 0 <= row <= last:
                ends[row] = None
            elif key == "eos_token_id" and ids:  # without any, the tokenizer's own fault is told
                raise InputError(f"{folder / name}: {key} {token!r:.40} is no token of the tokenizer's; correct it")
    return list(ends)


class SamplingDefaults(msgspec.Struct, frozen=True):
    """How tokens are drawn where a request does not say, as ``generation_config.json`` names it; without the file as in
    OpenAI's API, which changes nothing.

    ``do_sample`` is none of them: the temperature alone says whether an answer is greedy.
    """

    temperature: Annotated[float, msgspec.Meta(ge=0, le=1e3)] = 1.0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    top_k: Annotated[int, msgspec.Meta(ge=-1, le=10**9)] = 0
    min_p: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    typical_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0  # for other servers: ours does not draw by it
    repetition_penalty: Annotated[float, msgspec.Meta(ge=LEAST_REPETITION_PENALTY, le=MOST_REPETITION_PENALTY)] = 1.0

    @classmethod
    def of_folder(cls, folder: Path) -> SamplingDefaults:
        """Those of a model folder. Raises InputError for a value that no server draws by."""
        settings = read_json(folder, GENERATION) or {}
        stated = {name: settings[name] for name in cls.__struct_fields__ if settings.get(name) is not None}
        for name, value in stated.items():
            try:
                msgspec.convert({name: value}, cls)
            except msgspec.ValidationError as error:
                fault = str(error).partition(" - at ")[0]
                message = (
                    f"{folder / GENERATION}: {name} = {value!r} cannot be used: {fault}; correct it or take it out"
                )
                raise InputError(message) from None
        return msgspec.convert(stated, cls)


def sampling_defaults(folder: Path) -> dict[str, Any]:
    """What ``generation_config.json`` says of drawing tokens, as transformers names it; empty where there is no such
    file. Raises InputError as ``SamplingDefaults.of_folder``."""
    SamplingDefaults.of_folder(folder)
    settings = read_json(folder, GENERATION) or {}
    return {name: value for name, value in settings.items() if name not in _OF_THE_FILE}


def token_text(token: Any) -> str:
    """A special token's text, which transformers writes plain or as an object; empty where there is none."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _each(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else () if value is None else (value,)
