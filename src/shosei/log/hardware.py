"""What the machine is, and which versions run on it: facts for ``run.begin``."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from shosei import __version__
from shosei.cores import usable_cores
from shosei.proc import read

_PACKAGES = ("torch", "tokenizers", "safetensors", "numpy", "scipy", "httptools", "fastapi", "uvicorn")


def versions() -> dict[str, str]:
    """Python's version and those of the packages that shape the numbers, where they are installed."""
    found = {"shosei": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """CPU model, usable cores, memory, GPUs (names, from NVML if its driver is loaded) and nodes of the job."""
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "gpus": _gpus(),
        "nodes": int(os.environ.get("GROUP_WORLD_SIZE", "1")),  # torchrun's count of nodes
    }


def _cpu() -> str:
    models = _values("/proc/cpuinfo", "model name")
    return models[0] if models else platform.processor() or platform.machine()


def _gpus() -> list[str]:
    files = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return [name for file in files for name in _values(str(file), "Model")]


def _values(file: str, name: str) -> list[str]:
    """What stands beside ``name`` in a file's ``name: value`` lines."""
    pairs = (line.partition(":") for line in read(file).decode(errors="replace").splitlines())
    return [value.strip() for key, _, value in pairs if key.strip() == name]
