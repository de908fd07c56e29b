"""``shosei tune``: search for better settings of a server, a training or an agent system, and confirm their gain."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shosei.cli.access import words_without
from shosei.cli.common import JsonOption, LanguageOption, ProfileOption, print_page, require, result, say
from shosei.cli.reports import add_to_job_summary
from shosei.errors import EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_OK, InputError, MeasurementInvalid, nearest

if TYPE_CHECKING:
    from shosei.log import Event, Log, Run, TuneBegin, TuneTrial, TuneVerdict, Writer
    from shosei.profile.profile import Profile
    from shosei.tune.target import Target
    from shosei.tune.trial import Subject

_VERB = "tune"
# Of the verdict, what --json has.
_JSON: dict[str, Any] = {"verdict": "", "reason": "", "best": {}, "finalists": [], "luckiest": None, "noise": None}
_JSON |= {"trials": 0, "seconds": 0.0, "saved_trials": 0, "saved_seconds": 0.0}
_CODES = {"gain": EXIT_OK, "keep": EXIT_OK, "insufficient": EXIT_INCONCLUSIVE, "invalid": EXIT_INVALID}


def tune(
    kind: Annotated[str, typer.Argument(metavar="serve|train|agent", help="What is tuned.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A target's name, such as vllm, or its *.toml.")],
    out: Annotated[Path, typer.Option(help="Run folder, of this search alone.")],
    profile: ProfileOption = None,
    budget: Annotated[str, typer.Option(help="Trials or time, all included: 60trials, 30m, 2h.")] = "60trials",
    seed: Annotated[int, typer.Option(min=0, help="Of candidates, schedules and orders.")] = 0,
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
    5: the defaults never worked. The same command goes on with a search that was stopped.
    """
    from shosei.card.words import language
    from shosei.log import open_run
    from shosei.profile.profile import read_profile
    from shosei.tune.asked import asked
    from shosei.tune.budget import Budget
    from shosei.tune.target import KINDS, read_target

    require("optuna")
    spoken, spendable = language(lang or "en"), Budget.parse(budget)
    tuned = next((each for each in KINDS if each == kind), None)
    if tuned is None:
        raise InputError(f"tune {kind}: what is tuned is serve, train or agent{nearest(kind, KINDS)}")
    limits = read_profile(profile) if profile else None
    chosen = read_target(target, tuned, overrides or ())
    run = open_run(out, must_exist=False)
    with run.alone(_VERB):
        subject = _subject(chosen, limits)
        if propose:
            chosen, subject = _widened(chosen, subject, limits, run, propose, proposals, seed)
        begin = asked(chosen, limits, spendable, seed)
        past = _past(run, begin)
        _say_what_is_asked(run, begin, spoken)
        verdict = _studied(run, past, begin, chosen, subject, storage)
        return _told(run, chosen, subject, verdict, lang, spoken, as_json=as_json)


def _subject(target: Target, profile: Profile | None) -> Subject:
    """Who measures candidates."""
    from shosei.tune.agent import AgentSubject
    from shosei.tune.serve import ServeSubject
    from shosei.tune.train import TrainSubject

    kinds: dict[str, type[Any]] = {"serve": ServeSubject, "train": TrainSubject, "agent": AgentSubject}
    subject: Subject = kinds[target.kind](target, profile)
    return subject


def _widened(
    target: Target, subject: Subject, profile: Profile | None, run: Run, url: str, count: int, seed: int
) -> tuple[Target, Subject]:
    """With the texts that a model proposes."""
    from shosei.tune.agent import AgentSubject
    from shosei.tune.variants import widened

    if not isinstance(subject, AgentSubject):
        raise InputError(f"--propose is for the texts of an agent system: leave it out of 'tune {target.kind}'")
    target, refused = widened(target, subject, run.folder / "proposals", url, count, seed)
    for line in refused:
        say(f"no proposal: {line}")
    return target, _subject(target, profile)


def _past(run: Run, begin: TuneBegin) -> Log | None:
    """The log of a search that stopped here. Raises InputError where it was asked something else."""
    from shosei.log import RunBegin, TuneBegin, attempts, read_log

    if not run.log.is_dir() or not attempts(run.log):
        return None
    log = read_log(run.log)
    before = log.of(TuneBegin)
    if not before and {other.verb for other in log.of(RunBegin)} == {_VERB}:  # it stopped before it said anything
        return None
    if not before or before[-1].target_hash != begin.target_hash:
        raise InputError(
            f"{run.folder} holds another search, or this one with another target, profile, budget or seed: "
            "name a new folder with --out"
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
    run: Run, past: Log | None, begin: TuneBegin, target: Target, subject: Subject, storage: str
) -> TuneVerdict:
    """The verdict of a search that is over, or of one from where it stopped."""
    from shosei.log import TuneVerdict
    from shosei.tune.budget import Budget
    from shosei.tune.record import Record
    from shosei.tune.study import Study

    if past and (verdicts := past.of(TuneVerdict)):
        return verdicts[-1]
    with run.recording(
        _VERB,
        new_attempt=False,
        argv=words_without(storage),  # whose URL may hold a password
        hashes={"target": begin.target_hash},
        seeds={_VERB: begin.seed},
        profile=begin.profile,
    ) as recording:

        def write(event: Event) -> None:
            _write(run, recording.writer, event, begin)

        if past is None:
            write(begin)
        study = Study(target, subject, Record(run.folder, write, past), Budget.parse(begin.budget), begin.seed)
        try:
            verdict = study.run(storage)
        except MeasurementInvalid as error:
            say(f"shosei: {error}")
            verdict = study.invalid()
        except KeyboardInterrupt:
            say("\nthe same command goes on from there")
            raise
        write(verdict)
        recording.exit_code = _CODES[verdict.verdict]
    return verdict


def _write(run: Run, writer: Writer, event: Event, begin: TuneBegin) -> None:
    """Put an event on the disk, and say what a trial came to. Raises OSError where the disk does not take it."""
    from shosei.log import TuneTrial

    line = _line(event, begin) if isinstance(event, TuneTrial) else ""
    if not writer.record([event]):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run.log))
    if line:
        say(line)


def _line(trial: TuneTrial, begin: TuneBegin) -> str:
    from shosei.card.words import translated
    from shosei.tune.report import Report

    missed = [name for name, said in trial.limits.items() if said == "missed"]
    value = trial.reason if trial.value is None else f"{trial.value:.4g}"
    stage = f"round {trial.round}" if trial.round else trial.stage
    changed = translated(Report("", begin, [], None).changes(trial.candidate))
    return f"{trial.number:4} {stage:9} {changed}: {value}{' · missed ' if missed else ''}{', '.join(missed)}"


def _told(
    run: Run, target: Target, subject: Subject, verdict: TuneVerdict, lang: str | None, spoken: str, *, as_json: bool
) -> int:
    """Write the report and the best settings; print the verdict; return its exit code."""
    import msgspec

    from shosei.log import read_log
    from shosei.tune.page import html
    from shosei.tune.report import Report
    from shosei.tune.views import markdown, terminal

    commands = subject.usable(verdict.best, run.folder)
    report = Report.of(read_log(run.log), run.name, commands)
    run.write("tune.html", html(report, lang and spoken))
    page = markdown(report, spoken)
    run.write("tune.md", page)
    add_to_job_summary(page)
    if as_json:
        said = msgspec.to_builtins(verdict)
        kept = {key: said.get(key, default) for key, default in _JSON.items()}
        result({"run": str(run.folder), **kept, "commands": list(report.commands)}, [], as_json=True)
    else:
        print_page(terminal(report, spoken), 100)
        say(f"\nthe whole report: {run.folder / 'tune.html'}")
    return _CODES[verdict.verdict]
