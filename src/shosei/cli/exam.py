"""``shosei exam``: ask a served model the tasks of some suites, and keep its raw answers."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shosei.cli.common import JsonOption, RunOption, pairs_of, result, run_async, say
from shosei.cli.exam_results import held_truth_lines, missing_packages, results_of, results_table
from shosei.errors import EXIT_INVALID, EXIT_OK
from shosei.progress import progress

if TYPE_CHECKING:
    from shosei.exam import ExamConfig
    from shosei.exam.benchmarks import Schema
    from shosei.wire.suite import Task

_SHOWN = 3  # tasks of each suite, at the start
# Which requests are in flight together, and how long is waited, decide on no answer; samples follow from the rest.
_INCIDENTAL = ("concurrency", "timeout_s", "retries", "retry_wait_s", "drawn")


def exam(
    context: typer.Context,
    url: Annotated[
        str, typer.Argument(help="An OpenAI-compatible server, such as http://127.0.0.1:8000", show_default=False)
    ] = "",
    suite: Annotated[
        list[Path] | None,
        typer.Option(help="A suite or benchmark file, or a folder of them; repeatable.", show_default=False),
    ] = None,
    run: RunOption = None,
    form: Annotated[
        str | None, typer.Option("--format", help="shosei, humaneval, table or squad (default: what it looks like).")
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--map", help="A column by another name: answer=solution.", show_default=False)
    ] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", help="A label's meaning: 1=正面.", show_default=False)
    ] = None,
    answer_is: Annotated[
        str | None,
        typer.Option(
            help="How a table gives the right choice: index0 or index1 (counted from 0 or 1), letter or text.",
            show_default=False,
        ),
    ] = None,
    grader: Annotated[
        str | None, typer.Option(help="Of a table: number, choice, label, text, exact or judge.", show_default=False)
    ] = None,
    f1: Annotated[
        str | None,
        typer.Option(help="Grade free text by a benchmark's own rule: cmrc2018 (default: ours).", show_default=False),
    ] = None,
    lang: Annotated[
        str | None, typer.Option(help="zh, ja or en (default: by the script of each question).", show_default=False)
    ] = None,
    shots_from: Annotated[
        Path | None,
        typer.Option(help="File of worked examples (see --shots), in the suite's format.", show_default=False),
    ] = None,
    regrade: Annotated[
        Path | None, typer.Option(help="A run whose programs to run again, without a server.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Ask a served model every task of the suites; 'shosei card' grades the answers.

    Called again after an interruption or an outage, with the same suites and settings, it goes on. Exit code 5 if not
    one request was answered.
    """
    from dataclasses import asdict

    from shosei.cli.regrade import regrade as run_again
    from shosei.cli.regrade import suites_asked
    from shosei.config import save
    from shosei.errors import InputError
    from shosei.exam import ExamConfig, check, run_exam
    from shosei.exam.benchmarks import Schema, read_benchmarks
    from shosei.exam.resume import NOTHING, unfinished
    from shosei.exam.served_model import is_final
    from shosei.log import open_run, read_log
    from shosei.metrics.accuracy.items import items

    settings: ExamConfig = context.obj.load(ExamConfig)
    if lang not in (None, "zh", "ja", "en"):
        raise InputError(f"--lang {lang}: choose zh, ja or en")
    schema = Schema(
        form or "",
        pairs_of("--map", columns),
        lang=lang or "",
        grader=grader or "",
        labels=pairs_of("--label", labels),
        answer_is=answer_is or "",
        f1=f1 or "",
    )
    if regrade:
        again = open_run(regrade)
        paths = suite or suites_asked(read_log(again.log))
        with again.alone("exam"):
            return run_again(again, settings, read_benchmarks(*paths, schema=schema), as_json)
    if not (url and suite):
        raise InputError("name the URL of a server and a --suite, or a run to --regrade")
    with progress("reading the suites"):
        asked = _read(settings, suite, schema, shots_from)
    folder = open_run(run, must_exist=False)
    settings, proof = run_async(check(settings, url, asked.tasks))
    config = settings.recordable().model_dump() | {
        "answers": len(asked.tasks) * settings.samples,
        "drawn": asked.drawn,
        "url": url,
        "packages": proof.packages if proof else "",
        "understood": asdict(schema),
    }
    manifest: dict[str, Any] = {
        "argv": settings.recordable_words(sys.argv),
        "config": config,
        "hashes": asked.hashes,
        "sandbox": proof.level if proof else "none",
    }
    with folder.alone("exam"):
        kept = unfinished(
            folder, "exam", config, asked.hashes, lambda _, kept: not (proof and kept.unexecuted), _INCIDENTAL, is_final
        )
        with folder.recording("exam", "inference", new_attempt=False if kept else None, **manifest) as record:
            save(folder.toml, "exam", settings.recordable())
            say("\n".join(asked.understood))
            if proof:
                say(f"exam: programs run in {proof}")
            if kept:
                say(
                    f"exam: goes on; {len(kept.answers)} answers and {len(kept.executed)} executions are kept; "
                    "for an exam from the beginning name another --run"
                )
            work = run_exam(settings, proof, url, asked.tasks, record.writer, kept or NOTHING)
            counts = run_async(work)
            record.exit_code = EXIT_OK if any(count.answered for count in counts.values()) else EXIT_INVALID
        log = read_log(folder.log, record.writer.attempt)
        graded = folder.write("items.jsonl", items(log))
    suites = results_of(counts, log, asked.drawn)
    lines = [*results_table(suites), *held_truth_lines(log)]
    if not proof and any(task.grader == "python" for task in asked.tasks):
        lines.append("programs among the answers were not executed: --sandbox none")
    if for_judge := sum(task.grader == "judge" for task in asked.tasks):
        lines.append(f"{for_judge} tasks have no grader: shosei judge {folder.folder} --judge-url URL")
    needs, hints = missing_packages(log)
    lines += [*hints, f"each answer with its grade: {graded}", f"graded by: shosei card {folder.folder}"]
    values = {
        "run": str(folder.folder),
        "attempt": record.writer.attempt,
        "sandbox": manifest["sandbox"],
        "items": str(graded),
        "needs": needs,
        "suites": suites,
    }
    result(values, lines, as_json=as_json)
    return record.exit_code


@dataclass(frozen=True)
class _Asked:
    """The tasks of an exam, the hashes of their files, and lines that say how some of them were understood.

    ``drawn``: of each suite of which not all tasks are asked, how many are, of how many, and the seed.
    """

    tasks: Sequence[Task]
    drawn: dict[str, dict[str, int]]
    hashes: dict[str, str]
    understood: Sequence[str]


def _read(settings: ExamConfig, suites: Sequence[Path], schema: Schema, shots_from: Path | None) -> _Asked:
    """The tasks that are drawn from the suites, with worked examples before them. Raises InputError."""
    from shosei.errors import InputError
    from shosei.exam.benchmarks import benchmark_hashes, read_benchmark, read_benchmarks
    from shosei.exam.prompting import drawn, with_shots
    from shosei.files import sha256

    held = read_benchmarks(*suites, schema=schema)
    tasks, hashes = drawn(held, settings.limit, settings.seed), benchmark_hashes(*suites)
    asked, of_all = (Counter(task.suite for task in some) for some in (tasks, held))
    samples = {
        suite: {"asked": number, "held": of_all[suite], "seed": settings.seed}
        for suite, number in asked.items()
        if number < of_all[suite]
    }
    understood = [*_understood(tasks, samples), *not_used(suites, schema)]
    if settings.shots:
        if not shots_from:
            raise InputError(f"--shots {settings.shots} needs --shots-from FILE: examples that are not in the suite")
        tasks = with_shots(tasks, read_benchmark(shots_from, schema), settings.shots)
        hashes["shots"] = sha256(shots_from)
    return _Asked(tasks, samples, hashes, understood)


def _understood(tasks: Sequence[Task], samples: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Of each suite how many tasks are asked, and three of them, so that a person can see what counts as right."""
    from shosei.exam.prompting import excerpt

    lines = []
    for suite, number in Counter(task.suite for task in tasks).items():
        sample = samples.get(suite)
        of_all = f" of {sample['held']}, drawn with seed {sample['seed']}" if sample else ""
        graders = Counter(task.grader for task in tasks if task.suite == suite)
        by = next(iter(graders))
        if len(graders) > 1:
            by = ", ".join(f"{grader} ({count})" for grader, count in graders.items())
        lines.append(f"exam: {suite}: {number} tasks{of_all}; graded by {by}; as they are understood:")
        lines += [f"  {excerpt(task)}" for task in tasks if task.suite == suite][:_SHOWN]
    return lines


def not_used(suites: Sequence[Path], schema: Schema) -> list[str]:
    """Of each table the columns that nothing is made of."""
    from shosei.exam.benchmarks import benchmark_files, unused_columns

    columns = {file: unused_columns(file, schema) for file in benchmark_files(*suites)}
    return [f"exam: {file}: columns not used: {', '.join(names)}" for file, names in columns.items() if names]
