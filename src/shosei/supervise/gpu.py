"""NVIDIA's own counters (NVML), read through ``pynvml`` where that and a driver are installed."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Collection
from typing import Any

from shosei.log import Sample


class GpuMeter:
    """The GPUs that are assigned to us by ``CUDA_VISIBLE_DEVICES``, or else all; none without NVML."""

    def __init__(self) -> None:
        self._gpus: list[_Gpu] = []
        try:
            nvml: Any = importlib.import_module("pynvml")
        except ImportError:
            return
        try:
            nvml.nvmlInit()
            self._gpus = [_Gpu(nvml, device) for device in _assigned(nvml)]
        except nvml.NVMLError:  # no driver, or no such GPU
            return

    def read(self, pids: Collection[int]) -> list[Sample]:
        """A sample for each GPU. ``used_bytes`` is what the processes ``pids`` hold of its memory.

        That stays None while the GPU names none of them: it names processes by their ids on the host, which in a
        container are others.
        """
        return [gpu.read(pids) for gpu in self._gpus]


class _Gpu:
    """One GPU. What the card or its driver does not tell stays None."""

    def __init__(self, nvml: Any, device: Any) -> None:
        self._nvml, self._device = nvml, device
        self._name = f"{nvml.nvmlDeviceGetIndex(device)} {nvml.nvmlDeviceGetName(device)}"
        self._activity = self._sample_activity()

    def read(self, pids: Collection[int]) -> Sample:
        return Sample(
            scope="gpu",
            name=self._name,
            kernel_percent=self._kernel_percent(),
            sm_percent=self._sm_percent(),
            used_bytes=self._used_bytes(pids),
        )

    def _told(self, query: Callable[..., Any], *arguments: Any) -> Any:
        """What NVML answers; None where the card or its driver does not tell."""
        try:
            return query(*arguments)
        except self._nvml.NVMLError:
            return None

    def _kernel_percent(self) -> float | None:
        rates = self._told(self._nvml.nvmlDeviceGetUtilizationRates, self._device)
        return None if rates is None else float(rates.gpu)

    def _used_bytes(self, pids: Collection[int]) -> int | None:
        processes = self._told(self._nvml.nvmlDeviceGetComputeRunningProcesses, self._device) or ()
        used = [process.usedGpuMemory for process in processes if process.pid in pids]
        return sum(used) if used and None not in used else None

    def _sm_percent(self) -> float | None:
        """Streaming multiprocessors active since the last reading (GPU Performance Monitoring, Hopper and later)."""
        before, self._activity = self._activity, self._sample_activity()
        if before is None or self._activity is None:
            return None
        nvml = self._nvml
        query = nvml.c_nvmlGpmMetricsGet_t()
        query.version, query.numMetrics = nvml.NVML_GPM_METRICS_GET_VERSION, 1
        query.sample1, query.sample2 = before, self._activity
        query.metrics[0].metricId = nvml.NVML_GPM_METRIC_SM_UTIL
        try:
            nvml.nvmlGpmMetricsGet(query)
            return float(query.metrics[0].value) if query.metrics[0].nvmlReturn == nvml.NVML_SUCCESS else None
        except nvml.NVMLError:
            return None
        finally:
            nvml.nvmlGpmSampleFree(before)

    def _sample_activity(self) -> Any:
        try:
            if not self._nvml.nvmlGpmQueryDeviceSupport(self._device).isSupportedDevice:
                return None
            sample = self._nvml.nvmlGpmSampleAlloc()
            self._nvml.nvmlGpmSampleGet(self._device, sample)
            return sample
        except self._nvml.NVMLError:
            return None


def _assigned(nvml: Any) -> list[Any]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return [
        nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdecimal() else nvml.nvmlDeviceGetHandleByUUID(name)
        for name in names
    ]
