"""``shosei exam``: ask a served model the tasks of some suites, and keep its raw answers."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shosei.cli.common import BETWEEN_LINES_S, JsonOption, RunOption, result, run_async, say
from shosei.errors import EXIT_INVALID, EXIT_OK

if TYPE_CHECKING:
    from shosei.exam import Counts, ExamConfig, OnProgress
    from shosei.exam.benchmarks import Schema
    from shosei.log import Log
    from shosei.wire.suite import Task

_SHOWN = 3  # tasks of each suite, at the start
# Which requests are in flight together, and how long is waited, decide on no answer.
_INCIDENTAL = ("concurrency", "timeout_s", "retries", "retry_wait_s")


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
        str | None, typer.Option(help="Of a table: number, choice, label, text or exact.", show_default=False)
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
        _pairs("--map", columns),
        lang=lang or "",
        grader=grader or "",
        labels=_pairs("--label", labels),
        answer_is=answer_is or "",
    )
    if regrade:
        again = open_run(regrade)
        paths = suite or suites_asked(read_log(again.log))
        with again.alone("exam"):
            return run_again(again, settings, read_benchmarks(*paths, schema=schema), as_json)
    if not (url and suite):
        raise InputError("name the URL of a server and a --suite, or a run to --regrade")
    asked = _read(settings, suite, schema, shots_from)
    folder = open_run(run, must_exist=False)
    settings, proof = run_async(check(settings, url, asked.tasks))
    config = settings.recordable().model_dump() | {"answers": len(asked.tasks) * settings.samples, "url": url}
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
            work = run_exam(settings, proof, url, asked.tasks, record.writer, progress_of("exam"), kept or NOTHING)
            counts = run_async(work)
            record.exit_code = EXIT_OK if any(count.answered for count in counts.values()) else EXIT_INVALID
        log = read_log(folder.log, record.writer.attempt)
        graded = folder.write("items.jsonl", items(log))
    suites = _results(counts, log)
    lines = [*_table(suites), *_held_truths(log)]
    if not proof and any(task.grader == "python" for task in asked.tasks):
        lines.append("programs among the answers were not executed: --sandbox none")
    lines += [f"each answer with its grade: {graded}", f"graded by: shosei card {folder.folder}"]
    values = {
        "run": str(folder.folder),
        "attempt": record.writer.attempt,
        "sandbox": manifest["sandbox"],
        "items": str(graded),
        "suites": suites,
    }
    result(values, lines, as_json=as_json)
    return record.exit_code


@dataclass(frozen=True)
class _Asked:
    """The tasks of an exam, the hashes of their files, and lines that say how some of them were understood."""

    tasks: Sequence[Task]
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
    understood = [*_understood(held, tasks, settings.seed), *not_used(suites, schema)]
    if settings.shots:
        if not shots_from:
            raise InputError(f"--shots {settings.shots} needs --shots-from FILE: examples that are not in the suite")
        tasks = with_shots(tasks, read_benchmark(shots_from, schema), settings.shots)
        hashes["shots"] = sha256(shots_from)
    return _Asked(tasks, hashes, understood)


def _understood(held: Sequence[Task], tasks: Sequence[Task], seed: int) -> list[str]:
    """Of each suite how many tasks are asked, and three of them, so that a person can see what counts as right."""
    from shosei.exam.prompting import excerpt

    lines = []
    asked, all_there = Counter(task.suite for task in tasks), Counter(task.suite for task in held)
    for suite, number in asked.items():
        of_all = "" if number == all_there[suite] else f" of {all_there[suite]}, drawn with seed {seed}"
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


def _results(counts: Counts, log: Log) -> dict[str, dict[str, Any]]:
    """What came of each suite, with its score as the card has it, None where it has none."""
    from shosei.metrics.accuracy.pass_at_1 import by_suite

    scores = by_suite(log)
    results: dict[str, dict[str, Any]] = {}
    for suite, count in counts.items():
        value, interval, tasks = scores.get(suite, (None, (None, None), 0))
        results[suite] = {
            "answered": count.answered,
            "failed": count.failed,
            "executed": count.executed,
            "kept": count.kept,
            "cut": count.cut,
            "score": value,
            "interval": list(interval),
            "n": tasks,
            "errors": dict(count.errors),
            "first_error": count.first_error,
        }
    return results


def _table(suites: Mapping[str, Mapping[str, Any]]) -> list[str]:
    from shosei.metrics.observed.answers import CUT_LIMIT

    numbers = f"{'n':>6}{'answered':>10}{'cut':>6}{'failed':>8}{'executed':>10}"
    lines = [f"{'suite':24}{'score':>7}  {'95 % interval':16}{numbers}"]
    for name, suite in suites.items():
        graded = suite["score"] is not None
        score = f"{suite['score']:7.3f}" if graded else f"{'-':>7}"
        interval = f"{suite['interval'][0]:.3f} to {suite['interval'][1]:.3f}" if graded else "-"
        numbers = f"{suite['n']:6}{suite['answered']:10}{suite['cut']:6}{suite['failed']:8}{suite['executed']:10}"
        lines.append(f"{name:24}{score}  {interval:16}{numbers}")
        if suite["first_error"]:
            errors = ", ".join(f"{count} {error}" for error, count in suite["errors"].items())
            lines.append(f"  {errors}; the first failure: {suite['first_error']}")
        if suite["cut"] > CUT_LIMIT * suite["answered"]:
            lines.append(f"  {suite['cut']} answers were cut at the limit of tokens: raise it with --max-tokens")
    return lines


def _held_truths(log: Log) -> list[str]:
    """Of each suite that has many of them: the wrong answers that hold their truth, and the first one."""
    from shosei.exam.prompting import shortened
    from shosei.metrics.accuracy.held_truths import held_truths

    lines = []
    for name, suite in held_truths(log).items():
        if suite.are_many:
            first = suite.holding[0]
            shown = f"'{shortened(first.answer, 60)}' for '{shortened(first.truth, 30)}'"
            lines.append(f"{name}: {len(suite.holding)} of {suite.wrong} wrong answers contain the truth: {shown}")
    return lines


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    from shosei.errors import InputError

    pairs = dict(each.partition("=")[::2] for each in given or [])
    for name, value in pairs.items():
        if not name or not value:
            raise InputError(f"{option} {name}: write it as NAME=VALUE")
    return pairs


def progress_of(verb: str) -> OnProgress:
    """A progress line every two seconds, and one at the end of each stage: asking, then running programs."""
    import time

    from shosei.exam.counts import summed

    begin = shown = time.monotonic()

    def show(counts: Counts) -> None:
        nonlocal shown
        count, now = summed(counts), time.monotonic()
        is_last = count.executed == count.programs if count.executed else count.done == count.total
        if not is_last and now - shown < BETWEEN_LINES_S:
            return
        shown = now
        if count.executed:
            say(f"{verb}: {count.executed}/{count.programs} programs run")
            return
        left_s = (now - begin) / (count.done - count.kept) * (count.total - count.done)
        say(f"{verb}: {count.done}/{count.total} asked, {count.failed} failed, {left_s:.0f} s left to ask")

    return show
