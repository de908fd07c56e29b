"""``shosei exam --regrade``: run an exam's programs again, without its server."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from shosei.cli.common import result, run_async, say
from shosei.errors import EXIT_OK, InputError
from shosei.progress import progress
from shosei.wrong_path import SUITE, advice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shosei.exam import ExamConfig
    from shosei.log import Log, Run
    from shosei.wire.suite import Task


def regrade(folder: Run, settings: ExamConfig, tasks: Sequence[Task], as_json: bool) -> int:
    """Run the programs of the run's last exam again, and say which outcomes change.

    Where the run's list of answers was graded by older rules, what today's change in it is noted in the log, as the
    list is written anew.
    """
    from shosei.cli.exam_results import missing_packages
    from shosei.exam.regrade import programs_of, run_again, tasks_of
    from shosei.log import Note, read_log
    from shosei.metrics.accuracy.items import items
    from shosei.sandbox import choose

    log = read_log(folder.log)
    kept = programs_of(log)
    asked = tasks_of(kept, tasks)
    if not settings.executes:
        raise InputError("--regrade runs programs: leave out --sandbox none")
    with progress("trying the sandbox"):
        proof = run_async(choose(settings))
    settings = settings.model_copy(update={"sandbox": proof.backend})
    say(f"exam: programs run in {proof}")
    config = settings.model_dump(include={"sandbox", "cpu_s", "wall_s", "memory_bytes"})
    config["packages"] = proof.packages
    with folder.recording("exam", "inference", new_attempt=False, sandbox=proof.level, config=config) as record:
        counts = run_async(run_again(settings, proof, kept, asked, record.writer))
        record.writer.flush()
        after = read_log(folder.log, log.attempt)
        regraded = _keep_regraded(folder, after)
        for sentence in regraded:
            record.writer.emit(Note(level="warning", text=sentence))
        graded = folder.write("items.jsonl", items(after))
        record.exit_code = EXIT_OK
    lines, values = _changed(log, after)
    lines += regraded
    executed = sum(count.executed for count in counts.values())
    values["needs"], hints = missing_packages(after)
    lines += [*hints, f"each answer with its grade: {graded}", f"graded by: shosei card {folder.folder}"]
    values |= {"run": str(folder.folder), "attempt": log.attempt, "executed": executed, "items": str(graded)}
    result(values, [f"{executed} programs run", *lines], as_json=as_json)
    return EXIT_OK


def _keep_regraded(folder: Run, log: Log) -> list[str]:
    """Write down what other rules than those of today made of the run's answers; a sentence, where they were others."""
    from shosei.card import translated
    from shosei.metrics.accuracy.regraded import read_changes, warning

    version, changed, lines = read_changes(folder.folder / "items.jsonl", log)
    if lines:
        folder.write("regraded.jsonl", lines)
    return [translated(sentence) for sentence in warning(version, changed)]


def _changed(before: Log, after: Log) -> tuple[list[str], dict[str, object]]:
    """Which programs' outcomes differ: for people, and for programs."""
    from shosei.log import Exec
    from shosei.metrics.grading.grade import outcomes

    old, new = outcomes(before.of(Exec)), outcomes(after.of(Exec))
    changes = [(f"{key[0]}/{key[1]}", old.get(key, "not run"), new[key]) for key in new if old.get(key) != new[key]]
    lines = [f"{name}: {was} -> {now}" for name, was, now in changes]
    return lines, {"changed": [{"task": name, "before": was, "after": now} for name, was, now in changes]}


def suites_asked(log: Log) -> list[Path]:
    """Where the suites of the run's exam were. Raises InputError: it does not say, or they are not there now."""
    from shosei.log import RunBegin

    argvs = [begin.argv for begin in log.of(RunBegin) if begin.verb == "exam"]
    words = [[part for word in argv for part in _divided(word)] for argv in argvs]
    said = [[Path(value) for option, value in itertools.pairwise(each) if option == "--suite"] for each in words]
    paths = next((each for each in reversed(said) if each), [])
    if not paths:
        raise InputError("the run has no exam whose suites are known: name them with --suite")
    for path in paths:
        if not path.exists():
            near = advice(path, SUITE) or "take it from where it is now"
            raise InputError(f"the suite that was asked, {path}, is not there: name it with --suite; {near}")
    return paths


def _divided(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--suite=") else [word]
