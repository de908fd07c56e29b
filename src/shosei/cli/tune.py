"""``shosei tune``: search for better settings of a server, a training or an agent system, and confirm their gain."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shosei.cli.access import words_without
from shosei.cli.common import JsonOption, LanguageOption, ProfileOption, print_page, require, result, say
from shosei.cli.reports import add_to_job_summary
from shosei.errors import EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_OK, InputError, MeasurementInvalid, nearest

if TYPE_CHECKING:
    from shosei.log import Event, Log, Run, TuneBegin, TuneTrial, TuneVerdict
    from shosei.profile.profile import Profile
    from shosei.tune.target import Target
    from shosei.tune.trial import Subject

_VERB = "tune"
# Of the verdict, what --json has.
_JSON = ["verdict", "reason", "best", "finalists", "luckiest", "noise", "trials", "seconds"]
_JSON += ["saved_trials", "saved_seconds", "least_budget"]
_CODES = {"gain": EXIT_OK, "keep": EXIT_OK, "insufficient": EXIT_INCONCLUSIVE, "invalid": EXIT_INVALID}


def tune(
    kind: Annotated[str, typer.Argument(metavar="serve|train|agent", help="What is tuned.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A target's name, such as vllm, or its *.toml.")],
    out: Annotated[Path, typer.Option(help="Run folder, of this search alone.")],
    profile: ProfileOption = None,
    budget: Annotated[str, typer.Option(help="Trials or time, all included: 60trials, 30m, 2h.")] = "60trials",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of candidates, schedules and orders.")] = 0,
    storage: Annotated[
        str, typer.Option(metavar="URL", help="Optuna's storage, by which several machines search together.")
    ] = "",
    propose: Annotated[
        str, typer.Option(metavar="URL", help="agent: a model that writes more texts for its settings.")
    ] = "",
    proposals: Annotated[int, typer.Option(min=1, help="How many for each setting.")] = 3,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override the target: serve.model=PATH, space.slots.high=32.", show_default=False),
    ] = None,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> int:
    """Find better settings, and confirm on fresh measurements that they are.

    The search believes what it likes; a gain is announced only where finalists beat the defaults on new seeds, in a
    paired test. "Keep your defaults" is a result, too: exit code 0. 4: the budget was too small to confirm anything;
    5: the defaults never worked. The same command goes on with a search that was stopped; with a larger --budget, too,
    as long as nothing of the confirmation has begun.
    """
    from shosei.card.words import language
    from shosei.log import open_run
    from shosei.profile.profile import read_profile
    from shosei.tune.budget import Budget
    from shosei.tune.proposer import connected
    from shosei.tune.setting import has_others
    from shosei.tune.target import KINDS, asked, read_target

    require("optuna")
    spoken = language(lang or "en")
    Budget.parse(budget)
    tuned = next((each for each in KINDS if each == kind), None)
    if tuned is None:
        raise InputError(f"tune {kind}: what is tuned is serve, train or agent{nearest(kind, KINDS)}")
    limits = read_profile(profile) if profile else None
    chosen = read_target(target, tuned, overrides or ())
    if propose and tuned != "agent":
        raise InputError(f"--propose is for the texts of an agent system: leave it out of 'tune {tuned}'")
    if not (propose or has_others(chosen.space)):
        raise InputError(
            f"{target}: each setting of its space has one choice alone: add others, or --propose a model's"
        )
    try:
        subject = _subject(chosen, limits)
    except InputError as error:
        raise InputError(f"{target}: {error}") from None
    run = open_run(out, must_exist=False)
    if storage:
        connected(storage)
    with run.alone(_VERB):
        if propose:
            chosen, subject = _widened(chosen, subject, limits, run, propose, proposals, seed)
        past = _past(run, budget, lambda budget: asked(chosen, limits, budget, seed).target_hash)
        begin = asked(chosen, limits, budget, seed)
        _say_what_is_asked(run, begin, spoken)
        name = f"{chosen.name} {asked(chosen, limits, '', 0).target_hash[:8]}"  # whatever each machine's seed
        verdict = _studied(run, past, begin, chosen, subject, (storage, name), spoken)
        return _told(run, subject, verdict, lang, spoken, as_json=as_json)


def _subject(target: Target, profile: Profile | None) -> Subject:
    """Who measures candidates."""
    from shosei.tune.agent import AgentSubject
    from shosei.tune.serve import ServeSubject
    from shosei.tune.train import TrainSubject

    kinds: dict[str, Callable[[Target, Profile | None], Subject]]
    kinds = {"serve": ServeSubject, "train": TrainSubject, "agent": AgentSubject}
    return kinds[target.kind](target, profile)


def _widened(
    target: Target, subject: Subject, profile: Profile | None, run: Run, url: str, count: int, seed: int
) -> tuple[Target, Subject]:
    """With the texts that a model proposes."""
    from shosei.tune.agent import AgentSubject
    from shosei.tune.variants import widened

    assert isinstance(subject, AgentSubject)
    target, refused = widened(target, subject, run.folder / "proposals", url, count, seed)
    for line in refused:
        say(f"no proposal: {line}")
    return target, _subject(target, profile)


def _past(run: Run, budget: str, hash_of: Callable[[str], str]) -> Log | None:
    """The log of a search that stopped here.

    Raises InputError where it was asked something else, or where its budget can no more become ``budget``. ``hash_of``:
    of what is asked now, under the budget of then.
    """
    from shosei.log import RunBegin, TuneBegin, TuneTrialBegin, attempts, read_log
    from shosei.tune.budget import Budget

    if not run.log.is_dir() or not attempts(run.log):
        return None
    log = read_log(run.log)
    begins = log.of(TuneBegin)
    if not begins and {other.verb for other in log.of(RunBegin)} == {_VERB}:  # it stopped before it said anything
        return None
    new = "name a new folder with --out"
    if not begins or begins[-1].target_hash != hash_of(begins[-1].budget):
        raise InputError(f"{run.folder} holds another search, or this one with another target, profile or seed: {new}")
    said, wanted = Budget.parse(begins[-1].budget), Budget.parse(budget)
    if wanted.is_time != said.is_time or wanted.total < said.total:
        raise InputError(
            f"{run.folder} holds this search with --budget {said.said}, which can only become larger: {new}"
        )
    if wanted.total > said.total and any(trial.stage == "confirm" for trial in log.of(TuneTrialBegin)):
        raise InputError(
            f"{run.folder}: the confirmation has begun, whose rounds were settled by --budget {said.said}; to add some "
            f"when their results are known would prove nothing: {new}"
        )
    return log


def _say_what_is_asked(run: Run, begin: TuneBegin, language: str) -> None:
    from shosei.card.words import Translator
    from shosei.metrics.metric import text
    from shosei.tune.report import Report
    from shosei.tune.views import facts, setting_row

    of = Translator(language).of
    report = Report(run.name, begin, [], None)
    for key, words in facts(report):
        say(f"{of(text(key))}: {' · '.join(map(of, words))}")
    for name in report.space:
        _, values, default, _ = map(of, setting_row(report, name))
        say(f"  {name}: {values} ({of(text('tune.default'))}: {default})")
    say(f"{of(text('tune.target_hash'))}: {begin.target_hash}")


def _studied(
    run: Run,
    past: Log | None,
    begin: TuneBegin,
    target: Target,
    subject: Subject,
    shared: tuple[str, str],
    language: str,
) -> TuneVerdict:
    """The verdict of a search that is over, or of one from where it stopped. ``shared``: a storage and a name there."""
    from shosei.log import TuneBegin, TuneTrial
    from shosei.tune.budget import Budget
    from shosei.tune.record import Record, verdict_in
    from shosei.tune.study import Study

    budget = Budget.parse(begin.budget)
    said = [Budget.parse(each.budget) for each in past.of(TuneBegin)] if past else []
    is_said = bool(said) and said[-1].total == budget.total
    if past and is_said and (verdict := verdict_in(past)):
        return verdict
    with run.recording(
        _VERB,
        new_attempt=False,
        argv=target.recordable_words(words_without(shared[0])),  # whose URL may hold a password
        hashes={"target": begin.target_hash},
        seeds={_VERB: begin.seed},
        profile=begin.profile,
    ) as recording:

        def write(event: Event) -> None:
            """Put an event on the disk, or raise OSError where it takes none; say what a trial came to."""
            line = _line(event, begin, language) if isinstance(event, TuneTrial) else ""
            if not recording.writer.record([event]):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run.log))
            if line:
                say(line)

        if not is_said:
            write(begin)
        study = Study(target, subject, Record(run.folder, write, past), budget, begin.seed)
        try:
            verdict = study.run(said[:-1] if is_said else said, *shared)
        except MeasurementInvalid as error:
            say(f"shosei: {error}")
            verdict = study.invalid()
        except KeyboardInterrupt:
            say("\nthe same command goes on from there")
            raise
        write(verdict)
        recording.exit_code = _CODES[verdict.verdict]
    return verdict


def _line(trial: TuneTrial, begin: TuneBegin, language: str) -> str:
    from shosei.card.words import Translator
    from shosei.tune.report import Point, Report
    from shosei.tune.views import trial_row

    row = trial_row(Report("", begin, [trial], None), Point(trial, None, None))
    number, changed, stage, value, _, _, outcome = map(Translator(language).of, row)
    came_to = [*([] if trial.value is None else [value]), *([outcome] if outcome else [])]
    return f"{number:>4} {stage} · {changed}: {' · '.join(came_to)}"


def _told(run: Run, subject: Subject, verdict: TuneVerdict, lang: str | None, spoken: str, *, as_json: bool) -> int:
    """Write the report and the best settings; print the verdict; return its exit code."""
    import msgspec

    from shosei.card.words import Translator
    from shosei.log import read_log
    from shosei.tune.page import html
    from shosei.tune.report import Report
    from shosei.tune.views import markdown, terminal

    report = Report.of(read_log(run.log), run.name, subject.usable(verdict.best, run.folder))
    run.write("tune.html", html(report, lang and spoken))
    page = markdown(report, spoken)
    run.write("tune.md", page)
    add_to_job_summary(page)
    if as_json:
        said = {key: msgspec.to_builtins(getattr(verdict, key)) for key in _JSON}
        result({"run": str(run.folder), **said, "commands": list(report.commands)}, [], as_json=True)
    else:
        print_page(terminal(report, spoken), 100)
        term = Translator(spoken).term
        say(f"\n{term('tune.whole')}{term('colon')}{run.folder / 'tune.html'}")
    return _CODES[verdict.verdict]
