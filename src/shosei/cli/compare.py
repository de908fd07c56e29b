"""``shosei compare``: two runs, or the turns of two targets, with a verdict for every metric."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shosei.cli.common import JsonOption, LanguageOption, ProfileOption, print_page, say
from shosei.cli.reports import JunitOption, add_to_job_summary, check_files
from shosei.errors import InputError, nearest
from shosei.progress import progress

if TYPE_CHECKING:
    from shosei.compare import NamedAttempts


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="The baseline's run folder, or one of 'shosei alternate'.")],
    b: Annotated[
        Path | None, typer.Argument(metavar="B", help="The candidate's run folder.", show_default=False)
    ] = None,
    profile: ProfileOption = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Let only this metric decide.", show_default=False)
    ] = None,
    attempt_a: Annotated[int | None, typer.Option(help="Attempt of A (default: the latest).")] = None,
    attempt_b: Annotated[int | None, typer.Option(help="Attempt of B (default: the latest).")] = None,
    lang: LanguageOption = None,
    markdown: Annotated[
        str | None,
        typer.Option("--markdown", metavar="FILE", help="Write Markdown for a pull request; - prints it."),
    ] = None,
    junit: JunitOption = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one HTML page that opens offline.")
    ] = None,
    answers: Annotated[
        bool, typer.Option("--answers/--no-answers", help="Whether to show the answers that changed.")
    ] = True,
    as_json: JsonOption = False,
) -> int:
    """Say of every metric whether B is better, worse or equivalent, or that it cannot be told.

    Exit code 3: something is worse; 5: a measurement is invalid; 4: something is undecided. What decides: --metric,
    else what the profile requires, else all that can be decided: of single runs not speeds, times and sizes, which
    only 'shosei alternate' can decide, nor errors, crashes and restarts that neither side had. p values are corrected
    for as many comparisons as decide; without --metric and --profile for all, and at least 15.
    Of tasks that both were asked it shows the answers that were right and no longer are, and the other way round. In a
    job on GitHub the Markdown is added to the job's summary.
    """
    from shosei import compare as comparing
    from shosei.card.words import language
    from shosei.files import write_atomic
    from shosei.metrics.metric import COST_KEYS, METRIC_IDS
    from shosei.metrics.service_level import ServiceLevel
    from shosei.profile.profile import read_profile

    ids = [*(id for group in METRIC_IDS.values() for id in group), *(id for id, _ in COST_KEYS)]
    for id in metric or []:
        if id not in ids:
            raise InputError(f"unknown metric '{id}'{nearest(id, ids)}")
    spoken = language(lang or "en")
    asked = read_profile(profile) if profile else None
    if (costs := [id for id, _ in COST_KEYS if id in (metric or [])]) and not (asked and asked.prices):
        raise InputError(f"--metric {costs[0]} needs prices: name a --profile that has a table [prices]")
    service_level = asked.service_level if asked else ServiceLevel()
    report = Path(markdown) if markdown and markdown != "-" else None
    check_files({"--markdown": report, "--html": html, "--junit": junit})
    if b is None and (attempt_a, attempt_b) != (None, None):
        raise InputError("--attempt-a and --attempt-b are for two runs: a folder of turns is compared as a whole")
    sides = _turns(a) if b is None else _runs((a, attempt_a), (b, attempt_b))
    with progress("comparing"):
        comparison = comparing.compare_logs(
            *sides,
            service_level,
            comparing.margins(asked) if asked else {},
            by_turns=b is None,
            asked=comparing.asked_for(metric or [], asked),
            prices=asked.prices if asked else None,
            answers=answers,
        )
    decision = comparing.Decision.of(comparison, metric or [], asked)
    page = comparing.markdown(decision, spoken)
    if report:
        write_atomic(report, page)
    if html:
        write_atomic(html, comparing.html(decision, lang and spoken))
    if junit:
        write_atomic(junit, comparing.junit(decision))
    add_to_job_summary(page)
    if as_json:
        print(comparing.as_json(decision), end="", flush=True)
    elif markdown == "-":
        print(page, end="", flush=True)
    else:
        print_page(comparing.terminal(decision, spoken), 160)
    return decision.exit_code


def _turns(folder: Path) -> tuple[NamedAttempts, NamedAttempts]:
    from shosei.compare import pairs_of_turns
    from shosei.log import attempts, open_run, read_log

    run = open_run(folder)
    return pairs_of_turns([read_log(run.log, attempt) for attempt in attempts(run.log)])


def _runs(*attempts: tuple[Path, int | None]) -> tuple[NamedAttempts, NamedAttempts]:
    """The attempts by the names of their folders, with the attempt's number where both have the same name."""
    from shosei.log import open_run, read_log

    logs = []
    for folder, attempt in attempts:
        logs.append(read_log(open_run(folder).log, attempt))
        for warning in logs[-1].warnings:
            say(f"warning: {warning}")
    names = [folder.resolve().name for folder, _ in attempts]
    if names[0] == names[1]:
        names = [f"{name} #{log.attempt}" for name, log in zip(names, logs, strict=True)]
    return (names[0], [logs[0]]), (names[1], [logs[1]])
