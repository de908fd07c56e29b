"""``shosei exam``: ask a served model the tasks of some suites, and keep its raw answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shosei.cli.common import JsonOption, RunOption, result, run_async, say
from shosei.errors import EXIT_INVALID, EXIT_OK

if TYPE_CHECKING:
    from shosei.exam import Counts, OnProgress

_SECONDS_BETWEEN_LINES = 2.0
# Which requests are in flight together, and how long is waited, decide on no answer.
_INCIDENTAL = ("concurrency", "timeout_s")


def exam(
    context: typer.Context,
    url: Annotated[
        str, typer.Argument(help="An OpenAI-compatible server, such as http://127.0.0.1:8000", show_default=False)
    ] = "",
    suite: Annotated[
        Path | None, typer.Option(help="A suite or benchmark file, or a folder of them.", show_default=False)
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
    grader: Annotated[
        str | None, typer.Option(help="Of a table: number, choice, label, text or exact.", show_default=False)
    ] = None,
    lang: Annotated[
        str | None, typer.Option(help="zh, ja or en (default: by the script of each question).", show_default=False)
    ] = None,
    shots_from: Annotated[
        Path | None, typer.Option(help="The file they come from, in the suite's format.", show_default=False)
    ] = None,
    regrade: Annotated[
        Path | None, typer.Option(help="A run whose programs to run again, without a server.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Ask a served model every task of the suites; 'shosei card' grades the answers.

    Called again after an interruption, with the same suites and settings, it goes on. Exit code 5 if not one request
    was answered.
    """
    from shosei.cli.regrade import regrade as run_again
    from shosei.cli.regrade import suites_asked
    from shosei.config import save
    from shosei.errors import InputError
    from shosei.exam import ExamConfig, check, run_exam
    from shosei.exam.benchmarks import Schema, benchmark_files, read_benchmark, read_benchmarks
    from shosei.exam.prompting import with_shots
    from shosei.exam.resume import NOTHING, unfinished
    from shosei.files import sha256
    from shosei.log import open_run, read_log
    from shosei.metrics.accuracy.items import items

    settings: ExamConfig = context.obj.load(ExamConfig)
    if lang not in (None, "zh", "ja", "en"):
        raise InputError(f"--lang {lang}: choose zh, ja or en")
    schema = Schema(
        form or "", _pairs("--map", columns), lang=lang or "", grader=grader or "", labels=_pairs("--label", labels)
    )
    if regrade:
        again = open_run(regrade)
        suites = [suite] if suite else suites_asked(read_log(again.log))
        return run_again(again, settings, [task for each in suites for task in read_benchmarks(each, schema)], as_json)
    if not (url and suite):
        raise InputError("name the URL of a server and a --suite, or a run to --regrade")
    tasks = read_benchmarks(suite, schema)
    hashes = {f"suite:{file.stem}": sha256(file) for file in benchmark_files(suite)}
    if settings.shots:
        if not shots_from:
            raise InputError(f"--shots {settings.shots} needs --shots-from FILE: examples that are not in the suite")
        tasks = with_shots(tasks, read_benchmark(shots_from, schema), settings.shots)
        hashes["shots"] = sha256(shots_from)
    folder = open_run(run, must_exist=False)
    settings, proof = run_async(check(settings, url, tasks))
    config = settings.model_dump() | {"answers": len(tasks) * settings.samples, "url": url}
    kept = unfinished(folder, "exam", config, hashes, lambda _, kept: not (proof and kept.unexecuted), _INCIDENTAL)
    manifest: dict[str, Any] = {"config": config, "hashes": hashes, "sandbox": proof.level if proof else "none"}
    with folder.recording("exam", "inference", new_attempt=False if kept else None, **manifest) as record:
        save(folder.toml, "exam", settings)
        if proof:
            say(f"exam: programs run in {proof}")
        if kept:
            say(f"exam: goes on; {len(kept.answers)} answers and {len(kept.executed)} executions are kept")
        counts = run_async(run_exam(settings, proof, url, tasks, record.writer, progress_of("exam"), kept or NOTHING))
        record.exit_code = EXIT_OK if any(count.answered for count in counts.values()) else EXIT_INVALID
    graded = folder.write("items.jsonl", items(read_log(folder.log, record.writer.attempt)))
    lines = [f"{'suite':24}{'answered':>9}{'failed':>8}{'executed':>10}"]
    for name, count in counts.items():
        lines.append(f"{name:24}{count.answered:9}{count.failed:8}{count.executed:10}")
        if count.first_error:
            lines.append(f"  the first failure: {count.first_error}")
    if not proof and any(task.grader == "python" for task in tasks):
        lines.append("programs among the answers were not executed: --sandbox none")
    lines += [f"each answer with its grade: {graded}", f"graded by: shosei card {folder.folder}"]
    values = {
        "run": str(folder.folder),
        "attempt": record.writer.attempt,
        "sandbox": manifest["sandbox"],
        "items": str(graded),
        "suites": {
            name: {"answered": count.answered, "failed": count.failed, "executed": count.executed, "kept": count.kept}
            for name, count in counts.items()
        },
    }
    result(values, lines, as_json=as_json)
    return record.exit_code


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
        if not is_last and now - shown < _SECONDS_BETWEEN_LINES:
            return
        shown = now
        if count.executed:
            say(f"{verb}: {count.executed}/{count.programs} programs run")
            return
        left_s = (now - begin) / (count.done - count.kept) * (count.total - count.done)
        say(f"{verb}: {count.done}/{count.total} asked, {count.failed} failed, {left_s:.0f} s left to ask")

    return show
