"""How fast a small model trains, alone and beside busy neighbours: ``python bench/train.py RUN [CHECKOUT …]``.

RUN has data and a tokenizer, such as a quickstart's. This code, and that of each CHECKOUT (a folder with ``src/``),
train STEPS steps of ``nano`` on copies of it, by turns: alone, then beside one busy process a core. Prints
milliseconds a step, medians of REPEATS with all values, each one's ratio to this code, and how much slower beside.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

STEPS, REPEATS = 100, 5
HERE = Path(__file__).resolve().parent.parent
BUSY = "while True: pass"


def main() -> None:
    run, checkouts = Path(sys.argv[1]), [HERE, *(Path(argument).resolve() for argument in sys.argv[2:])]
    seconds: dict[tuple[Path, bool], list[float]] = {(c, b): [] for c in checkouts for b in (False, True)}
    for _ in range(REPEATS):
        for (checkout, beside), values in seconds.items():
            values.append(seconds_a_step(run, checkout, beside))
    for (checkout, beside), values in seconds.items():
        ratio = median(values) / median(seconds[HERE, beside])
        slower = median(values) / median(seconds[checkout, False])
        print(
            f"{checkout.name:12} {'beside' if beside else 'alone':7} {median(values) * 1e3:6.1f} ms a step "
            f"({', '.join(f'{value * 1e3:.1f}' for value in values)}); {ratio:.2f} of ours, {slower:.2f} of alone"
        )


def seconds_a_step(run: Path, checkout: Path, beside: bool) -> float:
    """The trainer's own rate, without start and evaluation."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as neighbours:
        copy = Path(scratch) / "run"
        for name in ("data", "tokenizer"):
            shutil.copytree(run / name, copy / name)
        (copy / "log").mkdir()
        for _ in range(len(os.sched_getaffinity(0)) if beside else 0):
            neighbour = subprocess.Popen([sys.executable, "-c", BUSY])
            neighbours.callback(neighbour.wait)
            neighbours.callback(neighbour.kill)
        options = ["--set", f"train.max_steps={STEPS}", "--set", "train.checkpoint_steps=100000", "--json"]
        trained = subprocess.run(
            [sys.executable, "-m", "shosei", "train", "--run", str(copy), *options],
            env=os.environ | {"PYTHONPATH": str(checkout / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    return float(json.loads(trained.stdout)["rates"]["seconds_in_steps"]) / STEPS


if __name__ == "__main__":
    main()
