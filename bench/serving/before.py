"""Torch alone, as where nothing can compile, beside an earlier checkout of this code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from serving.models import Model

GOAL = 1.15


def torch_alone(model: Model, rounds: int, before: Path) -> Iterator[str]:
    """Tokens/s of bfloat16 weights, by turns: ``shosei bench`` of this code and of that in ``before``."""
    checkouts = {"now": Path(__file__).parents[2], "before": before}
    rates: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for name in [*checkouts][:: -1 if number % 2 else 1]:
            for work, rate in _bench(checkouts[name], model.folder):
                rates[work][name].append(rate)
    yield "torch alone, bf16, tokens/s: now, before"
    for work, of_work in rates.items():
        now, then = median(of_work["now"]), median(of_work["before"])
        verdict = "" if work == "prefill" else f" (goal ≥ {GOAL}: {'reached' if now / then >= GOAL else 'missed'})"
        yield f"{work}: {now:,.1f}, {then:,.1f}: {now / then:.2f} times{verdict}"


def _bench(checkout: Path, folder: Path) -> Iterator[tuple[str, float]]:
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "SHOSEI_NATIVE": "0"}
    words = [sys.executable, "-m", "shosei", "bench", str(folder), "--turns", "1", "--json"]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    for speed in json.loads(done.stdout)["speeds"]:
        work = "prefill" if speed["new_tokens"] == 1 else f"{speed['streams']} streams"
        yield work, speed["tokens_per_second"]
