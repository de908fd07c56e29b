"""``shosei exam``: ask a served model the tasks of some suites, and keep its raw answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shosei.cli.common import ConfigOption, JsonOption, RunOption, SetOption, result, run_async, say
from shosei.errors import EXIT_INVALID, EXIT_OK

if TYPE_CHECKING:
    from shosei.exam import SuiteCount

_SECONDS_BETWEEN_LINES = 2.0


def exam(
    url: Annotated[str, typer.Argument(help="An OpenAI-compatible server, such as http://127.0.0.1:8000")],
    suite: Annotated[Path, typer.Option(help="A suite (*.jsonl), or a folder of them.", show_default=False)],
    run: RunOption = None,
    sandbox: Annotated[
        str | None, typer.Option(help="How to run programs: 'rlimits', or 'none' (the default): not at all.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests in flight at most (default 8).")] = None,
    config_file: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> int:
    """Ask a served model every task of the suites; 'shosei card' grades the answers.

    Exit code 5 if not one request was answered.
    """
    from shosei.config import load, save
    from shosei.exam import ExamConfig, check, run_exam
    from shosei.files import sha256
    from shosei.log import open_run
    from shosei.wire.suite import read_suites, suite_files

    given = {"sandbox": sandbox, "concurrency": concurrency}
    flags = [f"exam.{key}={json.dumps(value)}" for key, value in given.items() if value is not None]
    settings = load(ExamConfig, "exam", config_file, [*flags, *(overrides or [])])
    tasks = read_suites(suite)
    folder = open_run(run, must_exist=False)
    settings = run_async(check(settings, url))
    hashes = {f"suite:{file.stem}": sha256(file) for file in suite_files(suite)}
    config = settings.model_dump() | {"answers": len(tasks) * settings.samples}
    with folder.recording("exam", "inference", config=config, hashes=hashes, sandbox=settings.sandbox) as record:
        save(folder.toml, "exam", settings)
        counts = run_async(run_exam(settings, url, tasks, record.writer, _printer()))
        record.exit_code = EXIT_OK if any(count.answered for count in counts.values()) else EXIT_INVALID
    lines = [f"{'suite':24}{'answered':>9}{'failed':>8}{'executed':>10}"]
    for name, count in counts.items():
        lines.append(f"{name:24}{count.answered:9}{count.failed:8}{count.executed:10}")
        if count.first_error:
            lines.append(f"  the first failure: {count.first_error}")
    if not settings.executes and any(task.grader == "python" for task in tasks):
        lines.append("programs among the answers were not executed; to run them, add --sandbox rlimits")
    lines.append(f"graded by: shosei card {folder.folder}")
    values = {
        "run": str(folder.folder),
        "attempt": record.writer.attempt,
        "sandbox": settings.sandbox,
        "suites": {
            name: {"answered": count.answered, "failed": count.failed, "executed": count.executed}
            for name, count in counts.items()
        },
    }
    result(values, lines, as_json=as_json)
    return record.exit_code


def _printer() -> Callable[[dict[str, SuiteCount]], None]:
    """A progress line every two seconds, and one at the end of each stage: asking, then running programs."""
    import time

    begin = shown = time.monotonic()

    def show(counts: dict[str, SuiteCount]) -> None:
        nonlocal shown
        done, total = sum(count.done for count in counts.values()), sum(count.total for count in counts.values())
        run, programs = (
            sum(count.executed for count in counts.values()),
            sum(count.programs for count in counts.values()),
        )
        now = time.monotonic()
        ended = run == programs if run else done == total
        if not ended and now - shown < _SECONDS_BETWEEN_LINES:
            return
        shown = now
        if run:
            say(f"exam: {run}/{programs} programs run")
            return
        failed = sum(count.failed for count in counts.values())
        say(f"exam: {done}/{total} asked, {failed} failed, {(now - begin) / done * (total - done):.0f} s left to ask")

    return show
