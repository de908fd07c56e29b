"""The model that an engine answers with: packed for the C functions where they compute it, else for torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from shosei.model import folder
from shosei.model.native import decoder
from shosei.model.native.backend import Backend, backend_for
from shosei.model.native.decoder import NativeModel
from shosei.model.transformer import Transformer
from shosei.spec import ModelSpec
from shosei.spec.generation import WeightFormat


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that can answer; ``kernels`` says what computes its parts, as the log has it."""

    model: Transformer | NativeModel
    spec: ModelSpec
    kernels: dict[str, str]


def backend_of(path: Path, weights: WeightFormat, device: torch.device, native: bool = True) -> Backend:
    """What computes the model folder ``path``; torch alone, unless ``native``. Raises InputError for such a folder."""
    if not native:
        return Backend(None, "--no-native was given")
    return backend_for(folder.read_spec(path), weights, folder.stored_type(path), device)


def load(path: Path, weights: WeightFormat, device: torch.device, native: bool = True) -> LoadedModel:
    """Read the model folder ``path``, ready for its first step. Raises InputError as ``folder.load``."""
    backend = backend_of(path, weights, device, native)
    if backend.library is not None:
        packed = decoder.load(path, backend.library, weights)
        return LoadedModel(packed, packed.spec, packed.kernels)
    dtype = None if weights is WeightFormat.STORED else torch.bfloat16
    model, spec = folder.load(path, dtype, weights, device)
    model.pack()
    return LoadedModel(model, spec, dict.fromkeys(("layers", "head"), f"torch: {backend.reason}"))
