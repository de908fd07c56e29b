"""A hand-made log and its 30 metrics, every status among them, for the card's tests."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from shosei.log import EVENTS, Log, RunBegin, RunEnd, Sample, open_run, read_log
from shosei.metrics.metric import METRIC_IDS, Metric, Plot, Table
from shosei.spec import preset

HOSTILE = '</script><script>alert("x")</script><img src=//evil.example/x onerror=alert(1)>|`*'

_VALUES: dict[tuple[str, str], dict[str, Any]] = {
    ("training_speed", "training"): {"unit": "s", "value": 41.237, "ci": (39.9, 42.6), "n": 2, "clusters": 2, "status": "insufficient", "reason": "2 epochs: fewer than 5 do not support a 95 % claim beyond this run", "plots": ["loss"]},
    ("training_speed", "inference"): {"unit": "s", "value": 182.4, "n": 1, "clusters": 1, "status": "insufficient", "reason": "1 pass: one pass has no spread"},
    ("inference_speed", "training"): {"unit": "samples/s", "value": 311.2, "ci": (305.0, 317.7), "n": 780, "clusters": 20},
    ("inference_speed", "inference"): {"unit": "requests/s", "value": 7.93, "ci": (7.1, 8.8), "n": 238, "clusters": 20},
    ("gpu_utilization", "training"): {"unit": "%", "status": "na", "reason": "no GPU on this machine"},
    ("gpu_utilization", "inference"): {"unit": "%", "status": "na", "reason": "no GPU on this machine"},
    ("pass_at_1", "training"): {"unit": "", "value": 0.9612, "ci": (0.941, 0.975), "n": 520, "clusters": 520, "plots": ["epochs"]},
    ("memory", "training"): {"unit": "bytes", "value": 1_273_004_032.0, "n": 92, "clusters": 1, "status": "insufficient", "reason": "1 run: one run has one peak"},
    ("memory", "inference"): {"unit": "bytes", "value": 613_004_032.0, "n": 92, "clusters": 1, "status": "insufficient", "reason": "1 run: one run has one peak"},
    ("disk_io", "training"): {"unit": "MB/s", "value": 0.4113, "ci": (0.02, 0.9), "n": 92, "clusters": 20},
    ("disk_io", "inference"): {"unit": "MB/s", "value": 0.0, "ci": (0.0, 0.0), "n": 31, "clusters": 20, "notes": ["nothing was read from storage: the page cache was warm"]},
    ("network", "training"): {"unit": "Gbps", "status": "na", "reason": "one node: nothing is sent between nodes"},
    ("network", "inference"): {"unit": "Gbps", "status": "na", "reason": "one node: nothing is sent between nodes"},
    ("crash_rate", "training"): {"unit": "per start", "value": 0.0, "ci": (0.0, 0.793), "n": 1, "clusters": 1, "status": "insufficient", "reason": "1 process start does not support a 95 % claim"},
    ("crash_rate", "inference"): {"unit": "per start", "value": 0.0, "ci": (0.0, 0.658), "n": 2, "clusters": 2, "status": "insufficient", "reason": "2 process starts do not support a 95 % claim"},
    ("restart_count", "training"): {"unit": "restarts", "value": 0.0, "ci": (0.0, 3.69), "n": 1, "clusters": 1},
    ("restart_count", "inference"): {"unit": "restarts", "value": 2.0, "ci": (0.24, 7.22), "n": 2, "clusters": 2},
    ("error_rate", "training"): {"unit": "", "value": 0.0, "ci": (0.0, 0.0048), "n": 780, "clusters": 780},
    ("error_rate", "inference"): {"unit": "", "value": 0.031, "ci": (0.01, 0.06), "n": 238, "clusters": 238, "status": "invalid", "reason": "the client was the bottleneck: its event loop lagged 180 ms"},
    ("response_time", "training"): {"unit": "ms", "value": 105.1, "ci": (103.2, 107.0), "n": 780, "clusters": 20},
    ("response_time", "inference"): {"unit": "ms", "value": 412.9, "ci": (388.0, 441.0), "n": 238, "clusters": 20, "plots": ["latency"]},
    ("satisfaction", "training"): {"unit": "", "status": "not_measured", "reason": "no 'rating' events of training in this attempt", "command": "shosei serve RUN"},
    ("satisfaction", "inference"): {"unit": "", "status": "not_measured", "reason": "no 'rating' events of inference in this attempt", "command": "shosei serve RUN"},
}  # fmt: skip

_PLOTS = {
    "loss": Plot("training loss", "step", "loss", [float(step) for step in range(1, 781)],
                 {"loss": [None if step == 400 else 7 * math.exp(-step / 120) + 0.2 + 0.1 * math.sin(step) for step in range(1, 781)]}),
    "epochs": Plot("pass@1 by epoch", "epoch", "pass@1", [1.0, 2.0],
                   {"numerals zh": [0.71, 0.98], "kana ja": [0.6, 0.97], "width ja": [0.9, 1.0], "sums zh": [0.2, 0.91]}),
    "latency": Plot("answered within", "ms", "share of requests", [float(150 + 10 * step) for step in range(80)],
                    {"share": [1 - math.exp(-step / 20) for step in range(80)]}),
}  # fmt: skip

_CLASSES = [f"{family}.{language}" for family in ("numerals", "kana", "width", "sums", "facts") for language in ("zh", "ja")]


def metrics(**changes: Any) -> list[Metric]:
    """All 30; ``changes`` go to pass_at_1 of inference."""
    cells = []
    for id in (id for ids in METRIC_IDS.values() for id in ids):
        for phase in ("training", "inference"):
            given = {"unit": "", "value": 0.9433, "ci": (0.911, 0.968), "n": 240, "clusters": 60}
            given = dict(_VALUES.get((id, phase), given))
            given["plots"] = [_PLOTS[name] for name in given.get("plots", [])]
            if given.get("value") is not None:
                given.setdefault("ci_method", "Wilson")
                given.setdefault("detail", "what exactly the value is")
            if id == "f1":
                rows = [[name, *(19 if name == other else 1 if i % 7 == 0 else 0 for i, other in enumerate(_CLASSES))] for name in _CLASSES]
                given["breakdown"] = [
                    Table("per class", ["class", "precision", "recall", "f1", "n"], [[name, 0.95, 0.94, 0.945, 24] for name in _CLASSES]),
                    Table("confusion matrix", ["true / predicted", *_CLASSES], rows),
                ]  # fmt: skip
            if (id, phase) == ("pass_at_1", "inference"):
                given |= changes
            cells.append(Metric(**({"id": id, "phase": phase, "direction": "higher", "status": "ok"} | given)))
    return cells


def log(name: str = "nano") -> Log:
    """Three verbs of one attempt on one machine; the last never ended."""
    spec = preset("nano")
    hardware = {"cpu": "Example CPU @ 2.50GHz", "cores": 2, "memory_bytes": 8_330_000_000, "system": "Linux 6.1 x86_64", "gpus": [], "nodes": 1}
    envelope: dict[str, Any] = {"v": 1, "run": "quickstart", "attempt": 1, "host": "box", "boot": "b", "start_ticks": 1}
    begins = [
        RunBegin(**envelope, pid=10, wall_ns=1_790_000_000 * 10**9, verb="data", phase="training", argv=["/opt/bin/shosei", "data", "--run", "runs/quickstart"],
                 hardware=hardware, versions={"shosei": "0.1.0", "python": "3.11.9"}, seeds={"data": 1}, hashes={"suites": "ab" * 32}),
        RunBegin(**envelope, pid=11, wall_ns=1_790_000_010 * 10**9, verb="train", phase="training", argv=["/opt/bin/shosei", "train", "--set", "train.lr=1e-3"],
                 hardware=hardware, versions={"torch": "2.13.0"}, seeds={"train": 7}, hashes={"tokenizer": "cd" * 32},
                 model={"name": name, "params": spec.params, "vocab_size": spec.vocab_size, "d_model": spec.d_model, "n_layers": spec.n_layers, "tied": True, "rope_theta": 10000.0}),
        RunBegin(**envelope, pid=12, wall_ns=1_790_000_200 * 10**9, verb="exam", phase="inference", argv=["shosei", "exam", "a b"], hardware=hardware,
                 profile="chatbot", arrival="poisson", sandbox="rlimits"),
    ]  # fmt: skip
    ends = [RunEnd(**envelope, pid=10, verb="data", exit_code=0), RunEnd(**envelope, pid=11, verb="train", exit_code=0, dropped=3)]
    meters = [Sample(**envelope, pid=11, mono_ns=second * 10**9, scope="self", name="supervise", cpu_ns=second * 4_000_000) for second in (1, 90)]
    return Log(1, {RunBegin: begins, RunEnd: ends, Sample: meters}, ["box-b-12-1.jsonl:9: torn last line, left out"], "ef" * 32)


def write_run(folder: Path) -> Path:
    """A real run folder with two verbs, written by the real writer."""
    run = open_run(folder, must_exist=False)
    for verb in ("data", "train"):
        writer = run.begin(verb, phase="training", seeds={verb: 1}, hardware={"cores": 2})
        run.end(writer, verb)
    assert read_log(run.log).of(EVENTS["run.begin"])
    return run.folder
