"""A search for better settings of a server, as its log has it, made up from a response surface."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import msgspec

import recorded
from shosei.card.words import translated
from shosei.log import Event, Log, TuneBegin, TuneFinalist, TuneTrial, TuneVerdict, read_log
from shosei.metrics.metric import text

DEFAULT = {"slots": 8, "threads": 2, "weights": "bf16", "context": 4096}
BEST = {"slots": 32, "threads": 2, "weights": "int4", "context": 4096}
SPACE: dict[str, dict[str, Any]] = {
    "slots": {"type": "int", "default": 8, "low": 1, "high": 64, "log": True},
    "threads": {"type": "int", "default": 2, "low": 1, "high": 4},
    "weights": {"type": "choice", "default": "bf16", "choices": ["bf16", "int4", "int8"], "answers": True},
    "context": {"type": "choice", "default": 4096, "choices": [2048, 4096, 8192]},
}
SECOND = 10**9
CRASHED = text("tune.why_ended", what=text("tune.why_server"), code=137, said="out of memory")


def begin(**changes: Any) -> TuneBegin:
    """Of a server's goodput, under a profile with two limits."""
    said: dict[str, Any] = {
        "subject": "serve",
        "target": "shosei-serve",
        "target_hash": "3f" * 32,
        "figure": "inference_speed.goodput",
        "of_phase": "inference",
        "direction": "higher",
        "relative": True,
        "gain": 0.05,
        "budget": "60trials",
        "seed": 7,
        "default": DEFAULT,
        "space": SPACE,
        "profile": "chatbot",
        "limits": {"response_time.ttft_p95": {"max": 1000.0}, "inference_speed.achieved_over_offered": {"min": 0.95}},
        "second_figure": "response_time.ttft_p95",
        "second_direction": "lower",
    }
    return TuneBegin(**(said | changes))


def goodput(candidate: dict[str, Any]) -> float:
    """Requests a second, without noise: 32 slots are best, int4 helps, threads and context do nothing."""
    slots = math.log2(candidate["slots"])
    return 4.0 * (1 - 0.02 * (slots - 5) ** 2) * (1.12 if candidate["weights"] == "int4" else 1.0)


def trials(count: int = 44, rounds: int = 5, noise: float = 0.06) -> list[TuneTrial]:
    """A search of ``count`` trials, one of which crashed and some of which missed a limit; then the rounds."""
    chance = random.Random(5)
    ended: list[TuneTrial] = []

    def add(candidate: dict[str, Any], **more: Any) -> None:
        number, latency = len(ended) + 1, 260 * 1.28 ** math.log2(candidate["slots"]) * chance.gauss(1, noise)
        crashed = candidate["slots"] == 1 and candidate["context"] == 8192
        failed: dict[str, Any] = {"state": "failed", "reason": translated(CRASHED), "why": msgspec.to_builtins(CRASHED)}
        measured: dict[str, Any] = {
            "state": "done",
            "value": goodput(candidate) * chance.gauss(1, noise),
            "unit": "requests/s",
            "figures": {"response_time.ttft_p95": latency},
            "limits": {"response_time.ttft_p95": "pass" if latency < 1000 else "missed"},
        }
        stage: dict[str, Any] = {"stage": "search", "round": 0, "rung": 0, "seconds": 21.5}
        place: dict[str, Any] = {"number": number, "candidate": candidate, "seed": 100 + number}
        place["folder"] = f"trials/{number:03}"
        ended.append(TuneTrial(**(place | stage | more | (failed if crashed else measured))))

    for _ in range(3):
        add(DEFAULT)
    while len(ended) < count:
        candidate = {
            "slots": 2 ** chance.choice([0, 1, 2, 3, 4, 4, 5, 5, 5, 6]),
            "threads": chance.randint(1, 4),
            "weights": chance.choice(["bf16", "int4", "int8"]),
            "context": chance.choice([2048, 4096, 8192]),
        }
        add(candidate)
    add(BEST)
    for number in range(1, rounds + 1):
        for candidate in (DEFAULT, BEST, BEST | {"threads": 3}):
            add(candidate, stage="confirm", round=number)
    return ended


def verdict(word: str = "gain", **changes: Any) -> TuneVerdict:
    """With two finalists, the first of which is confirmed unless ``word`` says otherwise."""
    measured: dict[str, Any] = {"rounds": 5, "default_value": 3.64}
    better: dict[str, Any] = {"believed": 0.331, "gain": 0.213, "interval": (0.141, 0.289), "p": 0.0004, "value": 4.41}
    unsure: dict[str, Any] = {"believed": 0.28, "gain": 0.19, "interval": (-0.02, 0.41), "p": 0.07, "value": 4.33}
    first = TuneFinalist(candidate=BEST, p_adjusted=0.0008, detectable=0.09, **better, **measured)
    second = TuneFinalist(
        candidate=BEST | {"threads": 3}, p_adjusted=0.07, detectable=0.24, reason="unproven", **unsure, **measured
    )
    said: dict[str, Any] = {
        "verdict": word,
        "best": BEST if word == "gain" else DEFAULT,
        "finalists": [first, second],
        "trials": 60,
        "seconds": 1742.0,
        "saved_trials": 31,
        "saved_seconds": 640.0,
        "luckiest": 0.45,
        "noise": 0.061,
    }
    return TuneVerdict(**(said | changes))


def log(folder: Path, *events: Event) -> Log:
    """What is read of these events, written as a run's log; without any, a whole search that confirmed a gain."""
    recorded.write_events(folder, list(events) or [begin(), *trials(), verdict()])
    return read_log(folder / "log")
