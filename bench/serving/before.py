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

from serving.formats import verdict
from serving.models import Model

GOAL = 1.15
STREAMS = (1, 8)
# By each checkout's own client.
_MEASURE = """
import json, sys
from pathlib import Path
from shosei.cli.timed_engine import engine_of
from shosei.load.speed import measured_rate
folder, streams, options = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
with engine_of(folder, "--slots", str(max(streams)), "--context", "192", *options) as engine:
    for count in streams:
        engine.answers(count, 64, 8)
        print(measured_rate(engine, count, 64, 64), flush=True)
"""


def torch_alone(model: Model, rounds: int, before: Path) -> Iterator[str]:
    """Tokens/s of bfloat16 weights, by turns of this code and of that in ``before``."""
    checkouts = {"now": Path(__file__).parents[2], "before": before}
    rates: dict[str, list[list[float]]] = defaultdict(list)
    for number in range(rounds):
        for name in [*checkouts][:: -1 if number % 2 else 1]:
            rates[name].append(_rates(checkouts[name], model.folder))
    for place, streams in enumerate(STREAMS):
        now, then = (median(of_round[place] for of_round in rates[name]) for name in checkouts)
        yield (
            f"torch alone, bf16, {streams} streams: {now:,.1f} tokens/s, before {then:,.1f}: {now / then:.2f} times "
            f"(goal ≥ {GOAL}: {verdict(now / then >= GOAL)})"
        )


def _rates(checkout: Path, folder: Path) -> list[float]:
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "SHOSEI_NATIVE": "0"}
    can_speculate = (checkout / "src/shosei/engine/lookup.py").exists()
    options = ["--no-speculate"] if can_speculate else []
    words = [sys.executable, "-c", _MEASURE, str(folder), json.dumps(STREAMS), *options]
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [float(line) for line in done.stdout.split()]
