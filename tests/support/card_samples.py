"""A hand-made log and its 30 metrics, every status among them, for the card's tests."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from shosei.log import Log, RunBegin, RunEnd, Sample, open_run
from shosei.metrics.metric import METRIC_IDS, Curve, Figure, Metric, Plot, Table, text
from shosei.spec import preset

HOSTILE = '</script><script>alert("x")</script><img src=//evil.example/x onerror=alert(1)>|`*'

SECOND = 10**9


def _ok(unit: str, value: float, low: float | None, high: float | None, n: int, **more: Any) -> dict[str, Any]:
    return {"unit": unit, "value": value, "ci": (low, high), "n": n, "clusters": n, "ci_method": "Wilson"} | more


def _few(unit: str, value: float, low: float | None, high: float | None, n: int, **more: Any) -> dict[str, Any]:
    reason = text("cell.too_few", units=text("term.time_batches"), clusters=n, least=30)
    return _ok(unit, value, low, high, n, status="insufficient", reason=reason) | more


def _none(status: str, unit: str, reason: str, command: str = "") -> dict[str, Any]:
    return {"status": status, "unit": unit, "reason": reason, "command": command}


_STEPS = range(1, 781)
_LOSS = [None if step == 400 else 7 * math.exp(-step / 120) + 0.2 + 0.1 * math.sin(step) for step in _STEPS]
_LATENCY = [float(150 + 10 * step) for step in range(80)]
_BY_EPOCH = {"numerals zh": [0.71, 0.98], "kana ja": [0.6, 0.97], "width ja": [0.9, 1.0], "sums zh": [0.2, 0.91]}

LOSS = Plot("training loss", "step", "loss", [float(step) for step in _STEPS], [Curve("loss", _LOSS)])
EPOCHS = Plot("pass@1 by epoch", "epoch", "pass@1", [1.0, 2.0], [Curve(name, y) for name, y in _BY_EPOCH.items()])
BARS = Plot(text("term.step"), "ms", text("term.value"), _LATENCY, [Curve("n", [x % 7 for x in _LATENCY])], kind="bars")
LATENCY = Plot("answered within", "ms", "share of requests", _LATENCY, [Curve("share", [x / 940 for x in _LATENCY])])

_CLASSES = [f"{family}.{lang}" for family in ("直す", "kana", "width", "sums", "facts") for lang in ("zh", "ja")]
_MATRIX = [[true, *(19 if true == said else int(i % 7 == 0) for i, said in enumerate(_CLASSES))] for true in _CLASSES]
F1_TABLES = [
    Table(
        text("term.value"),
        [text("term.step"), "precision", "recall", "f1"],
        [[name, 0.95, 0.94, 0.945] for name in _CLASSES],
    ),
    Table("confusion matrix", ["true / predicted", *_CLASSES], _MATRIX, matrix=True),
]

_ACCURATE = _ok("", 0.9433, 0.911, 0.968, 240)
_NO_GPU = _none("na", "", "no GPU on this machine")
_ONE_NODE = _none("na", "Gbps", "one node: nothing is sent between nodes")
_UNRATED = _none("not_measured", "", "no 'rating' events in this attempt", "shosei serve RUN")
_LAGGED = {"status": "invalid", "reason": "the client was the bottleneck: its event loop lagged 180 ms"}

_SLOW = {"plots": [LATENCY, BARS], "figures": {"p95": Figure(812.0, "ms", "lower", (770.0, 900.0), 40)}}

CELLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "training_speed": (_few("s", 41.237, 39.9, 42.6, 2, plots=[LOSS]), _few("s", 182.4, None, None, 1)),
    "inference_speed": (_ok("samples/s", 311.2, 305.0, 317.7, 780), _ok("requests/s", 7.93, 7.1, 8.8, 238)),
    "gpu_utilization": (_NO_GPU, _NO_GPU),
    "precision": (_ACCURATE, _ACCURATE),
    "recall": (_ACCURATE, _ACCURATE),
    "f1": (_ACCURATE, _ACCURATE | {"breakdown": F1_TABLES}),
    "pass_at_1": (_ok("", 0.9612, 0.941, 0.975, 520, plots=[EPOCHS]), _ACCURATE),
    "memory": (_few("bytes", 1_273_004_032.0, None, None, 1), _few("bytes", 613_004_032.0, None, None, 1)),
    "disk_io": (_ok("MB/s", 0.4113, 0.02, 0.9, 92), _ok("MB/s", 0.0, 0.0, 0.0, 31, notes=["warm page cache"])),
    "network": (_ONE_NODE, _ONE_NODE),
    "crash_rate": (_few("per start", 0.0, 0.0, 0.793, 1), _few("per start", 0.0, 0.0, 0.658, 2)),
    "restart_count": (_ok("restarts", 0.0, 0.0, 3.69, 1), _ok("restarts", 2.0, 0.24, 7.22, 2)),
    "error_rate": (_ok("", 0.0, 0.0, 0.0048, 780), _ok("", 0.031, 0.01, 0.06, 238, **_LAGGED)),
    "response_time": (_ok("ms", 105.1, 103.2, 107.0, 780), _ok("ms", 412.9, 388.0, 441.0, 238, **_SLOW)),
    "satisfaction": (_UNRATED, _UNRATED),
}


def metrics(**changes: Any) -> list[Metric]:
    """All 30; ``changes`` go to pass_at_1 of inference."""
    found = []
    for id in (id for ids in METRIC_IDS.values() for id in ids):
        for phase, given in zip(("training", "inference"), CELLS[id], strict=True):
            more = changes if (id, phase) == ("pass_at_1", "inference") else {}
            found.append(Metric(**{"id": id, "phase": phase, "direction": "higher", "status": "ok"} | given | more))
    return found


def log(name: str = "nano") -> Log:
    """Three verbs of one attempt on one machine; the last never ended."""
    spec = preset("nano")
    hardware = {"cpu": "Example CPU @ 2.50GHz", "cores": 2, "memory_bytes": 8_330_000_000, "gpus": [], "nodes": 1}
    start = 1_790_000_000 * SECOND
    common: dict[str, Any] = {"v": 1, "run": "quickstart", "attempt": 1, "host": "box", "boot": "b", "start_ticks": 1}
    data = RunBegin(
        **common,
        pid=10,
        wall_ns=start,
        mono_ns=SECOND,
        verb="data",
        phase="training",
        hardware=hardware,
        seeds={"data": 1},
        argv=["/opt/bin/shosei", "data", "--run", "runs/quickstart"],
        versions={"shosei": "0.1.0", "python": "3.11.9"},
        hashes={"suites": "ab" * 32},
    )
    train = RunBegin(
        **common,
        pid=11,
        wall_ns=start + 10 * SECOND,
        mono_ns=11 * SECOND,
        verb="train",
        phase="training",
        hardware=hardware,
        argv=["/opt/bin/shosei", "train", "--set", "train.lr=1e-3"],
        seeds={"train": 7},
        versions={"torch": "2.13.0"},
        hashes={"tokenizer": "cd" * 32},
        model={"name": name, "params": spec.params, "vocab_size": spec.vocab_size, "tied": True},
    )
    exam = RunBegin(
        **common,
        pid=12,
        wall_ns=start + 200 * SECOND,
        mono_ns=201 * SECOND,
        verb="exam",
        phase="inference",
        hardware=hardware,
        argv=["shosei", "exam", "a b"],
        profile="chatbot",
        arrival="poisson",
        sandbox="rlimits",
    )
    ends = [RunEnd(**common, pid=10, verb="data", exit_code=0, mono_ns=9 * SECOND)]
    ends += [RunEnd(**common, pid=11, verb="train", exit_code=0, dropped=3, mono_ns=190 * SECOND)]
    meter = [
        Sample(**common, pid=11, mono_ns=second * SECOND, scope="self", name="supervise", cpu_ns=second * 4_000_000)
        for second in (1, 90)
    ]
    events = {RunBegin: [exam, data, train], RunEnd: ends, Sample: meter}
    return Log(1, events, ["box-b-12-1.jsonl:9: torn last line, left out"], "ef" * 32)


def write_run(folder: Path) -> Path:
    """A real run folder of one attempt with two verbs, written by the real writer."""
    run = open_run(folder, must_exist=False)
    for verb in ("data", "train"):
        with run.recording(verb, "training", seeds={verb: 1}, hardware={"cores": 2, "gpus": []}):
            pass
    return run.folder
