"""A checkpoint: a folder with everything an exact resume needs, and a manifest that vouches for its files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from shosei import __version__
from shosei.errors import InputError
from shosei.files import atomic_path, remove, sha256
from shosei.spec import ModelSpec
from shosei.text_files import UNREADABLE
from shosei.train import ranks
from shosei.train.config import TrainConfig
from shosei.train.optim import Optimizers, trained_parameters
from shosei.train.sharding import gathered, part
from shosei.train.workers import Threads

WEIGHTS, STATE, MANIFEST = "weights.safetensors", "state.pt", "manifest.json"


class Position(msgspec.Struct, frozen=True):
    """How far training has come: optimiser steps in all, the epoch (from 1), and batches taken from that epoch."""

    step: int
    epoch: int
    batch: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """``manifest.json``. ``files`` and ``inputs`` are SHA-256 by name."""

    version: int = 1
    position: Position
    attempt: int
    config: dict[str, Any]
    model: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, str]
    versions: dict[str, str]
    threads: Threads | None = None


def save(
    folder: Path,
    model: nn.Module,
    optimizers: Optimizers,
    position: Position,
    attempt: int,
    config: TrainConfig,
    spec: ModelSpec,
    inputs: dict[str, str],
    threads: Threads | None = None,
) -> Path:
    """Write ``folder/step-NNNNNN``: weights that are trained, optimiser and random state, manifest.

    Whole or absent at any kill. Of several ranks, which must all ask, the first collects the others' parts and writes:
    the files say nothing of how many there were.
    """
    path = folder / f"step-{position.step:06}"
    weights, state = gathered(trained_parameters(model)), gathered(optimizers.state_dict())
    if ranks.rank():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.mkdir()
        save_file(weights, temporary / WEIGHTS)
        with open(temporary / STATE, "wb") as file:  # of a path, torch would not tell what is wrong with the disk
            torch.save({"optimizers": state, "rng": torch.get_rng_state()}, file)
        manifest = Manifest(
            position=position,
            attempt=attempt,
            config=config.model_dump(mode="json"),
            model=asdict(spec),
            inputs=inputs,
            files={name: sha256(temporary / name) for name in (WEIGHTS, STATE)},
            versions={"shosei": __version__, "torch": str(torch.__version__)},
            threads=threads,
        )
        (temporary / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return path


def load(path: Path, model: nn.Module, optimizers: Optimizers) -> Manifest:
    """Restore ``model``, ``optimizers`` and torch's random state; return the manifest.

    Raises InputError: no checkpoint there, or a file that is missing or is not the one the manifest names.
    """
    manifest = read_manifest(path)
    for name, expected in manifest.files.items():
        if not (path / name).is_file() or sha256(path / name) != expected:
            raise InputError(f"checkpoint {path}: {name} is missing or damaged; use another checkpoint")
    stored = load_file(path / WEIGHTS)
    for name, weight in trained_parameters(model).items():
        weight.detach().copy_(part(stored[name], weight))
    # Of many ranks, each reads only what it keeps.
    state = torch.load(path / STATE, weights_only=True, map_location="cpu", mmap=ranks.count() > 1)
    optimizers.load_state_dict(state["optimizers"])
    torch.set_rng_state(state["rng"])
    return manifest


def read_manifest(path: Path) -> Manifest:
    """The manifest of the checkpoint at ``path``. Raises InputError if there is none or it cannot be read."""
    try:
        return msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, *UNREADABLE) as error:
        raise InputError(f"{path} is not a checkpoint: {error}") from None


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in ``folder``, oldest first."""
    return sorted(folder.glob("step-*"))


def prune(folder: Path, keep: int) -> None:
    """Remove all but the ``keep`` newest checkpoints."""
    for path in checkpoints(folder)[:-keep]:
        _discard(path)


def clear(folder: Path) -> None:
    """Empty ``folder`` for a new start: earlier checkpoints, and what a killed process left unfinished."""
    for path in folder.glob(".step-*"):
        remove(path)
    for path in checkpoints(folder):
        _discard(path)


def _discard(path: Path) -> None:
    # Renamed first: a kill while files are being removed must not leave a part under a checkpoint's name.
    remove(path.rename(path.with_name(f".{path.name}.tmp")))
