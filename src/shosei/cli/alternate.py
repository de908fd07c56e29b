"""``shosei alternate``: measure two targets by turns into one run folder, each turn by the public verbs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shosei.cli.common import JsonOption, result, say
from shosei.cli.options import Given
from shosei.errors import EXIT_INVALID, EXIT_OK, InputError
from shosei.verbs import Verbs, code_of, printed

if TYPE_CHECKING:
    from shosei.load.alternate import Target, TargetTurn
    from shosei.log.run import Run

_VERB = "alternate"
_AGAIN = 2  # times that a turn in which this machine was too busy is measured again


def alternate(
    a: Annotated[Path, typer.Argument(metavar="A.toml", help="The first target: name, url, serve, [load], [exam].")],
    b: Annotated[Path, typer.Argument(metavar="B.toml", help="The second target, asked the same.")],
    out: Annotated[Path, typer.Option(help="Run folder, of this measurement alone.")],
    repeats: Annotated[int, typer.Option(min=1, help="Turns of each target; a verdict needs 5.")] = 7,
    as_json: JsonOption = False,
) -> int:
    """Measure two targets by turns (A B B A ...), so that 'shosei compare' can tell which is faster.

    The same command in the same folder goes on with the turns that are missing.
    """
    from shosei.files import sha256
    from shosei.load.alternate import check_pair, read_target, turns
    from shosei.log import open_run

    targets = read_target(a), read_target(b)
    check_pair(*targets)
    for file, target in zip((a, b), targets, strict=True):
        _check_exam(file, target)
    hashes = {f"target:{target.name}": sha256(file) for file, target in zip((a, b), targets, strict=True)}
    run = open_run(out, must_exist=False)
    order = turns(*targets, repeats)
    with run.alone(_VERB):
        done = _done(run, hashes)
        _warn_of_few(repeats)
        for turn in order:
            if turn.number in done:
                continue
            say(f"\nturn {turn.number} of {len(order)}: {turn.target.name}")
            try:
                code = _measure(run, turn, hashes)
            except KeyboardInterrupt:
                say(f"\nturn {turn.number} ({turn.target.name}) was broken off; the same command goes on from there")
                raise
            if code:
                say(f"turn {turn.number} ({turn.target.name}) failed; the same command goes on from there")
                return code
    values = {
        "run": str(out),
        "turns": [{"turn": turn.number, "target": turn.target.name, "seed": turn.seed} for turn in order],
    }
    lines = ["", f"{len(order)} turns measured: {' '.join(turn.target.name for turn in order)}", "", "What next:"]
    result(values, [*lines, f"  {printed('compare', str(out))}"], as_json=as_json)
    return EXIT_OK


def _warn_of_few(repeats: int) -> None:
    from shosei.compare import MIN_PAIRS

    if repeats < MIN_PAIRS:
        say(
            f"--repeats {repeats}: a verdict of 'shosei compare' needs {MIN_PAIRS} turns of each target; "
            "the same command with more repeats goes on with this folder"
        )


def _measure(run: Run, turn: TargetTurn, hashes: dict[str, str]) -> int:
    """One turn, again where this machine was too busy to measure it, but not for ever; return its exit code."""
    what = f"turn {turn.number} ({turn.target.name}): this machine was too busy"
    for left in range(_AGAIN, -1, -1):
        code, was_busy = _take(run, turn, hashes, counts=not left)
        if not was_busy:
            break
        say(f"{what}; it is measured again" if left else f"{what} {_AGAIN + 1} times; what it timed is invalid")
    return code


def _take(run: Run, turn: TargetTurn, hashes: dict[str, str], *, counts: bool) -> tuple[int, bool]:
    """One turn, as an attempt of its own; return its exit code, and whether this machine was too busy.

    An attempt in which it was ends as invalid, so that neither a comparison nor this verb takes it for the turn, unless
    it ``counts`` even so.
    """
    from shosei.load.alternate import client_was_busy
    from shosei.log import read_log

    target, folder = turn.target, str(run.folder)

    def steps(verbs: Verbs) -> None:
        with _serving(verbs, target, folder):
            load = Given("load", target.load.model_dump(mode="json", exclude_unset=True)).words()
            verbs.run("load", "load", target.url, "--run", folder, "--seed", str(turn.seed), *load)
            if target.exam:
                suites, exam = _exam(target)
                asked = [target.url, "--run", folder, *(word for suite in suites for word in ("--suite", suite))]
                verbs.run("exam", "exam", *asked, *Given("exam", exam).words())

    with run.recording(
        _VERB,
        new_attempt=True,
        target=target.name,
        turn=turn.number,
        config=target.model_dump(mode="json", exclude={"load": {"header"}, "exam": {"header"}}),  # may be secrets
        hashes=hashes,
        seeds={_VERB: turn.seed},
    ) as record:
        verbs = Verbs(record.writer.attempt)
        code = code_of(lambda: steps(verbs))
        was_busy = not code and client_was_busy(read_log(run.log, record.writer.attempt))
        record.exit_code = EXIT_INVALID if was_busy and not counts else code
    return record.exit_code, was_busy


def _serving(verbs: Verbs, target: Target, folder: str) -> AbstractContextManager[Any]:
    """The target's server, under the meters, where this target has a command for it."""
    from shosei.wire.endpoint import is_ready

    if not target.serve:
        return nullcontext()
    if is_ready(target.url):
        raise InputError(f"a server answers at {target.url} before '{target.name}' was started: stop that one first")
    return verbs.serving_command(target.url, target.ready_s, target.serve, folder)


def _exam(target: Target) -> tuple[list[str], dict[str, Any]]:
    """The paths of the exam's suites, and its settings."""
    settings = dict(target.exam)
    if "suite" not in settings:
        raise InputError("exam.suite is missing: name a suite (*.jsonl), or a folder of them")
    suites = settings.pop("suite")
    return [*map(str, suites if isinstance(suites, list) else [suites])], settings


def _check_exam(file: Path, target: Target) -> None:
    """Raise InputError for what 'shosei exam' would refuse: better now than after the turns before."""
    if not target.exam:
        return
    from shosei.config import validate
    from shosei.exam import ExamConfig
    from shosei.exam.benchmarks import read_benchmarks

    try:
        suites, settings = _exam(target)
        validate(ExamConfig, settings, "exam")
        read_benchmarks(*map(Path, suites))
    except InputError as error:
        raise InputError(f"{file}: {error}") from None


def _done(run: Run, hashes: dict[str, str]) -> set[int]:
    """Numbers of the turns that ended well. Raises InputError where the folder holds another measurement."""
    from shosei.log import RunBegin, RunEnd, attempts, read_log

    done = set()
    for attempt in attempts(run.log) if run.log.is_dir() else []:
        log = read_log(run.log, attempt)
        begin = next((begin for begin in log.of(RunBegin) if begin.verb == _VERB), None)
        if begin is None or begin.hashes != hashes:
            raise InputError(
                f"{run.folder} holds another measurement, or one of other target files: name a new folder with --out"
            )
        if any(end.verb == _VERB and end.exit_code == EXIT_OK for end in log.of(RunEnd)):
            done.add(begin.turn)
    return done
