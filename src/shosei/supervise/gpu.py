"""NVIDIA's own counters (NVML), read through ``pynvml`` where that and a driver are installed."""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection
from typing import Any

from shosei.log import Sample


class GpuMeter:
    """The GPUs that are assigned to us by ``CUDA_VISIBLE_DEVICES``, or else all; none without NVML."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._devices: dict[str, Any] = {}
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return
        try:
            nvml.nvmlInit()
            self._devices = {_name(nvml, device): device for device in _assigned(nvml)}
        except nvml.NVMLError:
            return
        self._nvml = nvml

    def read(self, pids: Collection[int]) -> list[Sample]:
        """A sample for each GPU. ``used_bytes`` is what the processes ``pids`` hold of its memory.

        That stays None while the GPU names none of them: it names processes by their ids on the host, which in a
        container are others.
        """
        return [self._read(name, device, pids) for name, device in self._devices.items()]

    def _read(self, name: str, device: Any, pids: Collection[int]) -> Sample:
        sample = Sample(scope="gpu", name=name)
        try:
            sample.kernel_percent = float(self._nvml.nvmlDeviceGetUtilizationRates(device).gpu)
            processes = self._nvml.nvmlDeviceGetComputeRunningProcesses(device)
        except self._nvml.NVMLError:  # this card or driver does not tell
            return sample
        used = [process.usedGpuMemory for process in processes if process.pid in pids]
        sample.used_bytes = sum(used) if used and None not in used else None
        return sample


def _assigned(nvml: Any) -> list[Any]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return [
        nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdecimal() else nvml.nvmlDeviceGetHandleByUUID(name)
        for name in names
    ]


def _name(nvml: Any, device: Any) -> str:
    """Its number on the machine and its model."""
    return f"{nvml.nvmlDeviceGetIndex(device)} {nvml.nvmlDeviceGetName(device)}"
