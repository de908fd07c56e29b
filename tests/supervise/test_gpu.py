"""The GPU meter over a stand-in for NVIDIA's library: this project is tested on machines without a GPU."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from shosei.log import RunBegin, Sample
from shosei.metrics.cells import compute
from shosei.supervise.gpu import GpuMeter
from supervised import linux, python, supervise


class FakeNvml(types.ModuleType):
    """Two GPUs; process 4711 holds 3 GB of the second one, 70 % busy with half its multiprocessors."""

    NVML_SUCCESS = 0
    NVML_GPM_METRICS_GET_VERSION = 1
    NVML_GPM_METRIC_SM_UTIL = 2

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.activity_samples = 0

    def nvmlInit(self) -> None:
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetHandleByUUID(self, name: str) -> int:
        return {"GPU-aaa": 0, "GPU-bbb": 1}[name]

    def nvmlDeviceGetIndex(self, device: int) -> int:
        return device

    def nvmlDeviceGetName(self, _device: int) -> str:
        return "H100"

    def nvmlDeviceGetUtilizationRates(self, device: int) -> Any:
        return types.SimpleNamespace(gpu=70 * device, memory=5)

    def nvmlDeviceGetComputeRunningProcesses(self, device: int) -> Any:
        if device == 0:
            raise self.NVMLError("not supported")
        return [
            types.SimpleNamespace(pid=4711, usedGpuMemory=3_000_000_000),
            types.SimpleNamespace(pid=1, usedGpuMemory=9),
        ]

    def nvmlGpmQueryDeviceSupport(self, device: int) -> Any:
        return types.SimpleNamespace(isSupportedDevice=device)

    def nvmlGpmSampleAlloc(self) -> Any:
        self.activity_samples += 1
        return types.SimpleNamespace(device=None)

    def nvmlGpmSampleGet(self, device: int, sample: Any) -> None:
        sample.device = device

    def nvmlGpmSampleFree(self, _sample: Any) -> None:
        self.activity_samples -= 1

    def c_nvmlGpmMetricsGet_t(self) -> Any:
        return types.SimpleNamespace(metrics=[types.SimpleNamespace(metricId=0, value=0.0, nvmlReturn=9)])

    def nvmlGpmMetricsGet(self, query: Any) -> None:
        assert (query.version, query.numMetrics, query.metrics[0].metricId) == (1, 1, self.NVML_GPM_METRIC_SM_UTIL)
        assert query.sample1.device == query.sample2.device == 1
        assert query.sample1 is not query.sample2
        query.metrics[0].value, query.metrics[0].nvmlReturn = 50.0, self.NVML_SUCCESS


def test_gpus_are_read_through_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    meter = GpuMeter()
    for _ in range(3):
        readings = [(s.scope, s.name, s.kernel_percent, s.sm_percent, s.used_bytes) for s in meter.read({4711})]
        assert readings == [("gpu", "0 H100", 0.0, None, None), ("gpu", "1 H100", 70.0, 50.0, 3_000_000_000)]
    assert fake.activity_samples == 1  # the others have been freed


@linux
def test_a_supervised_run_has_its_gpu_on_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    _, log = supervise(tmp_path / "run", python("train", "import time; time.sleep(0.5)"))
    for begin in log.of(RunBegin):
        begin.verb, begin.phase = "supervise:train", "training"
    for sample in log.of(Sample):
        sample.phase = sample.phase or "training"  # as the verb's writer fills it in
    busy = next(cell for cell in compute(log) if (cell.id, cell.phase) == ("gpu_utilization", "training"))
    assert busy.value == pytest.approx(0.7)


@pytest.mark.parametrize(("visible", "names"), [("1", ["1 H100"]), ("GPU-aaa", ["0 H100"]), ("", [])])
def test_only_the_assigned_gpus_are_read(monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [sample.name for sample in GpuMeter().read(set())] == names


def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()

    def fail() -> None:
        raise fake.NVMLError("driver not loaded")

    monkeypatch.setattr(fake, "nvmlInit", fail)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    assert GpuMeter().read(set()) == []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert GpuMeter().read(set()) == []
