"""The tensors of a model folder, read and written one at a time, so that models larger than the memory pass through."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from shosei.errors import InputError
from shosei.model.hf_files import INDEX, WEIGHTS, weight_files, write_json

SHARD_BYTES = 4_000_000_000


class Weights:
    """Reads the tensors of a folder by the names that they are stored under."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError: missing, pickled or damaged weights."""
        self._folder = folder
        self._files: dict[str, Path] = {}
        for file in weight_files(folder):
            try:
                with safe_open(file, "pt") as opened:
                    self._files |= dict.fromkeys(opened.keys(), file)
            except (SafetensorError, OSError) as error:
                raise InputError(f"{file} is truncated or damaged ({error}); copy or export the model again") from None

    def read(self, name: str, shape: Sequence[int]) -> Tensor:
        """The tensor ``name`` in its stored type. Raises InputError if it is missing or not of ``shape``.

        It is mapped from the file, which is opened again for it: the memory goes with the tensor, not with the last of
        all the file's tensors.
        """
        file = self._files.get(name)
        if file is None:
            raise InputError(f"{self._folder}: tensor '{name}' is missing; the config asks for it")
        with safe_open(file, "pt") as opened:
            stored = opened.get_slice(name).get_shape()
            if list(shape) != stored:
                raise InputError(f"{file}: '{name}' has shape {stored}, the config asks for {list(shape)}")
            return opened.get_tensor(name)  # type: ignore[no-any-return]


def write(folder: Path, shapes: Mapping[str, Sequence[int]], read: Callable[[str], Tensor], dtype: torch.dtype) -> None:
    """Write the tensors that ``read`` gives, in the order of ``shapes`` and as ``dtype``.

    One file up to ``SHARD_BYTES``; above it shards of at most so many bytes (a larger tensor has one of its own) and
    their index. Holds one shard in memory.
    """
    sizes = {name: math.prod(shape) * dtype.itemsize for name, shape in shapes.items()}
    shards = _shards(sizes)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = WEIGHTS if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file({name: read(name).to(dtype).contiguous() for name in names}, folder / file, {"format": "pt"})
        (folder / file).chmod(0o644)  # safetensors keeps it from everyone else, such as another server's user
        weight_map |= dict.fromkeys(names, file)
    if len(shards) > 1:
        write_json(folder / INDEX, {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map})


def _shards(sizes: Mapping[str, int]) -> list[list[str]]:
    """Names in order, cut wherever the next tensor would not fit the shard."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if shards[-1] and filled + size > SHARD_BYTES:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards
