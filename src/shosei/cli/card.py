"""``shosei card``, ``metrics`` and ``log``: score an attempt; say what is measured; look into the events."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shosei.cli.common import JsonOption, LanguageOption, ProfileOption, print_page, result, say
from shosei.cli.reports import JunitOption, add_to_job_summary, check_files
from shosei.errors import (
    EXIT_INPUT,
    EXIT_OK,
    InputError,
    as_input_error,
    nearest,
)
from shosei.progress import progress

if TYPE_CHECKING:
    from shosei.card import Scorecard
    from shosei.log import Log, Run
    from shosei.metrics.metric import Words

RunArgument = Annotated[
    Path | None,
    typer.Argument(metavar="RUN", help="Run folder (default: the SHOSEI_RUN variable).", show_default=False),
]
AttemptOption = Annotated[
    int | None, typer.Option("--attempt", help="Attempt number (default: the latest).", show_default=False)
]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="Print the events of this kind as JSON lines.", show_default=False)
]
IdArgument = Annotated[
    str | None, typer.Argument(metavar="ID", help="One metric, such as pass_at_1 (default: all).", show_default=False)
]

_FOR_READING = (errno.EROFS, errno.EACCES, errno.EPERM)


def card(
    run: RunArgument = None,
    attempt: AttemptOption = None,
    profile: ProfileOption = None,
    wrong: Annotated[bool, typer.Option("--wrong", help="Only print every wrong answer; write nothing.")] = False,
    answers: Annotated[
        bool,
        typer.Option("--answers/--no-answers", help="Whether the card shows questions and answers."),
    ] = True,
    junit: JunitOption = None,
    openmetrics: Annotated[
        Path | None,
        typer.Option("--openmetrics", metavar="FILE", help="Write the card in OpenMetrics.", show_default=False),
    ] = None,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compute the 15 metrics of a run; write card.json, card.html and card.md into it; print the table.

    With a profile the exit code is its verdict: 0 all kept, 3 a limit missed, 4 not shown to be kept, 5 invalid.
    Without one it is 0, and the card says what a shipped profile would make of the run. card.html has the answers,
    wrong ones first, as many as keep it below 1 MB. The card of an agent system also has its agents and the first 20
    tasks that it got wrong, their texts cut at 200 characters. In a job on GitHub the card is added to the job's
    summary.
    """
    from shosei.card import answers as answers_of
    from shosei.card import (
        build,
        exit_code_of_judgements,
        facts,
        html,
        language,
        markdown,
        nearest_profile,
        summary,
        terminal,
        to_json,
        translated,
    )
    from shosei.log import attempts, open_run, read_log
    from shosei.metrics.cells import compute
    from shosei.metrics.metric import text
    from shosei.profile.profile import read_profile
    from shosei.verbs import printed

    chosen = open_run(run)
    spoken = language(lang or "en")
    asked = read_profile(profile) if profile else None
    if asked and not (asked.training or asked.inference or asked.prices):
        raise InputError(f"profile {asked.name} requires nothing: name metrics below [inference] or [training]")
    _check_files(junit, openmetrics, judged=bool(asked), wrong=wrong)
    log = read_log(chosen.log, attempt)
    if wrong:
        return _print_wrong(log, spoken, answers=answers, as_json=as_json)
    with progress("grading the answers by today's rules"):
        noticed, regraded = _regraded(chosen, log)
    metrics = compute(log, asked.service_level, asked.prices) if asked else compute(log)
    with progress("building the card"):
        scorecard = build(log, metrics, asked, noticed, answers=answers)
        hint = None if asked else nearest_profile(metrics, log)
        told = answers_of(log) if answers else None
    for warning in scorecard.warnings:
        say(translated(text("a_warning", words=warning), spoken))
    data = to_json(scorecard)
    with progress("writing the card"):
        views: dict[str, bytes | str] = {
            "card.md": markdown(scorecard, spoken, hint, answers=told),
            "card.html": html(scorecard, lang and spoken, hint, answers=told),
        }
    page, code = _written(chosen, regraded | {"card.json": data} | views)
    _write_for_programs(scorecard, junit, openmetrics)
    add_to_job_summary(summary(scorecard, spoken, hint, answers=told))
    if as_json:
        print(data, end="", flush=True)
    else:
        print_page(terminal(scorecard, spoken, hint, answers=told), 100)
        if page:
            say(f"\nthe whole card, with its plots: {page}")
        if others := [str(number) for number in attempts(chosen.log) if number != log.attempt]:
            say(f"this is attempt {log.attempt}; --attempt shows another: {', '.join(others)}")
        if scorecard.turn:
            say(f"it is one turn of two targets; this compares them: {printed('compare', str(chosen.folder))}")
    if not asked:
        return code
    verdict = exit_code_of_judgements(scorecard.judgements)
    what = text(f"verdict.exit_{facts.VERDICTS[verdict]}")
    say(translated(text("verdict.exit_code", profile=asked.name, code=verdict, what=what), spoken))
    return verdict or code


def _check_files(junit: Path | None, openmetrics: Path | None, *, judged: bool, wrong: bool) -> None:
    check_files({"--junit": junit, "--openmetrics": openmetrics})
    if wrong and (junit or openmetrics):
        raise InputError("--wrong writes nothing: leave out --junit and --openmetrics, or --wrong")
    if junit and not judged:
        raise InputError("--junit needs --profile: its tests are what a profile requires, such as --profile chatbot")


def _write_for_programs(scorecard: Scorecard, junit: Path | None, openmetrics: Path | None) -> None:
    from shosei import card as views
    from shosei.files import write_atomic

    if junit:
        write_atomic(junit, views.junit(scorecard))
    if openmetrics:
        write_atomic(openmetrics, views.openmetrics(scorecard))


def _print_wrong(log: Log, language: str, *, answers: bool, as_json: bool) -> int:
    """Every wrong task of an agent system, or every wrong answer; not only those that stand on the card."""
    from shosei.card import answers as answers_of
    from shosei.card.glance import wrong_tasks
    from shosei.card.words import Translator, to_json
    from shosei.card.wrong import wrong
    from shosei.card.wrong_answers import in_terminal

    tasks = wrong(log, None, answers=answers)
    told = answers_of(log)
    if not tasks and not told.suites:
        raise InputError("--wrong: no agent system's task was graded here, no question asked; 'shosei exam' asks some")
    if not tasks and not answers:
        raise InputError("--wrong prints questions and answers of an exam: leave --no-answers out")
    if as_json:
        print(to_json(tasks or told.wrong), end="", flush=True)
    else:
        translator = Translator(language)
        print_page(wrong_tasks(tasks, translator) if tasks else in_terminal(told, translator), 100)
    return EXIT_OK


def _regraded(run: Run, log: Log) -> tuple[list[Words], dict[str, bytes | str]]:
    """What other rules than those of today made of the run's answers: a warning, and a file with what changed."""
    from shosei.metrics.accuracy.regraded import read_changes, warning

    version, changed, lines = read_changes(run.folder / "items.jsonl", log)
    return [*warning(version, changed)], {"regraded.jsonl": lines} if lines else {}


def _written(run: Run, files: dict[str, bytes | str]) -> tuple[Path | None, int]:
    """Write the card's files; return the last one's path, and an exit code.

    Where nothing can be written, say so: a card can be read. A folder that is for reading only is no mistake; on a full
    disk, whoever reads the files next finds old ones.
    """
    page = None
    try:
        for name, data in files.items():
            page = run.write(name, data)
    except OSError as error:
        if not (reason := as_input_error(error)):
            raise
        stale = "; those in the folder are of an older card" if (run.folder / "card.json").exists() else ""
        say(f"warning: the card's files were not written: {reason}{stale}")
        return None, EXIT_OK if error.errno in _FOR_READING else EXIT_INPUT
    return page, EXIT_OK


def metrics(id: IdArgument = None, lang: LanguageOption = None, as_json: JsonOption = False) -> None:
    """Explain the 15 metrics: definition, formula, source, and what makes such numbers wrong."""
    from shosei.card.reference import as_dicts, as_markdown, references
    from shosei.card.words import language

    spoken = language(lang or "en")
    entries = [entry for entry in references() if id is None or entry.id == id.lower()]
    if not entries:
        raise InputError(f"unknown metric '{id}'{nearest(str(id).lower(), [entry.id for entry in references()])}")
    page = as_markdown(entries, spoken)
    if sys.stdout.isatty() and not as_json:
        from rich.markdown import Markdown

        print_page(Markdown(page), 100)
        return
    result({"metrics": as_dicts(entries)}, [page.rstrip("\n")], as_json=as_json)


def log(
    run: RunArgument = None, kind: KindOption = None, attempt: AttemptOption = None, as_json: JsonOption = False
) -> None:
    """Count a run's events by kind, or print those of one kind."""
    import msgspec

    from shosei.log import EVENTS, attempts, open_run, read_log
    from shosei.log.segments import segments

    if kind is not None and kind not in EVENTS:
        raise InputError(f"unknown event kind '{kind}'{nearest(kind, EVENTS)}")
    chosen = open_run(run)
    events = read_log(chosen.log, attempt)
    if kind is not None:
        for warning in events.warnings:
            say(f"warning: {warning}")
        for event in events.of(EVENTS[kind]):
            print(msgspec.json.encode(event).decode())
        return
    counts = {name: len(of_kind) for name, event in EVENTS.items() if (of_kind := events.part(event))}
    numbers = attempts(chosen.log)
    names = [segment.name for segment in segments(chosen.log)]
    values = {
        "attempt": events.attempt,
        "attempts": numbers,
        "segments": names,
        "events": counts,
        "warnings": events.warnings,
        "digest": events.digest,
    }
    lines = [f"attempt {events.attempt} of {', '.join(map(str, numbers))}; segments: {len(names)}", ""]
    lines += [f"{name:12}{count:10,}" for name, count in counts.items()]
    lines += ["", *(f"warning: {warning}" for warning in events.warnings), f"digest {events.digest}"]
    result(values, lines, as_json=as_json)
