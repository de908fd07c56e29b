"""What the machine is, and which versions run on it: facts for ``run.begin``."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from shosei import __version__

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
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "gpus": _gpus(),
        "nodes": int(os.environ.get("GROUP_WORLD_SIZE", "1")),  # torchrun's count of nodes
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    folder = Path("/proc/driver/nvidia/gpus")
    names = []
    for information in sorted(folder.glob("*/information")) if folder.is_dir() else []:
        for line in information.read_text().splitlines():
            if line.startswith("Model:"):
                names.append(line.partition(":")[2].strip())
    return names
