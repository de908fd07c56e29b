"""The tensors of a model folder, read and written one at a time, so that models larger than the memory pass through."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from shosei.errors import InputError
from shosei.model.hf_files import INDEX, WEIGHTS, opened, weight_files, write_json
from shosei.progress import BYTES, progress

SHARD_BYTES = 4_000_000_000
# Those of weights that stand for themselves, by safetensors' names.
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

# What older libraries stored beside the weights although it follows from the config: RoPE's tables.
_DERIVED = re.compile(r".*\.rotary_emb\.(inv_freq|cos_cached|sin_cached)")


class Weights:
    """Reads the tensors of a folder by the names that they are stored under."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError: missing, pickled or damaged weights."""
        self._folder = folder
        self._files: dict[str, Path] = {}
        self.types: Counter[str] = Counter()  # how many tensors are stored as each type, by safetensors' names
        for file in weight_files(folder):
            with opened(file, "pt") as tensors:
                names = list(tensors.keys())
                types = {name: tensors.get_slice(name).get_dtype() for name in names}
            if twice := sorted(self._files.keys() & set(names)):
                raise InputError(f"{file}: '{twice[0]}' is in {self._files[twice[0]].name} too; copy the model again")
            if other := [name for name in names if types[name] not in TYPES and not _DERIVED.fullmatch(name)]:
                raise InputError(
                    f"{file}: '{other[0]}' is stored as {types[other[0]]}; the types that are read are "
                    f"{', '.join(TYPES)}: take the model's unquantised folder"
                )
            self._files |= dict.fromkeys(names, file)
            self.types.update(types[name] for name in names if not _DERIVED.fullmatch(name))

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def __len__(self) -> int:
        return len(self._files)

    def check_names(self, wanted: Collection[str]) -> None:
        """Compare the stored names with those of a model, both ways: without a tensor that is stored, it would compute
        something else. Raises InputError that names the first that is missing, or stored and not ``wanted``."""
        if missing := [name for name in wanted if name not in self._files]:
            raise self._missing(missing[0])
        unasked = sorted(name for name in self._files.keys() - set(wanted) if not _DERIVED.fullmatch(name))
        if unasked:
            more = f" (and {len(unasked) - 1} more)" if unasked[1:] else ""
            raise InputError(
                f"{self._files[unasked[0]]}: the model of config.json has no tensor '{unasked[0]}'{more}, and without "
                "it would be another; take the config that belongs to these weights, or merge an adapter into them"
            )

    def read(self, name: str, shape: Sequence[int]) -> Tensor:
        """The tensor ``name`` in its stored type. Raises InputError if it is missing or not of ``shape``.

        It is mapped from the file, which is opened again for it: the memory goes with the tensor, not with the last of
        all the file's tensors.
        """
        file = self._files.get(name)
        if file is None:
            raise self._missing(name)
        with safe_open(file, "pt") as opened:
            stored = opened.get_slice(name).get_shape()
            if list(shape) != stored:
                raise InputError(f"{file}: '{name}' has shape {stored}, the config asks for {list(shape)}")
            return opened.get_tensor(name)  # type: ignore[no-any-return]

    def _missing(self, name: str) -> InputError:
        return InputError(f"{self._folder}: tensor '{name}' is missing; the config asks for it")


def write(folder: Path, shapes: Mapping[str, Sequence[int]], read: Callable[[str], Tensor], dtype: torch.dtype) -> None:
    """Write the tensors that ``read`` gives, in the order of ``shapes`` and as ``dtype``.

    One file up to ``SHARD_BYTES``; above it shards of at most so many bytes (a larger tensor has one of its own) and
    their index. Holds one shard in memory.
    """
    sizes = {name: math.prod(shape) * dtype.itemsize for name, shape in shapes.items()}
    shards = _shards(sizes)
    weight_map: dict[str, str] = {}
    with progress("writing the weights", sum(sizes.values()), BYTES) as work:
        for number, names in enumerate(shards, 1):
            file = WEIGHTS if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
            shard = {name: read(name).to(dtype).contiguous() for name in work.over(names, sizes.__getitem__)}
            save_file(shard, folder / file, {"format": "pt"})
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
