"""How well and how fast the quickstart trains: ``python bench/nano.py [SEED …]`` (seeds 0, 1 and 2 unless given).

For each seed: the public verbs data, tokenizer and train in a temporary run folder, then greedy answers to the
held-out suites. Prints accuracy with Wilson 95 % intervals, the wall time and CPU time of the training process,
its peak memory, and its rates. Functions are compared with their reference text, which is stricter than running them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from shosei.engine.engine import answer_greedily
from shosei.log import Score, open_run
from shosei.metrics.grading.grade import grade
from shosei.metrics.stats import wilson
from shosei.model import folder
from shosei.text import load_chat
from shosei.wire.suite import read_suites

GOAL = ("numerals", "kana", "width", "sums")


def main() -> None:
    for seed in [int(argument) for argument in sys.argv[1:]] or [0, 1, 2]:
        with tempfile.TemporaryDirectory() as scratch:
            run = Path(scratch) / "run"
            verb("data", run, "--seed", str(seed))
            verb("tokenizer", run)
            trained, cost = verb("train", run, "--set", f"train.seed={seed}")
            report(seed, trained["rates"] | cost | {"steps": trained["steps"]}, accuracies(run))


def verb(name: str, run: Path, *arguments: str) -> tuple[dict[str, Any], dict[str, float]]:
    """Run a verb as a process; return its JSON result, and its wall time, CPU time (s) and peak memory (MB)."""
    command = [sys.executable, "-m", "shosei", name, "--run", str(run), "--json", *arguments]
    begin = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    cost = {
        "wall_s": time.monotonic() - begin,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }
    return json.loads(output), cost


def accuracies(run_folder: Path) -> dict[str, tuple[int, int]]:
    """Right answers and tasks of each suite."""
    run = open_run(run_folder)
    model, spec = folder.load(run.model)
    chat = load_chat(run.model)
    tasks = read_suites(run.suites)
    prompts = [chat.render(task.messages) for task in tasks]
    answers = answer_greedily(model, spec, prompts, [task.max_tokens for task in tasks], [chat.tokenizer.end_id])
    counts: dict[str, tuple[int, int]] = {}
    for task, ids in zip(tasks, answers, strict=True):
        score = Score(
            suite=task.suite,
            item=task.id,
            cluster=task.cluster,
            truth=task.truth,
            answer=chat.tokenizer.decode(ids),
            grader=task.grader if task.grader != "python" else "exact",
        )
        right, n = counts.get(task.suite, (0, 0))
        counts[task.suite] = right + bool(grade(score, {})), n + 1
    return counts


def report(seed: int, cost: dict[str, float], counts: dict[str, tuple[int, int]]) -> None:
    print(
        f"seed {seed}: {cost['steps']:.0f} steps, {cost['wall_s']:.0f} s wall, {cost['cpu_s']:.0f} s CPU, "
        f"{cost['peak_mb']:.0f} MB, {cost['tokens_per_second']:,.0f} tokens/s, "
        f"{cost['gflops']:.0f} of {cost['gemm_peak_gflops']:.0f} GFLOP/s"
    )
    for suite, (right, n) in counts.items():
        low, high = wilson(right, n)
        print(f"  {suite:10} {right / n:.3f}  [{low:.3f}, {high:.3f}]  n {n}")
    macro = sum(counts[suite][0] / counts[suite][1] for suite in GOAL) / len(GOAL)
    print(f"  macro of {', '.join(GOAL)}: {macro:.4f}", flush=True)


if __name__ == "__main__":
    main()
