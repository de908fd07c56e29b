"""Ours and the peers by turns: who is measured, in which order, and the table of what came out."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from statistics import median

from serving.formats import BUSY, PREFILL, WORK, Format, verdict
from serving.machine import Machine, busy_cores, measured_machine
from serving.models import Model
from serving.peers import HERE, started
from shosei.cli.timed_engine import engine_of
from shosei.load.speed import NotMeasured, TimedAnswers, measured_rate
from shosei.spec.device import Device
from shosei.spec.generation import WeightFormat
from shosei.spec.roofline import decode_limit, prefill_limit

OURS, LLAMA_CPP, TRANSFORMERS = "ours", "llama.cpp", "transformers"
STREAMS, CONTEXT = 32, 640
_PREFILLS = 3  # a turn: one is over in a fraction of a second
Who = tuple[str, str]  # whose engine, and the name of the format
Rates = dict[tuple[str, Who], list[float]]  # by work and by whom


@contextmanager
def avx2_only(llama_libraries: Path) -> Iterator[None]:
    """Whoever starts within the block has AVX2: ours and torch are told to, llama.cpp is another build."""
    told = {
        "SHOSEI_NATIVE": "avx2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "LLAMA_CPP_LIB_PATH": str(llama_libraries),
    }
    before = dict(os.environ)
    os.environ.update(told)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def everybody(
    model: Model, chosen: list[Format], llama_cpp: str | None, with_transformers: bool
) -> Iterator[dict[Who, TimedAnswers]]:
    """All that take turns, loaded, for the length of the block."""
    threads, rows = str(os.cpu_count() or 1), model.spec.vocab_size
    with ExitStack() as stack:
        subjects: dict[Who, TimedAnswers] = {}
        for form in chosen:
            options = ("--slots", str(STREAMS), "--context", str(CONTEXT), "--weights", form.weights)
            subjects[OURS, form.name] = stack.enter_context(engine_of(model.folder, *options))
            if llama_cpp:
                words = [llama_cpp, str(HERE / "llama_cpp_child.py"), str(model.files[form.file]), threads]
                words += [str(STREAMS), str(CONTEXT)]
                subjects[LLAMA_CPP, form.name] = stack.enter_context(started(LLAMA_CPP, words, rows, CONTEXT))
        if with_transformers:
            words = [sys.executable, str(HERE / "transformers_child.py"), str(model.folder), threads]
            subjects[TRANSFORMERS, "bf16"] = stack.enter_context(started(TRANSFORMERS, words, rows, CONTEXT))
        yield subjects


def by_turns(
    model: Model, subjects: Mapping[Who, TimedAnswers], work: list[str], rounds: int
) -> tuple[Rates, list[Machine]]:
    """Tokens/s of everybody in every round, forwards and backwards by turns; each is warmed up first."""
    rates: Rates = defaultdict(list)
    machines = []
    for who, subject in subjects.items():
        _measure(subject, who, max(work, key=lambda name: WORK[name][0]))
    for number in range(rounds):
        machines.append(measured_machine(model.spec, WORK[PREFILL][1]))
        order = list(subjects)[:: -1 if number % 2 else 1]
        for name in work:
            with busy_cores() if name == BUSY else nullcontext():
                for who in order:
                    if name == BUSY and who[0] == TRANSFORMERS:
                        continue  # its goal is against llama.cpp
                    if (rate := _measure(subjects[who], who, name)) is not None:
                        rates[name, who].append(rate)
        print(f"round {number + 1} of {rounds} measured", file=sys.stderr, flush=True)
    return rates, machines


def _measure(subject: TimedAnswers, who: Who, work: str) -> float | None:
    times = _PREFILLS if work == PREFILL else 1
    try:
        return median(measured_rate(subject, *WORK[work]) for _ in range(times))
    except NotMeasured as failure:
        print(f"{who[0]}, {who[1]}, {work}: not measured: {failure}", file=sys.stderr)
        return None


def table(model: Model, chosen: list[Format], rates: Rates, machines: list[Machine]) -> list[str]:
    """What one model did, as a table in Markdown: medians, the ratio to the best peer, the goal, and the share of the
    limit that reading and multiplying set in each round."""
    lines = [
        f"### {model.spec.name}, {model.spec.params:,} parameters, medians of {len(machines)} rounds",
        "",
        _machine_line(machines),
        "",
        "| | format | ours | llama.cpp (head) | transformers | ours / best | goal | | of the limit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for place, name in enumerate(WORK):
        for form in chosen:
            if ours := rates.get((name, (OURS, form.name))):
                lines.append(_row(name, form, ours, rates, form.goals[place], model, machines))
    return lines


def _row(name: str, form: Format, ours: float, rates: Rates, goal: float, model: Model, machines: list[Machine]) -> str:
    measured = {who: rates.get((name, (who, form.name))) for who in (LLAMA_CPP, TRANSFORMERS)}
    peers = {who: median(values) for who, values in measured.items() if values}
    ratio = median(ours) / max(peers.values()) if peers else None
    shown = {who: f"{rate:,.0f}" for who, rate in peers.items()}
    llama = f"{shown[LLAMA_CPP]} ({model.heads[form.file]})" if LLAMA_CPP in shown else "–"
    # Of what the machine could at the time of each round.
    shares = [rate / _limit(name, form, model, machine) for rate, machine in zip(ours, machines, strict=False)]
    cells = [
        name,
        form.name,
        f"{median(ours):,.0f}",
        llama,
        shown.get(TRANSFORMERS, "–"),
        "–" if ratio is None else f"{ratio:.2f}",
        f"≥ {goal:g}",
        "–" if ratio is None else verdict(ratio >= goal),
        "–" if name == BUSY else f"{median(shares):.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def _limit(name: str, form: Format, model: Model, machine: Machine) -> float:
    streams, prompt, new = WORK[name]
    flops = machine.model_gemm if name == PREFILL else machine.gemm
    device = Device("this machine", 0, flops, machine.bandwidth, "measured before the round")
    weights = WeightFormat(form.weights)
    if name == PREFILL:
        return prefill_limit(model.spec, device, prompt, weights)
    return decode_limit(model.spec, device, streams, prompt + new // 2, weights)


def _machine_line(machines: list[Machine]) -> str:
    figures = (
        ("reads {:.1f} GB/s", [machine.bandwidth / 1e9 for machine in machines]),
        ("square products {:,.0f} GFLOP/s", [machine.gemm / 1e9 for machine in machines]),
        ("products in the model's shapes {:,.0f} GFLOP/s", [machine.model_gemm / 1e9 for machine in machines]),
    )
    return "; ".join(
        f"{words.format(median(values))} ({min(values):,.0f}–{max(values):,.0f})" for words, values in figures
    )
