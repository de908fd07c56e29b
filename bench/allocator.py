"""What malloc's settings cost a training step: ``python bench/allocator.py [PRESET ROWS TOKENS]`` (ja-small 4 512).

Three settings by turns, A B C C B A …, each turn in a process of its own: glibc's defaults, what ``shosei train`` asks
for (freed memory is kept), and all of it given back (``MALLOC_MMAP_THRESHOLD_``). AdamW, loss on every token. Prints
seconds of the last step, the kernel's share of the process's CPU seconds, and the largest resident set.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from plan import GIVES_BACK, train

from shosei.quantity import shown_bytes
from shosei.spec import preset
from shosei.spec.training import TrainingStep, training_memory
from shosei.train.memory import keep_freed_memory

SETTINGS = ("defaults", "kept", "given back")
TURNS = 4


def main() -> None:
    name, rows, tokens = sys.argv[1:] or ("ja-small", "4", "512")
    step = TrainingStep(int(rows), int(tokens), optimizer="adamw")
    print(f"{name}, {rows} x {tokens} tokens, planned {shown_bytes(training_memory(preset(name), step).peak)}")
    found: dict[str, list[tuple[float, float, int]]] = {setting: [] for setting in SETTINGS}
    for turn in range(TURNS):
        for setting in SETTINGS if turn % 2 == 0 else SETTINGS[::-1]:
            found[setting].append(measured(setting, name, step))
    for setting, turns in found.items():
        seconds, kernel, peaks = zip(*turns, strict=True)
        print(
            f"{setting}: {statistics.median(seconds):.2f} s a step (best {min(seconds):.2f}), "
            f"{statistics.median(kernel):.1f} s in the kernel, peak {shown_bytes(max(peaks))}"
        )


def measured(setting: str, name: str, step: TrainingStep) -> tuple[float, float, int]:
    os.environ.pop(GIVES_BACK, None)
    if setting == "given back":
        os.environ[GIVES_BACK] = str(1 << 20)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_steps, setting, name, step).result()


def _steps(setting: str, name: str, step: TrainingStep) -> tuple[float, float, int]:
    """Seconds of the last step, the kernel's of the process, and its largest resident set."""
    if setting == "kept":
        keep_freed_memory()
    seconds = train(preset(name), step)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return seconds, used.ru_stime, used.ru_maxrss * 1024


if __name__ == "__main__":
    main()
