"""Which files hold a model's weights: one, or shards that an index names. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from shosei.errors import InputError
from shosei.model.hf_config import read_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of ``folder``, in order. Raises InputError: none, pickled weights, a missing shard."""
    if (folder / INDEX).is_file():
        weight_map = read_json(folder, INDEX).get("weight_map")
        if not isinstance(weight_map, dict):
            raise InputError(f"{folder / INDEX} has no weight_map; copy the model again")
        names, because = sorted({str(name) for name in weight_map.values()}), f", which {INDEX} names"
    else:
        names, because = [WEIGHTS], ""
    for name in names:
        if (folder / name).is_file():
            continue
        if pickled := sorted(folder.glob("pytorch_model*.bin")):
            raise InputError(
                f"{pickled[0]} is pickled: to read it could run any program; take the model's safetensors instead"
            )
        raise InputError(f"{folder} is no complete model folder: {name} is missing{because}")
    return [folder / name for name in names]
